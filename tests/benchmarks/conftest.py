"""A benchmark is a script and its modules lie beside it: their folder is on the path, as it is when it runs."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))


@pytest.fixture(autouse=True)
def frozen() -> Iterator[None]:
    """A benchmark leaves nothing frozen: the tests behind it would be looked through again (see tests/conftest.py)."""
    yield
    if not gc.get_freeze_count():
        gc.freeze()
