"""A reference to a slot: how messages are told and asked. It stays good over restarts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import trio

from .core.durability import Message
from .core.message import Envelope, Priority, Request, asks_itself
from .core.path import Path
from .errors import (
    AskCycle,
    AskTimeout,
    DurabilityError,
    MailboxFull,
    NotHandled,
)
from .mailbox import WAKE, MailboxStatistics
from .ports import Outgoing
from .slot import Slot, Turn, current_turn

__all__ = ["Ref"]

R = TypeVar("R")

_TELLS_PER_CHECKPOINT: Final = 32
_SECONDS_PER_CHECKPOINT: Final = 0.001


class Ref:
    """The address of a slot. Two refs with the same path are equal; restarts do not matter to them.

    Made by `tree.ref(path)` and `self.ref(path)`, never by hand.
    """

    __slots__ = ("_find", "_since_checkpoint", "_slot", "_tells", "path")

    def __init__(self, path: Path, find: Callable[[Path], Slot]) -> None:
        self.path = path
        self._find = find
        self._slot: Slot | None = None
        self._tells = 0
        self._since_checkpoint = 0.0

    def __repr__(self) -> str:
        return f"Ref({self.path})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ref) and other.path == self.path

    def __hash__(self) -> int:
        return hash(self.path)

    async def tell(self, message: object, *, priority: int = Priority.NORMAL, within: float = 30.0) -> None:
        """Send `message` and go on; waits for room in the mailbox, and for the disk if the receiver is durable.

        When it returns, a receiver of durability `message` will handle the message even after `kill -9`. Inside a
        handler of such an agent it returns at once: the message leaves in the commit that settles the handler, and
        not at all if the handler raises. Not promised: that the message has been handled, or will be without error.

        Waits at most `within` seconds for room. Cancelled while it waits for room: nothing was sent; later: it was.
        Raises `MailboxFull`, `AgentStopped`, `NotHandled`, `NoSuchSlot`, `CommitFailed`.
        """
        turn = current_turn.get()
        for slot in self._receivers(message):
            if turn is not None and turn.waits_for_commit and turn.envelope is not None and not turn.fenced:
                await self._tell_with_settle(slot, turn, message, priority, within)
                continue
            sender = turn.path if turn is not None else None
            if slot.store is not None and isinstance(slot.spec.durability, Message):
                if await self._reserve(slot, message, within):
                    await slot.store.accept(slot, Envelope(message, sender=sender, priority=priority))
                continue
            if await self._reserve(slot, message, within):
                slot.fill(message if sender is None else Envelope(message, sender=sender), priority)
            await self._checkpoint_now_and_then()

    def tell_nowait(self, message: object, *, priority: int = Priority.NORMAL) -> None:
        """Send `message` without waiting for anything.

        Raises `MailboxFull` where `tell` would wait, and `DurabilityError` where it would wait for the disk.
        """
        turn = current_turn.get()
        for slot in self._receivers(message):
            if turn is not None and turn.waits_for_commit and turn.envelope is not None and not turn.fenced:
                if slot.reserve_nowait(message):
                    _leave_with_settle(slot, turn, message, priority)
                continue
            if slot.store is not None and isinstance(slot.spec.durability, Message):
                raise DurabilityError(
                    f"{slot.path}: tell_nowait cannot wait for the disk; use `await ref.tell(...)`, "
                    "or give the child mailbox durability 'volatile'",
                    path=slot.path,
                    retry_safe=True,
                )
            slot.put_nowait(message if turn is None else Envelope(message, sender=turn.path), priority)

    async def ask(self, message: Request[R], *, within: float = 5.0, priority: int = Priority.NORMAL) -> R:
        """Send `message` and wait for its reply, at most `within` seconds.

        An ask is not stored and never redelivered: its reply is its acknowledgement. A reply that comes too late
        is dropped. Cancelling an ask takes it out of nobody's mailbox: it is handled, and its reply is dropped.

        Raises `AskTimeout`, `AgentFailed` (the handler raised), `AskCycle`, `AgentStopped`, `MailboxFull`,
        `NotHandled`, `NoSuchSlot`.
        """
        slot = self._receivers(message)[0]
        turn = current_turn.get()
        askers: tuple[Path, ...] = ()
        asking: Slot | None = None
        if turn is not None and turn.envelope is not None:
            askers, asking = turn.askers, turn.slot
            _refuse_cycle(slot, asking, askers)
            if asking.store is not None and turn.waits_for_commit:
                await asking.store.settled()
        answer = _Answer()
        deadline = trio.current_time() + within
        envelope = Envelope(
            message,
            sender=turn.path if turn is not None else None,
            askers=askers,
            reply=answer.resolve,
            deadline=deadline,
            priority=priority,
        )
        if asking is not None:
            asking.waiting_on = slot
        try:
            with trio.CancelScope(deadline=deadline) as limit:
                await slot.put(envelope, priority)
                return await answer.wait()
        finally:
            answer.leave()
            if asking is not None:
                asking.waiting_on = None
        assert limit.cancelled_caught
        raise _timed_out(slot, envelope, within)

    def statistics(self) -> MailboxStatistics:
        """The receiver's mailbox as it is now. Raises `NoSuchSlot`."""
        return self._find(self.path).statistics()

    def _receivers(self, message: object) -> Sequence[Slot]:
        """The slots that get `message`: one, except for some pools."""
        slot = self._slot
        if slot is None or slot.closed is not None:
            slot = self._slot = self._find(self.path)
        return (self._checked(slot, message),)

    def _checked(self, slot: Slot, message: object) -> Slot:
        if slot.handles is not None and type(message) not in slot.handles:
            _check_handled(slot, message)
        return slot

    async def _reserve(self, slot: Slot, message: object, within: float) -> bool:
        if slot.has_room or within == float("inf"):
            return await slot.reserve(message)
        with trio.move_on_after(within):
            return await slot.reserve(message)
        raise MailboxFull(
            f"{self.path}: no room in its mailbox within {within:g} s ({len(slot)} of {slot.spec.capacity} wait"
            f"{', paused: ' + ', '.join(slot.statistics().paused) if slot.paused else ''})",
            path=self.path,
            retry_safe=True,
        )

    async def _tell_with_settle(self, slot: Slot, turn: Turn, message: object, priority: int, within: float) -> None:
        if slot is turn.slot:  # waiting for room in one's own mailbox would wait for oneself
            accepted = slot.reserve_nowait(message)
        else:
            accepted = await self._reserve(slot, message, within)
        if accepted:
            _leave_with_settle(slot, turn, message, priority)
        await trio.lowlevel.checkpoint_if_cancelled()

    async def _checkpoint_now_and_then(self) -> None:
        self._tells += 1
        now = trio.current_time()
        if self._tells >= _TELLS_PER_CHECKPOINT or now - self._since_checkpoint > _SECONDS_PER_CHECKPOINT:
            self._tells = 0
            await trio.lowlevel.checkpoint()
            self._since_checkpoint = trio.current_time()
        else:
            await trio.lowlevel.checkpoint_if_cancelled()


class _Answer:
    """Where one asker waits. Answering it after it has left does nothing."""

    __slots__ = ("error", "known", "left", "task", "value")

    def __init__(self) -> None:
        self.task: trio.lowlevel.Task | None = None
        self.known = False
        self.left = False
        self.value: Any = None
        self.error: BaseException | None = None

    def resolve(self, value: Any, error: BaseException | None) -> None:
        if self.known or self.left:
            return
        self.known, self.value, self.error = True, value, error
        if self.task is not None:
            task, self.task = self.task, None
            trio.lowlevel.reschedule(task, WAKE)

    def leave(self) -> None:
        self.left = True
        self.task = None

    async def wait(self) -> Any:
        if not self.known:
            self.task = trio.lowlevel.current_task()

            def abort(_: object) -> trio.lowlevel.Abort:
                self.task = None
                return trio.lowlevel.Abort.SUCCEEDED

            await trio.lowlevel.wait_task_rescheduled(abort)
        if self.error is not None:
            raise self.error
        return self.value


def _leave_with_settle(slot: Slot, turn: Turn, message: object, priority: int) -> None:
    envelope = Envelope(message, sender=turn.path, priority=priority)

    def release() -> None:
        if slot.closed is None:
            slot.fill(envelope, priority)
        else:
            slot.release()
            if slot.on_drop is not None:
                slot.on_drop(envelope, "the slot ended before the message left")

    durable = slot.store is not None and isinstance(slot.spec.durability, Message)
    turn.outgoing.append(
        Outgoing(target=slot, envelope=envelope, release=release, cancel=slot.release, durable=durable)
    )


def _refuse_cycle(target: Slot, asking: Slot, askers: tuple[Path, ...]) -> None:
    cycle = asks_itself(target.path, askers)
    if cycle is None:
        chain, step = [asking.path, target.path], target
        while step.waiting_on is not None and len(chain) < 1000:
            step = step.waiting_on
            chain.append(step.path)
            if step is asking:
                cycle = tuple(chain)
                break
    if cycle is not None:
        raise AskCycle(
            f"asking would wait for itself: {' asks '.join(cycle)}; tell instead of ask somewhere along this cycle",
            path=target.path,
            retry_safe=True,
        )


def _check_handled(slot: Slot, message: object) -> None:
    handled = slot.handles or frozenset()
    if any(kind in handled for kind in type(message).__mro__):
        return
    known = ", ".join(sorted(kind.__qualname__ for kind in handled)) or "no messages"
    raise NotHandled(
        f"{slot.path}: it does not handle {type(message).__qualname__}; it handles {known}",
        path=slot.path,
        retry_safe=True,
    )


def _timed_out(slot: Slot, envelope: Envelope, within: float) -> AskTimeout:
    kind = type(envelope.body).__qualname__
    waiting = list(slot)
    if envelope in waiting:
        place = waiting.index(envelope)
        doing = f"it is {place} messages from its turn"
        if slot.paused:
            doing += f"; the slot is paused ({', '.join(slot.statistics().paused)})"
        elif slot.agent is None:
            doing += "; nobody lives in the slot at the moment"
    elif slot.busy is envelope:
        doing = "its handler is still running"
    else:
        doing = "it may have been handled"
    return AskTimeout(
        f"{slot.path}: no reply to {kind} within {within:g} s: {doing}", path=slot.path, retry_safe=envelope in waiting
    )
