"""Which kept states belong to the past of a state: what a slot has given up by going back does not."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from treewarden.agents.core.values import frozen

from .event import RolledBack

__all__ = ["Past", "past_at", "past_of"]


@frozen
class Past:
    """How the checkpoints of a slot led to one another at an event, for when the events up to there are gone."""

    through: int
    """That event."""
    newest: int | None
    """The number of the newest one that led to what the slot had there."""
    leads: Mapping[int, int | None]
    """Of each one from up to there, also of those that were given up, the one that led to it."""
    last: tuple[int, int | None] | None
    """The last event with which the slot went back, and the number of what it went back to."""


def past_of(
    kept: Iterable[tuple[int, int]],
    went_back: Sequence[tuple[int, RolledBack]],
    at: float = math.inf,
    pruned: Past | None = None,
) -> list[int]:
    """The numbers of those checkpoints of one slot that lead to what it had at event `at`, newest first.

    Each of `kept` is a number with the event at which the state was settled, `went_back` has all that says of the slot
    that it went back, with its place in the journal, oldest first. From there on the slot had what it went back to, or
    what was kept since; before that, what led to that one, also where it has been pruned. Of events that are gone
    `pruned` says it, for an `at` behind them.
    """
    return _walk(_newest_first(kept), went_back, at, math.inf, pruned)


def past_at(
    kept: Iterable[tuple[int, int]],
    went_back: Sequence[tuple[int, RolledBack]],
    through: int,
    pruned: Past | None = None,
) -> Past:
    """What `past_of` needs when events up to `through` are gone. The arguments are as there."""
    old = {each for each in kept if each[1] <= through}
    for seq, back in went_back:
        if seq > through and back.checkpoint is not None and back.to is not None and back.to <= through:
            old.add((back.checkpoint, back.to))  # it may have been pruned since, and still says what led there
    left = _newest_first(old)
    leads: dict[int, int | None] = {}

    def follow(chain: Sequence[int | None]) -> None:
        for number, older in pairwise([*chain, None]):
            if number is None or number in leads:
                return
            leads[number] = older

    now = _walk(left, went_back, through, math.inf, pruned)
    follow(now)
    for number, seq in left:
        if number not in leads:
            follow(_walk(left, went_back, seq, number, pruned))
    last = None if pruned is None else pruned.last
    for seq, event in went_back:
        if seq <= through:
            last = seq, event.checkpoint
    return Past(through, now[0] if now else None, leads, last)


def _newest_first(kept: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    return sorted(kept, key=lambda each: (each[1], each[0]), reverse=True)


def _walk(
    left: Sequence[tuple[int, int]],
    went_back: Sequence[tuple[int, RolledBack]],
    at: float,
    newest: float,
    pruned: Past | None,
) -> list[int]:
    """The past of the checkpoint `newest`, or of what the slot had at `at`."""
    found: list[int] = []
    first = 0 if pruned is None else pruned.through + 1
    while True:
        since, back = first, None
        for seq, event in went_back:
            if first <= seq <= at:
                since, back = seq, event
        found += [number for number, seq in left if since <= seq <= at and number <= newest]
        if back is None:
            return found if pruned is None else [*found, *_before(left, at, newest, pruned)]
        if back.to is None:  # to what its class declares: nothing leads to that
            return found
        at = min(back.to, since - 1)
        newest = math.inf if back.checkpoint is None else back.checkpoint


def _before(left: Sequence[tuple[int, int]], at: float, newest: float, pruned: Past) -> list[int]:
    """What leads there of what `pruned` speaks of."""
    old = [number for number, seq in left if seq <= min(at, pruned.through) and number <= newest]
    since = [number for number in old if number not in pruned.leads]  # kept later, of what the slot had had since then
    if at > pruned.through:
        found, each = since, pruned.newest
    elif newest in pruned.leads:
        found, each = [], int(newest)
    elif since or newest < math.inf:
        found, each = since, pruned.newest
    else:  # an event of an older treewarden does not say to which one it was
        found, each = [], old[0] if old else None
    there = set(old)
    while each is not None:
        if each in there:
            found.append(each)
        each = pruned.leads.get(each)
    return found
