"""What waits for a supervisor's loop: signals, ended lives, calls and what is left to do, in arrival order."""

from __future__ import annotations

from collections import deque

from trio.lowlevel import (
    Abort,
    Task,
    checkpoint,
    current_task,
    enable_ki_protection,
    reschedule,
    wait_task_rescheduled,
)

from treewarden.agents.wake import WAKE

__all__ = ["Queue"]


class Queue:
    """An unbounded queue with one reader, which parks only when nothing waits. Only public `trio.lowlevel` names.

    Ctrl-C waits while it is at work: nobody wakes a reader that is noted and not parked, or parked and not noted.
    """

    __slots__ = ("_items", "reader")

    def __init__(self) -> None:
        self._items: deque[object] | None = None
        """None while nothing has waited yet: most supervisors of a big tree never hear of anything."""
        self.reader: Task | None = None
        """Who is parked because nothing waits."""

    @enable_ki_protection
    def put(self, item: object) -> None:
        """Add something at the end. Never blocks."""
        if self._items is None:
            self._items = deque()
        self._items.append(item)
        if self.reader is not None:
            reader, self.reader = self.reader, None
            reschedule(reader, WAKE)

    @enable_ki_protection
    async def get(self) -> object:
        """Take what came first, waiting for it. A checkpoint. Cancelled: nothing was taken."""
        if self._items:
            await checkpoint()
        while not self._items:
            self.reader = current_task()
            await wait_task_rescheduled(self._abort)
        return self._items.popleft()

    def get_nowait(self) -> object | None:
        """Take what came first; None if nothing waits."""
        return self._items.popleft() if self._items else None

    def next_of(self, kind: type[object]) -> object | None:
        """Take what came first if it is of this class; None if it is not, or nothing waits."""
        return self._items.popleft() if self._items and isinstance(self._items[0], kind) else None

    def _abort(self, _: object) -> Abort:
        self.reader = None
        return Abort.SUCCEEDED
