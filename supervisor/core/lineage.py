"""Which kept states belong to the past of a state: what a slot has given up by going back does not."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from .event import RolledBack

__all__ = ["past_of"]


def past_of(
    kept: Iterable[tuple[int, int]], went_back: Sequence[tuple[int, RolledBack]], at: float = math.inf
) -> list[int]:
    """The numbers of those checkpoints of one slot that lead to what it had at event `at`, newest first.

    Each of `kept` is a number with the event at which the state was settled, `went_back` has all that says of the slot
    that it went back, with its place in the journal, oldest first. From there on the slot had what it went back to, or
    what was kept since; before that, what led to that one, also where it has been pruned.
    """
    left = sorted(kept, key=lambda each: (each[1], each[0]), reverse=True)
    found: list[int] = []
    newest: float = math.inf
    while True:
        since, back = 0, None
        for seq, event in went_back:
            if seq <= at:
                since, back = seq, event
        found += [number for number, seq in left if since <= seq <= at and number <= newest]
        if back is None or back.to is None:  # to what its class declares: nothing leads to that
            return found
        at = min(back.to, since - 1)
        newest = math.inf if back.checkpoint is None else back.checkpoint
