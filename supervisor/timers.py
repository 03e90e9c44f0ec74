"""Delays as callbacks: one task sleeps for everybody, so that no loop has to."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from math import inf
from typing import Final, Protocol

import trio

from treewarden.agents.ports import Alarm

__all__ = ["Timers"]

_WORTH_A_LOOK: Final = 64
"""Cancelled entries for which nobody looks yet."""


class Due(Alarm, Protocol):
    """Something that comes due."""

    def come(self) -> None:
        """Its time has come. Does nothing if it was cancelled."""
        ...


class _Entry:
    __slots__ = ("_call", "_timers")

    def __init__(self, call: Callable[[], None], timers: Timers) -> None:
        self._call: Callable[[], None] | None = call
        self._timers = timers

    @property
    def over(self) -> bool:
        return self._call is None

    def cancel(self) -> None:
        if self._call is not None:
            self._call = None
            self._timers.called_off()

    def come(self) -> None:
        call, self._call = self._call, None
        if call is not None:
            call()


class Timers:
    """Calls back at the time that was asked for, in the loop, in order of the times.

    Entries that were cancelled go when their time comes, or earlier, when they are half of all: whoever sets a delay of
    an hour anew with every message has one of them at a time, not one for each message of an hour. A callback must not
    raise and must not wait.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Due]] = []
        self._order = itertools.count()
        self._sleeper: trio.lowlevel.Task | None = None
        self._sleeps_until = inf
        self._soon: list[Callable[[], None]] = []
        self._called_off = 0
        """Entries that were cancelled since somebody looked, of which some may be gone."""

    def at(self, when: float, call: Callable[[], None]) -> _Entry:
        """Call `call` at `when`, in the clock of the loop; soon if that is past."""
        entry = _Entry(call, self)
        self.put(when, entry)
        return entry

    @trio.lowlevel.enable_ki_protection
    def put(self, when: float, due: Due) -> None:
        """As `at`, of something that is an alarm by itself."""
        heapq.heappush(self._heap, (when, next(self._order), due))
        if when < self._sleeps_until:
            self._wake()

    def _wake(self) -> None:
        if self._sleeper is not None:
            sleeper, self._sleeper = self._sleeper, None
            trio.lowlevel.reschedule(sleeper)

    @trio.lowlevel.enable_ki_protection
    def soon(self, call: Callable[[], None]) -> None:
        """Call `call` when everybody who can run now has had a turn. It may ask for another one then."""
        self._soon.append(call)
        self._wake()

    def called_off(self) -> None:
        """One of those that `at` gave was cancelled."""
        self._called_off += 1
        if self._called_off >= _WORTH_A_LOOK and self._called_off * 2 > len(self._heap):
            self._called_off = 0
            self._heap = [each for each in self._heap if not (isinstance(each[2], _Entry) and each[2].over)]
            heapq.heapify(self._heap)

    async def run(self) -> None:
        """Sleep and call, until cancelled. Owned by the nursery of the tree."""
        while True:
            self._call_due()
            if self._soon:
                await trio.lowlevel.checkpoint()
                soon, self._soon = self._soon, []
                for call in soon:
                    call()
                continue
            self._sleeps_until = self._heap[0][0] if self._heap else inf
            with trio.CancelScope(deadline=self._sleeps_until):
                await self._sleep()
            self._sleeps_until = -inf

    @trio.lowlevel.enable_ki_protection  # or a new entry would wake a task that does not wait
    async def _sleep(self) -> None:
        self._sleeper = trio.lowlevel.current_task()
        await trio.lowlevel.wait_task_rescheduled(self._abort)

    def _abort(self, _: object) -> trio.lowlevel.Abort:
        self._sleeper = None
        return trio.lowlevel.Abort.SUCCEEDED

    def _call_due(self) -> None:
        now = trio.current_time()
        while self._heap and self._heap[0][0] <= now:
            heapq.heappop(self._heap)[2].come()
