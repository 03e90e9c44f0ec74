"""Outcomes of one fault are alike, so together they say little more than one of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

__all__ = ["TOLD_APART", "Lately", "counts_as"]

Lately: TypeAlias = Mapping[int, float]
"""When an outcome was last seen of an attempt after this many failures of its incident, in wall time."""

TOLD_APART: Final = 4
"""Failures up to which outcomes are told apart by them; those after more of them are of one incident each."""
_TOGETHER: Final = 60.0
"""Seconds within which outcomes are taken to be of one fault."""
_ONE_MORE: Final = 0.0625
"""Cases that another outcome of the same fault counts as, so that four of it are hardly more than one."""


def counts_as(lately: Lately, failed: int, at: float) -> float:
    """How many cases an outcome at the wall time `at` counts as, of an attempt after `failed` failures.

    What strikes several children at once is tried against in each of them, with the same numbers, and ends or goes on
    in all of them: one chance, and not four. Who is struck by what is not known, so it is told by time and by how much
    had been tried before. On a busy tree many outcomes that have nothing to do with each other count as less, too: it
    learns later than it could, and is not led astray by one evening.
    """
    last = lately.get(failed)
    return 1.0 if last is None or at - last >= _TOGETHER else _ONE_MORE
