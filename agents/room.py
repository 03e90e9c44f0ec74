"""A place in the line of senders that wait for room in a full mailbox."""

from __future__ import annotations

from collections import deque
from typing import TypeAlias

import outcome
from trio.lowlevel import Abort, Task, current_task, enable_ki_protection, reschedule, wait_task_rescheduled

from .wake import WAKE

__all__ = ["Impatient", "Line", "Place"]


class Place:
    """One sender's. Who has it gets room in the order of the line, or is told that it has waited for long enough."""

    __slots__ = ("_line", "_task", "got")

    def __init__(self, line: Line) -> None:
        self._line = line
        self._task: Task | None = None
        self.got = False
        """Whether room is kept for it."""

    @property
    def task(self) -> Task | None:
        """Who waits in it."""
        return self._task

    @enable_ki_protection  # or it would be in the line, and nobody there to be woken
    async def wait(self) -> bool:
        """Wait in line; whether there is room now. Cancelled: it has left the line, and no room is kept."""
        self._task = current_task()
        self._line.append(self)
        await wait_task_rescheduled(self._leave)
        return self.got

    def give(self) -> None:
        """There is room, and it has been taken out of the line."""
        self.got = True
        self._end(WAKE)

    def jump(self) -> None:
        """There is room for it before its turn: out of the line with it."""
        self._line.remove(self)
        self.give()

    def fail(self, error: Exception) -> None:
        """There will be no room, and it has been taken out of the line."""
        self._end(outcome.Error(error))

    def expire(self) -> None:
        """Its limit has passed. Does nothing if the line has moved on meanwhile."""
        if self._task is not None:
            self._line.remove(self)
            self._end(WAKE)

    def _end(self, how: outcome.Outcome[None]) -> None:
        task, self._task = self._task, None
        assert task is not None
        reschedule(task, how)

    def _leave(self, _: object) -> Abort:
        self._task = None
        self._line.remove(self)
        return Abort.SUCCEEDED


class Impatient(Place):
    """One of a sender for whose message the oldest that waits is given up, when one has come."""

    __slots__ = ("priority",)

    def __init__(self, line: Line, priority: int) -> None:
        super().__init__(line)
        self.priority = priority


Line: TypeAlias = deque[Place]
