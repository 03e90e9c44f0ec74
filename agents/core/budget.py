"""How much may be spent in a stretch of time, and what of it has been: asked before it is spent, not after."""

from __future__ import annotations

import math
from typing import Any, Final

from attrs import Attribute, field

from .said import is_number, shown
from .values import frozen

__all__ = ["POSITIVE", "Budget", "Exceeded", "Spent", "is_positive"]

_PARTS: Final = 60
"""Of the time that a budget is for; what was spent in one of them is forgotten together, when all of it is over."""
_LATER: Final = 0.001
"""Seconds after which what was rounded off is over, too."""
_ROUNDED: Final = 1e-9
"""Share of a budget that sums of fractions may be off by."""


POSITIVE: Final = "give a finite number above 0"
"""What to do about an amount or a time that no budget has."""


def is_positive(value: object) -> bool:
    """Whether a budget may have this as its amount, or as its time."""
    return is_number(value) and 0 < value < math.inf


def _positive(_instance: Any, attribute: Attribute[Any], value: Any) -> None:
    if not is_positive(value):
        raise ValueError(f"{attribute.name} is {shown(value)}; {POSITIVE}")


@frozen
class Spent:
    """What has been spent, and when: as much as is needed to know what is left."""

    parts: tuple[tuple[float, float], ...] = ()
    """When each part of the time begins, in seconds since 1970, and what was spent in it; from old to new."""

    def more(self, amount: float, begins: float) -> Spent:
        """With `amount` in the part that begins at `begins`, no earlier than the newest one."""
        *before, last = self.parts or ((begins, 0.0),)
        if last[0] == begins:
            return Spent((*before, (begins, last[1] + amount)))
        return Spent((*self.parts, (begins, amount)))


@frozen
class Exceeded:
    """There is not enough left."""

    left: float
    until: float | None
    """When there is, in seconds since 1970, if nothing else is spent; None: never, for it is more than the whole."""


@frozen(kw_only=True)
class Budget:
    """At most so much in any `within` seconds, in one unit of your own: dollars, tokens, calls.

    A clock that is set back has nothing spent twice. Not promised: what one that jumps ahead means, which takes time
    for over that is not.
    """

    most: float = field(validator=_positive)
    within: float = field(default=86400.0, validator=_positive)

    def charge(self, spent: Spent, amount: float, now: float) -> Spent | Exceeded:
        """What has been spent with `amount` of now, in seconds since 1970; or that it is too much."""
        begins, kept = self._begins(now), self.as_of(spent, now)
        left = self._left(kept)
        if amount <= left + self.most * _ROUNDED:
            return kept.more(amount, begins)
        if amount > self.most:
            return Exceeded(left, None)
        free = left
        for at, part in kept.parts:
            free += part
            if amount <= free + self.most * _ROUNDED:
                return Exceeded(left, at + self._part + self.within + _LATER)
        return Exceeded(left, begins + self._part + self.within + _LATER)

    def correct(self, spent: Spent, by: float, now: float) -> Spent:
        """What has been spent, if it was more than was asked for by so much (less, below 0): also beyond the most."""
        return self.as_of(spent, now).more(by, self._begins(now))

    def left(self, spent: Spent, now: float) -> float:
        """How much may still be spent now; 0 if it is more than the most already."""
        return self._left(self.as_of(spent, now))

    def as_of(self, spent: Spent, now: float) -> Spent:
        """What of it counts still; what a clock that was ahead has noted for later, as of now."""
        begins, kept = self._begins(now), Spent()
        for at, amount in spent.parts:
            if at + self._part > now - self.within:
                kept = kept.more(amount, min(at, begins))
        return kept

    @property
    def _part(self) -> float:
        return self.within / _PARTS

    def _begins(self, now: float) -> float:
        return math.floor(now / self._part) * self._part

    def _left(self, kept: Spent) -> float:
        return min(self.most, max(0.0, self.most - math.fsum(amount for _, amount in kept.parts)))
