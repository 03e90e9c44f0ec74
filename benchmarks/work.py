"""The work that both sides are given, and how it is counted."""

from __future__ import annotations

import time
from typing import Final

import trio
from attrs import frozen

__all__ = ["ASK_WITHIN", "BURST", "CRASH", "PING", "Crash", "Miscounted", "Ping", "Tally", "longest_sleep"]

BURST: Final = 1_000
"""Messages in a burst."""
ASK_WITHIN: Final = 5.0
"""Seconds that an ask may take."""
_SLEEPS_IN_ALL: Final = 5.0


class Miscounted(Exception):
    """What arrived is not what was sent: the number means nothing."""


@frozen
class Ping:
    """Counted, and nothing else."""


@frozen
class Crash:
    """Raise."""


PING: Final = Ping()
CRASH: Final = Crash()


class Tally:
    """Counts what has been handled, and tells one waiter when there are as many as it waits for."""

    __slots__ = ("count", "reached", "target")

    def __init__(self) -> None:
        self.count = 0
        self.target = -1
        self.reached = trio.Event()

    def expect(self, more: int) -> trio.Event:
        """An event that is set when `more` pieces than now have been handled.

        Handlers add to `count` and compare it with `target` in their own lines: a call would be seen in the numbers.
        """
        self.target = self.count + more
        self.reached = trio.Event()
        return self.reached

    def must_be(self, sent: int) -> int:
        """The count, which must be the number of what was sent. Raises `Miscounted`."""
        if self.count != sent:
            raise Miscounted(f"{sent} were sent and {self.count} handled")
        return self.count


async def longest_sleep(times: int) -> tuple[int, float, str]:
    """Sleep 1 ms `times` times, or for 5 s in all; returns how often, the longest in ms of CPU, and a note.

    Beside agents that never rest the two are the same, but for what other processes take away.
    """
    longest_cpu = longest_wall = 0.0
    slept, began = 0, time.perf_counter()
    while slept < times and time.perf_counter() - began < _SLEEPS_IN_ALL:
        slept += 1
        cpu, wall = time.process_time(), time.perf_counter()
        await trio.sleep(0.001)
        longest_cpu = max(longest_cpu, time.process_time() - cpu)
        longest_wall = max(longest_wall, time.perf_counter() - wall)
    return slept, longest_cpu * 1e3, f"{longest_wall * 1e3:.1f} ms by the clock on the wall"
