"""The mailbox of a slot: bounded, in lanes, and outliving the incarnations that read it.

A message leaves a lane only by a synchronous `take()`, and a reader parks only when there is nothing to take; so
cancelling a park, a kill or a restart can neither lose nor repeat a message. Only public `trio.lowlevel` names.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Final

import outcome
import trio
from attrs import frozen

from .core.durability import MailboxSpec, Overflow
from .core.message import Envelope, Priority
from .errors import AgentStopped, MailboxFull

__all__ = ["Mailbox", "MailboxStatistics"]


class _Wake(outcome.Outcome[None]):
    """What a parked task is woken with. Unlike `outcome.Value` it holds nothing, so one instance serves for ever."""

    __slots__ = ()

    def send(self, gen: Any) -> Any:
        return gen.send(None)

    async def asend(self, agen: Any) -> Any:
        return await agen.asend(None)

    def unwrap(self) -> None:
        return None


WAKE: Final = _Wake()


@frozen
class MailboxStatistics:
    """A mailbox at one moment."""

    depth: int
    """Messages of users that wait; the one in hand does not count."""
    capacity: int
    reserved: int
    """Room promised to messages that are still on their way to the disk."""
    senders_waiting: int
    oldest: float
    """Seconds that the oldest message has waited, at most; 0 if none does."""
    accepted: int
    dropped: int
    paused: tuple[str, ...]
    """Why nothing is taken at present; empty if it is."""


class Mailbox:
    """A bounded queue with one reader at a time. Control traffic is unbounded, goes first and is never dropped."""

    __slots__ = (
        "_control",
        "_in",
        "_lanes",
        "_out",
        "_paused",
        "_reader",
        "_room",
        "_since",
        "_since_in",
        "accepted",
        "closed",
        "dropped",
        "now",
        "on_drop",
        "reserved",
        "rouse",
        "spec",
    )

    def __init__(self, spec: MailboxSpec, now: Callable[[], float]) -> None:
        self.spec = spec
        self.now = now
        self.reserved = 0
        self.accepted = 0
        self.dropped = 0
        self.closed: AgentStopped | None = None
        """Set when the slot ended for good; every later message gets it."""
        self.rouse: Callable[[], None] | None = None
        """Called once when something arrives and nobody reads (a hibernated incarnation)."""
        self.on_drop: Callable[[object, str], None] | None = None
        self._control: list[object] = []
        self._in: list[object] = []
        self._out: list[object] = []
        self._lanes: dict[int, deque[object]] | None = None
        self._reader: trio.lowlevel.Task | None = None
        self._room: deque[trio.lowlevel.Task] | None = None
        self._paused: dict[str, None] | None = None
        self._since = 0.0
        """When the oldest message in `_out` or in a lane arrived; `_since_in`: the oldest in `_in`."""
        self._since_in = 0.0

    # -- what waits

    def __len__(self) -> int:
        count = len(self._in) + len(self._out)
        if self._lanes:
            count += sum(map(len, self._lanes.values()))
        return count

    def __iter__(self) -> Iterator[object]:
        """Everything that waits, in the order in which it will be taken; control traffic is left out."""
        lanes = self._lanes or {}
        yield from lanes.get(Priority.HIGH, ())
        yield from reversed(self._out)
        yield from self._in
        yield from lanes.get(Priority.LOW, ())

    @property
    def has_room(self) -> bool:
        return len(self) + self.reserved < self.spec.capacity

    @property
    def paused(self) -> bool:
        return bool(self._paused)

    @property
    def oldest(self) -> float:
        """Seconds that the message in front has waited; 0 if none waits. Exact to the burst that it came with."""
        if self._out or self._lanes:
            return max(0.0, self.now() - self._since)
        return max(0.0, self.now() - self._since_in) if self._in else 0.0

    def statistics(self) -> MailboxStatistics:
        """Counts as they are now; costs nothing that the mailbox would not have kept anyway."""
        depth = len(self)
        return MailboxStatistics(
            depth=depth,
            capacity=self.spec.capacity,
            reserved=self.reserved,
            senders_waiting=len(self._room or ()),
            oldest=self.oldest,
            accepted=self.accepted,
            dropped=self.dropped,
            paused=tuple(self._paused or ()),
        )

    # -- putting

    def put_control(self, item: object) -> None:
        """Hand something to the reader before all messages of users. Never refused."""
        self._control.append(item)
        self._wake(control=True)

    def put_nowait(self, item: object, priority: int = Priority.NORMAL) -> None:
        """Queue a message at once. Raises `MailboxFull` or `AgentStopped`; a policy that drops raises nothing."""
        if self.closed is not None:
            raise self.closed
        crowded = len(self._in) + len(self._out) + self.reserved >= self.spec.capacity or self._lanes
        if crowded and not self.has_room and not self._make_room(item):
            return
        self.accepted += 1
        self._append(item, priority)

    async def put(self, item: object, priority: int = Priority.NORMAL) -> None:
        """Queue a message, waiting for room if the policy says so. Cancelled: it was not queued."""
        if await self.reserve(item):
            self.fill(item, priority)

    async def reserve(self, item: object) -> bool:
        """Wait for room and keep it for `fill` or `release`. False: the policy dropped `item` instead.

        Senders get room in the order in which they came. Raises `MailboxFull` (refuse) and `AgentStopped`.
        """
        if self.closed is not None:
            raise self.closed
        if not self.has_room or self._room:
            if self.spec.overflow is Overflow.WAIT or (
                self.spec.overflow is Overflow.COALESCE and not self._replaceable(item)
            ):
                await self._wait_for_room()
                return True
            if not self._make_room(item):
                return False
        self.reserved += 1
        return True

    def reserve_nowait(self, item: object) -> bool:
        """`reserve` without waiting: raises `MailboxFull` where that would wait."""
        if self.closed is not None:
            raise self.closed
        if not self.has_room and not self._make_room(item):
            return False
        self.reserved += 1
        return True

    def fill(self, item: object, priority: int = Priority.NORMAL) -> None:
        """Use room that was reserved. Raises `AgentStopped` if the slot has ended meanwhile."""
        self.reserved -= 1
        if self.closed is not None:
            raise self.closed
        self.accepted += 1
        self._append(item, priority)

    def release(self) -> None:
        """Give back room that was reserved."""
        self.reserved -= 1
        self._admit()

    def put_back(self, items: list[Any]) -> None:
        """Return messages to the head, in their order, whatever the capacity: they had been accepted before."""
        self._settle_order()
        self._out.extend(reversed(items))
        self._wake()

    def restock(self, item: object, priority: int) -> None:
        """Queue a message that the journal had accepted in an earlier life: capacity does not apply."""
        self._append(item, priority)

    def discard(self, kind: type) -> None:
        """Drop everything of `kind` that waits in the high lane: ticks of an incarnation that has ended."""
        if self._lanes and Priority.HIGH in self._lanes:
            kept = deque(item for item in self._lanes[Priority.HIGH] if type(item) is not kind)
            self._lanes[Priority.HIGH] = kept

    # -- taking

    def take(self) -> object | None:
        """The next item, or None: control first, then high, normal, low. None also while paused."""
        if self._control:
            return self._control.pop(0)
        if self._paused:
            return None
        lanes = self._lanes
        if lanes and lanes.get(Priority.HIGH):
            item = lanes[Priority.HIGH].popleft()
        elif self._out:
            item = self._out.pop()
        elif self._in:
            self._settle_order()
            item = self._out.pop()
        elif lanes and lanes.get(Priority.LOW):
            item = lanes[Priority.LOW].popleft()
        else:
            return None
        if self._room:
            self._admit()
        return item

    @property
    def has_work(self) -> bool:
        """Whether `take` would return something."""
        return bool(self._control) or (not self._paused and len(self) > 0)

    async def wait(self) -> None:
        """Park until there may be something to take. A checkpoint. Cancelled: nothing was taken."""
        if self.has_work:
            await trio.lowlevel.checkpoint()
            return
        task = self._reader = trio.lowlevel.current_task()

        def abort(_: object) -> trio.lowlevel.Abort:
            if self._reader is task:  # a fenced reader must not take the place of the one after it
                self._reader = None
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abort)

    # -- pausing and closing

    def pause(self, why: str) -> None:
        """Hand out no messages of users until `resume(why)`. Reasons add up."""
        if self._paused is None:
            self._paused = {}
        self._paused[why] = None

    def resume(self, why: str) -> None:
        """Take one reason to pause away."""
        if self._paused and why in self._paused:
            del self._paused[why]
            if not self._paused:
                self._paused = None
                if len(self):
                    self._wake()

    def close(self, error: AgentStopped) -> list[object]:
        """End for good: senders that wait get `error`; returns what was left, in order."""
        self.closed = error
        left = list(self)
        self._in, self._out, self._lanes = [], [], None
        while self._room:
            trio.lowlevel.reschedule(self._room.popleft(), outcome.Error(error))
        return left

    def reopen(self) -> None:
        """Take messages again: somebody lives here once more."""
        self.closed = None

    # -- inside

    def _append(self, item: object, priority: int) -> None:
        if priority == Priority.NORMAL:
            if not self._in:
                self._since_in = self.now()
            self._in.append(item)
        else:
            if len(self) == 0:
                self._since = self.now()
            if self._lanes is None:
                self._lanes = {}
            self._lanes.setdefault(priority, deque()).append(item)
        self._wake()

    def _wake(self, *, control: bool = False) -> None:
        reader = self._reader
        if reader is not None:
            self._reader = None
            trio.lowlevel.reschedule(reader, WAKE)
        elif self.rouse is not None and (control or not self._paused):
            rouse, self.rouse = self.rouse, None
            rouse()

    def _settle_order(self) -> None:
        """Move what has arrived behind what is being handed out."""
        if self._in:
            self._in.reverse()
            self._in.extend(self._out)
            if not self._out:
                self._since = self._since_in
            self._out, self._in = self._in, []

    def _make_room(self, item: object) -> bool:
        """Apply the policy of a full mailbox that does not wait. False: `item` itself was dropped or merged."""
        overflow = self.spec.overflow
        if overflow is Overflow.DROP_OLDEST and not _is_ask(item):
            victim = self._remove_first(lambda waiting: not _is_ask(waiting))
            if victim is not None:
                self._drop(victim, "the mailbox was full: the oldest made room")
                return True
        elif overflow is Overflow.DROP_NEWEST and not _is_ask(item):
            self._drop(item, "the mailbox was full: the newest was dropped")
            return False
        elif overflow is Overflow.COALESCE and self._replaceable(item):
            kind = type(_body(item))
            victim = self._replace_first(lambda waiting: type(_body(waiting)) is kind and not _is_ask(waiting), item)
            self._drop(victim, "a newer message of its kind replaced it")
            return False
        raise MailboxFull(
            f"{self}: its mailbox is full ({self.spec.capacity} messages, policy {overflow.value}); "
            "send less, raise mailbox.capacity, or await tell() to wait for room",
            path=getattr(self, "path", None),  # pyright: ignore[reportArgumentType]
            retry_safe=True,
        )

    def _replaceable(self, item: object) -> bool:
        kind = type(_body(item))
        return not _is_ask(item) and any(type(_body(waiting)) is kind and not _is_ask(waiting) for waiting in self)

    def _remove_first(self, wanted: Callable[[object], bool]) -> object | None:
        self._settle_order()
        for index in range(len(self._out) - 1, -1, -1):
            if wanted(self._out[index]):
                return self._out.pop(index)
        return None

    def _replace_first(self, wanted: Callable[[object], bool], item: object) -> object:
        self._settle_order()
        for index in range(len(self._out) - 1, -1, -1):
            if wanted(self._out[index]):
                victim, self._out[index] = self._out[index], item
                self.accepted += 1
                return victim
        raise AssertionError("_replaceable() said that there is one")

    def _drop(self, item: object, why: str) -> None:
        self.dropped += 1
        if self.on_drop is not None:
            self.on_drop(item, why)

    async def _wait_for_room(self) -> None:
        if self._room is None:
            self._room = deque()
        room, task = self._room, trio.lowlevel.current_task()
        room.append(task)

        def abort(_: object) -> trio.lowlevel.Abort:
            room.remove(task)
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abort)

    def _admit(self) -> None:
        """Promise free room to the sender that has waited longest; it cannot be overtaken."""
        while self._room and self.has_room:
            self.reserved += 1
            trio.lowlevel.reschedule(self._room.popleft(), WAKE)


def _is_ask(item: object) -> bool:
    return type(item) is Envelope and item.reply is not None


def _body(item: object) -> object:
    return item.body if type(item) is Envelope else item
