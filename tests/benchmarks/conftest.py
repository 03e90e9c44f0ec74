"""A benchmark is a script and its modules lie beside it: their folder is on the path, as it is when it runs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))


@pytest.fixture(autouse=True)
def collected_fast(frozen: None) -> None:
    """Each run begins with a collection."""
