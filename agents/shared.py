"""One queue and several who take from it: the mailbox of a pool, and the slots of its workers.

Whoever is free takes what waits longest; so no message waits behind a slow one while another worker has nothing to do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import trio

from .core.durability import MailboxSpec
from .core.message import Envelope
from .core.path import Path
from .errors import AgentStopped
from .ports import Store
from .slot import NOT_KNOWN, Slot, as_they_are

__all__ = ["SharedQueue", "SharedWorker"]

_NOTHING: Final = frozenset[type]()


class SharedQueue(Slot):
    """The mailbox of a pool. Nobody lives here: it is read by its workers."""

    __slots__ = ("_free", "_workers")

    def __init__(self, path: Path, spec: MailboxSpec, now: Callable[[], float], store: Store | None) -> None:
        super().__init__(path, spec, now, store)
        self._free: dict[SharedWorker, None] = {}
        """Workers that found nothing to do, the one that has waited longest first. One that has work by now may still
        stand here: it is passed over."""
        self._workers: dict[SharedWorker, None] = {}
        self.rouse = self._hand_out  # for what looks whether anybody is to be told of an arrival

    @property
    def inhabited(self) -> bool:
        return any(worker.inhabited for worker in self._workers)

    @property
    def workers(self) -> Sequence[Slot]:
        return list(self._workers)

    def add_worker(self, worker: SharedWorker) -> None:
        """One more takes from here."""
        self._workers[worker] = None

    def remove_worker(self, worker: SharedWorker) -> None:
        """One less takes from here."""
        self._workers.pop(worker, None)
        self._free.pop(worker, None)

    def wait_for_work(self, worker: SharedWorker) -> None:
        """`worker` has nothing to do: wake it when those are busy that have waited longer."""
        self._free.pop(worker, None)
        self._free[worker] = None

    def pass_on(self, woken: int = 0) -> None:
        """Wake others for what waits here, for somebody who was woken for it may not take it; `woken` will."""
        for _ in range(min(len(self) - woken, len(self._free))):
            self._wake()

    def put_back(self, items: list[Any]) -> None:
        super().put_back(items)
        self.pass_on(1)

    def come_back(self, items: list[Envelope]) -> None:
        super().come_back(items)
        self.pass_on(1)

    def resume(self, why: str) -> None:
        super().resume(why)
        self.pass_on(1)

    def _wake(self, *, control: bool = False) -> bool:
        return not self._paused and self._hand_out()

    def _hand_out(self) -> bool:
        while self._free:
            worker = next(iter(self._free))
            del self._free[worker]
            if worker.is_asleep:
                worker.wake()
                return True
        return False


class SharedWorker(Slot):
    """The slot of one who takes from a queue. Only ticks and orders come to it alone."""

    __slots__ = ("_queue", "_rouse", "_task")

    def __init__(
        self, path: Path, spec: MailboxSpec, now: Callable[[], float], store: Store | None, queue: SharedQueue
    ) -> None:
        self._queue = queue
        super().__init__(path, spec, now, store)
        queue.add_worker(self)

    @property
    def mail(self) -> Slot:
        return self._queue

    @property
    def backlog(self) -> int:
        return len(self._queue)

    @property
    def has_work(self) -> bool:
        return super().has_work or (not self._paused and self._queue.has_work)

    @property
    def is_asleep(self) -> bool:
        """Whether it would take a message at once if it were woken."""
        return not self._paused and (self._task is not None or self._rouse is not None)

    @property
    def reader(self) -> trio.lowlevel.Task | None:
        return self._task

    @reader.setter
    def reader(  # pyright: ignore[reportIncompatibleVariableOverride]
        self, reader: trio.lowlevel.Task | None
    ) -> None:
        self._task = reader
        if reader is not None:
            self._queue.wait_for_work(self)

    @property
    def rouse(self) -> Callable[[], object] | None:
        return self._rouse

    @rouse.setter
    def rouse(  # pyright: ignore[reportIncompatibleVariableOverride]
        self, rouse: Callable[[], object] | None
    ) -> None:
        self._rouse = rouse
        if rouse is not None:
            self._queue.wait_for_work(self)

    @property
    def handles(self) -> frozenset[type]:
        """Nothing by itself: a message to one worker would wait where the others cannot take it."""
        return _NOTHING

    @handles.setter
    def handles(self, kinds: frozenset[type]) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]
        if kinds is not NOT_KNOWN:
            self._queue.handles = kinds
            self._queue.plain = NOT_KNOWN if self.durable else as_they_are(kinds)

    def take(self) -> object | None:
        item = super().take()
        if item is None and not self._paused:
            item = self._queue.take()
            while self._aside is not None and item is not None and self._aside.wants(item):
                self.stash(item)
                item = self._queue.take()
        return item

    def wake(self) -> None:
        """There is something to take."""
        self._wake()

    def put_back(self, items: list[Any]) -> None:
        self._queue.put_back(items)

    def pause(self, why: str) -> None:
        super().pause(why)
        self._queue.pass_on()

    def resume(self, why: str) -> None:
        super().resume(why)
        if self.is_asleep:  # it may have been passed over, and would be woken for nothing any more
            self._queue.wait_for_work(self)

    def close(self, error: AgentStopped) -> list[object]:
        self._queue.remove_worker(self)
        return super().close(error)

    def reopen(self) -> None:
        super().reopen()
        self._queue.add_worker(self)

    def forget_orders(self) -> None:
        super().forget_orders()
        self._queue.pass_on()
