"""trio's order of tasks under a seed: here alone stand names that trio keeps private."""

from __future__ import annotations

import importlib
import random
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

__all__ = ["ordered_by"]

_LOOP: Final = "trio._core._run"
_SWITCH: Final = "_ALLOW_DETERMINISTIC_SCHEDULING"
_CHANCE: Final = "_r"


@contextmanager
def ordered_by(seed: int) -> Generator[None]:
    """trio's next run schedules tasks in an order that depends on `seed` alone. Not to be nested.

    Not promised for a trio without these names: then races still run, and the same seed may give other numbers.
    """
    loop = importlib.import_module(_LOOP)
    if not (hasattr(loop, _SWITCH) and hasattr(loop, _CHANCE)):
        yield
        return
    before = getattr(loop, _SWITCH), getattr(loop, _CHANCE)
    setattr(loop, _SWITCH, True)
    setattr(loop, _CHANCE, random.Random(seed))
    try:
        yield
    finally:
        setattr(loop, _SWITCH, before[0])
        setattr(loop, _CHANCE, before[1])
