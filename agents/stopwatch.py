"""A clock for how long something took or has waited: what every message reads has to cost little."""

from __future__ import annotations

import sys
from collections.abc import Callable
from time import perf_counter

import trio

__all__ = ["is_mocked", "stopwatch"]


def stopwatch(now: Callable[[], float]) -> Callable[[], float]:
    """What tells the same differences as `now`, the time of the loop's clock, in as little time as can be.

    trio's own clock is a method in Python that adds a constant to a function in C, which does in a third of the time.
    Only two readings of the same stopwatch can be compared: it says nothing about deadlines. Of any other clock, a mock
    clock or a user's own, it is `now` itself.
    """
    clock = getattr(now, "__self__", None)
    own = type(clock).__module__.startswith("trio.") and isinstance(clock, trio.abc.Clock)
    return perf_counter if own and not is_mocked(clock) else now


def is_mocked(clock: object) -> bool:
    """Whether this is trio's `MockClock`: its time is simulated."""
    testing = sys.modules.get("trio.testing")  # whoever has one has imported this
    return testing is not None and isinstance(clock, testing.MockClock)
