"""Whether a dependency may be used: by everybody, by nobody, or by one who finds out.

The three states and their names are those of the circuit breaker in Nygard, "Release It!" (2007), chapter 5.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Final

from treewarden.agents.core.exit import Failed
from treewarden.agents.core.path import Path
from treewarden.agents.core.values import frozen

from .signal import ChildExited, RateLimitReached, RestartFailed, Signal, Stalled
from .symptom import Symptom, classify, failure_in, trouble_in

__all__ = [
    "CLOSED",
    "LONGEST",
    "PROBE_WITHIN",
    "Breaker",
    "Passage",
    "blames",
    "disproves",
    "opened",
    "probing",
    "reopened",
    "span",
    "turns",
]

LONGEST: Final = 300.0
"""Seconds that a dependency is left alone at most, unless the other side asked for more."""
PROBE_WITHIN: Final = 60.0
"""Seconds that one user has to show that it works again."""
_JITTER: Final = 0.2
_EVERY: Final = 0.01
"""Seconds in which one user goes on when it is back."""
_ALL_WITHIN: Final = 10.0
"""Seconds after which all have, however many they are."""
_OUTSIDE: Final = frozenset({Symptom.CONNECTION, Symptom.TIMEOUT, Symptom.RATE_LIMITED, Symptom.OVERLOADED})


class Passage(StrEnum):
    """Who may use a dependency."""

    CLOSED = "closed"
    """Everybody: the circuit is whole."""
    OPEN = "open"
    """Nobody."""
    HALF_OPEN = "half_open"
    """One user, the probe."""


@frozen
class Breaker:
    """The state of one dependency."""

    passage: Passage = Passage.CLOSED
    until: float = 0.0
    """Open: when somebody may try. Half-open: when the probe has taken too long. In the clock of the loop."""
    wait: float = 0.0
    """Seconds of the latest opening, before jitter."""
    probe: Path | None = None
    """Who tries, or tried last."""


CLOSED: Final = Breaker()


def opened(before: Breaker, now: float, seconds: float) -> Breaker:
    """Open for `seconds`; one that is open for longer stays as it is."""
    if before.passage is Passage.OPEN and before.until >= now + seconds:
        return before
    return Breaker(Passage.OPEN, now + seconds, seconds, before.probe)


def reopened(before: Breaker, now: float, spread: float) -> Breaker:
    """The probe failed: open for twice as long, at most 300 s. `spread` (0 to 1) is how much of a fifth comes off."""
    wait = max(1.0, min(before.wait * 2.0, LONGEST))
    return Breaker(Passage.OPEN, now + wait * (1.0 - _JITTER * spread), wait, before.probe)


def probing(before: Breaker, now: float, users: Sequence[Path]) -> Breaker:
    """Let exactly one of `users` through if the wait is over, the next one after whoever tried last."""
    if before.passage is not Passage.OPEN or now < before.until or not users:
        return before
    after = users.index(before.probe) + 1 if before.probe in users else 0
    return Breaker(Passage.HALF_OPEN, now + PROBE_WITHIN, before.wait, users[after % len(users)])


def span(users: int) -> float:
    """In how many seconds so many users have all gone on."""
    return min(users * _EVERY, _ALL_WITHIN)


def turns(users: int, draw: Callable[[], float]) -> list[float]:
    """In how many seconds each of so many users goes on: the first at once, then one in each hundredth of a second, at
    a moment that `draw` (from 0 up to 1) says; more of them where all would not have come within 10 s."""
    every = span(users) / max(1, users)
    return [(place - draw()) * every if place else 0.0 for place in range(users)]


def blames(signal: Signal, trouble: str) -> bool:
    """Whether a user's signal is one more of the outage: the same trouble, or any failure of what is outside."""
    if isinstance(signal, RateLimitReached) or (trouble and trouble_in(signal) == trouble):
        return True
    failure = failure_in(signal)
    return failure is not None and classify(failure) in _OUTSIDE


def disproves(signal: Signal, trouble: str) -> bool:
    """Whether a probe's signal says that it did not work: any failure of it does, of whatever kind."""
    if isinstance(signal, ChildExited):
        return isinstance(signal.exit, Failed)
    return isinstance(signal, (RestartFailed, Stalled)) or blames(signal, trouble)
