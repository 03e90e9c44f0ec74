"""Whether an endpoint is in trouble, as a state machine that a single odd answer cannot move. Pure.

As with the soft and hard states of Nagios, a change needs several checks; unlike there, they need not be in a row. The
two limits overlap, which is hysteresis: an endpoint that alternates between good and bad gives one signal, not one per
check.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import frozen
from checks import Kind

from treewarden.agents.errors import ConfigurationError

__all__ = ["Change", "Damping", "Standing", "step"]


@frozen(kw_only=True)
class Damping:
    """Of the last `of` checks `bad` must fail before trouble begins, and `good` succeed before it is over.

    Between two changes there are at least `bad + good - of` checks.
    """

    bad: int = 2
    good: int = 3
    of: int = 3

    def __attrs_post_init__(self) -> None:
        for name, value in (("of", self.of), ("bad", self.bad), ("good", self.good)):
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= self.of:  # pyright: ignore[reportUnnecessaryIsInstance]
                raise ConfigurationError(f"damping.{name} is {value!r}; give a whole number from 1 to {self.of!r}")
        if self.bad + self.good <= self.of:
            raise ConfigurationError(
                f"damping: {self.bad} bad and {self.good} good of the last {self.of} can both be true; "
                f"their sum must be more than {self.of}"
            )

    @classmethod
    def parse(cls, table: Mapping[str, Any]) -> Damping:
        """Read the `damping` table of a child. Raises `ConfigurationError`."""
        for key in table:
            if key not in ("bad", "good", "of"):
                raise ConfigurationError(f"damping: there is no {key!r}; it knows bad, good and of")
        return cls(**table)


@frozen
class Standing:
    """The kinds of the last checks, oldest first, and the trouble that they amount to; empty while there is none."""

    recent: tuple[str, ...] = ()
    trouble: str = ""

    @property
    def up(self) -> bool:
        """It answers as it should, if perhaps slowly."""
        return self.trouble in ("", Kind.SLOW)


@frozen
class Change:
    """A move from one trouble to another; an empty text is none."""

    was: str
    now: str


def step(damping: Damping, standing: Standing, kind: str) -> tuple[Standing, Change | None]:
    """The standing after a check that found `kind`, and the change if this one tipped it."""
    recent = (*standing.recent, kind)[-damping.of :]
    was = standing.trouble
    now = _trouble(damping, recent, was)
    return Standing(recent, now), Change(was, now) if now != was else None


def _trouble(damping: Damping, recent: tuple[str, ...], was: str) -> str:
    good = recent.count(Kind.OK)
    last = recent[-1]
    if not was:
        return _commonest(recent) if len(recent) - good >= damping.bad else ""
    if good >= damping.good:
        return ""
    # Another trouble takes over when it could have begun by itself.
    return last if last != Kind.OK and recent.count(last) >= damping.bad else was


def _commonest(recent: tuple[str, ...]) -> str:
    """The trouble seen most often; of equals the latest."""
    bad = [kind for kind in reversed(recent) if kind != Kind.OK]
    return max(bad, key=bad.count)
