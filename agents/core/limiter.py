"""How many messages may wait for an agent: fewer under pressure, slowly more again when it is over (AIMD).

After Chiu and Jain 1989: halving where a resource is overused and adding a little where it is not makes all who share
it converge. The pressure is the age of the oldest message, for that is what a queue costs those who wait in it.
"""

from __future__ import annotations

import math
from typing import Any, Final

from attrs import Attribute, evolve, field

from .said import is_count, is_number, shown
from .values import frozen

__all__ = ["IntakeLimit", "Limiter", "adapt", "cut"]


def _seconds(_instance: Any, attribute: Attribute[Any], value: Any) -> None:
    if not is_number(value) or not 0 < value < math.inf:
        raise ValueError(f"{attribute.name} is {shown(value)}; give seconds, more than 0 and finite")


def _count(_instance: Any, attribute: Attribute[Any], value: Any) -> None:
    if not is_count(value):
        raise ValueError(f"{attribute.name} is {shown(value)}; give a whole number, 1 or more")


def _share(_instance: Any, attribute: Attribute[Any], value: Any) -> None:
    if not is_number(value) or not 0 < value <= 0.5:
        raise ValueError(f"{attribute.name} is {shown(value)}; give a share, more than 0 and at most 0.5")


@frozen(kw_only=True)
class IntakeLimit:
    """How long messages may wait, and how far the mailbox is closed to keep that."""

    oldest: float = field(validator=_seconds)
    """Seconds that the oldest message may have waited; from there on half as many may wait."""
    low: float = field(default=0.5, validator=_share)
    """The share of `oldest` below which more may wait again. At most a half, so that a halving never leads there: under
    the same load the number that may wait comes to rest."""
    least: int = field(default=4, validator=_count)
    """How many may always wait."""
    step: int = field(default=1, validator=_count)
    """How many more may wait after each `every` seconds without pressure."""
    every: float = field(default=1.0, validator=_seconds)
    """Seconds between two changes, so that each shows its effect before the next."""

    def __attrs_post_init__(self) -> None:
        if self.step > self.least:
            raise ValueError(f"step is {self.step} and least {self.least}; a step is at most as large as what is left")


_LASTING: Final = 2.0
"""How many times `every` messages have to wait too long: the age of the oldest is known as "at most" only."""


@frozen
class Limiter:
    """How many messages may wait, and since when."""

    admits: int
    changed_at: float = -math.inf
    held_until: float = -math.inf
    """It does not open before that."""
    over_since: float = math.inf
    """Since when every look has found a message that waits too long."""


def cut(limit: IntakeLimit, state: Limiter, most: int, now: float, hold: float = 0.0) -> Limiter:
    """Half as many, at least `limit.least` (or `most`, if that is less); it opens again `hold` seconds later at the
    earliest. Within `every` seconds of the last change nothing is taken away."""
    held = max(state.held_until, now + hold)
    if now - state.changed_at < limit.every:
        return evolve(state, held_until=held)
    admits = max(min(limit.least, most), min(state.admits, most) // 2)
    return Limiter(admits, now, held)


def adapt(limit: IntakeLimit, state: Limiter, most: int, oldest: float, now: float, depth: int = 0) -> Limiter:
    """The state after a look at the age of the oldest message. `most` is the mailbox's capacity, `depth` what waits.

    Where it has been at `limit.oldest` or above for twice `limit.every`, it halves; below `limit.low` of that it grows
    by a step, and in between it stays. While more wait than may, the last halving has not shown its effect, and nothing
    changes.
    """
    if state.admits > most:
        state = evolve(state, admits=most)
    if depth > state.admits:
        return state
    if oldest >= limit.oldest:
        since = min(state.over_since, now)
        return (
            cut(limit, state, most, now) if now - since >= _LASTING * limit.every else evolve(state, over_since=since)
        )
    state = evolve(state, over_since=math.inf) if state.over_since < now else state
    due = now - state.changed_at >= limit.every and now >= state.held_until
    if oldest >= limit.low * limit.oldest or not due or state.admits >= most:
        return state
    return Limiter(min(most, state.admits + limit.step), now, state.held_until)
