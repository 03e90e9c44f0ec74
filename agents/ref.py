"""A reference to a slot: how messages are told and asked. It stays good over restarts."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

from trio.lowlevel import checkpoint_if_cancelled, current_task, reschedule, wait_task_rescheduled

from .asking import Answer, no_room, refuse_who_comes_later
from .audience import Audience, Receivers
from .core.durability import Overflow
from .core.message import Envelope, Priority, Request
from .core.path import Path
from .errors import ConfigurationError, NoSuchSlot
from .intake import Beyond
from .sending import (
    checked,
    ended_by,
    in_line,
    line_up,
    prepare_ask,
    refuse_what_has_no_reply,
    tell_each,
    tell_each_nowait,
)
from .slot import TIMED, Slot, Turn, current_turn
from .traffic import SENT_PER_CHECKPOINT, Traffic, deadline_of, is_starting
from .wake import WAKE

if TYPE_CHECKING:
    from .statistics import MailboxStatistics
    from .traced import Traced

__all__ = ["Ref"]

R = TypeVar("R")

_NORMAL: Final = Priority.NORMAL
_turn_now: Final = current_turn.get
_PRIORITIES: Final = (Priority.HIGH, _NORMAL, Priority.LOW)


class Ref:
    """The address of a slot or a pool. Two refs of one tree with one path are equal; restarts do not matter to them.

    Made by `tree.ref(path)` and `self.ref(path)`, never by hand.
    """

    __slots__ = ("_find", "_slot", "_traffic", "path")

    def __init__(self, path: Path, find: Callable[[Path], Slot | Receivers | Audience], traffic: Traffic) -> None:
        self.path = path
        self._find = find
        self._traffic = traffic
        self._slot: Slot | None = None
        """What `find` gave last time, unless it is a pool."""

    def __repr__(self) -> str:
        return f"Ref({self.path})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ref) and other.path == self.path and other._traffic is self._traffic

    def __hash__(self) -> int:
        return hash(self.path)

    async def tell(self, message: object, *, priority: int = _NORMAL, within: float = 30.0) -> None:
        """Send `message` and go on; waits for room in the mailbox, and for the disk if the receiver is durable.

        When it returns, a receiver of durability `message` will handle the message even after `kill -9`, or its policy
        has dropped it and the dead letter is on disk. Inside a handler of such an agent it does not wait for the disk:
        the message leaves in the commit that settles the handler, and not at all if the handler raises. Not promised:
        that the message has been handled, or will be without error.

        Waits at most `within` seconds (and up to 1/64 s more, or a thousandth), for room and for a disk that takes
        nothing at the moment. Cancelled: it was not sent; whoever is cancelled later, while it is on its way to the
        disk, is told so by what he awaits next. Every call looks whether its caller was cancelled, and every 32nd, and
        one in every millisecond, lets others run.

        A pool that broadcasts is told as a whole: each worker that can gets the message, and if some could not, a
        `DeliveryError` names them. Cancelled while this, or a topic, waits for room: those that had room have got it.

        Raises `MailboxFull`, `AgentStopped`, `IntakeClosed`, `NotHandled`, `NoSuchSlot`, `DurabilityError` (the disk
        took nothing within that time), `CommitFailed` (it refused this message).
        """
        slot, turn = self._slot, _turn_now()
        if (
            (turn is None or turn.leaves_at_once)
            and slot is not None
            and type(message) in slot.plain
            and priority is _NORMAL
            and (slot.sure or slot.look_for_room() or (turn is None and slot.has_to_wait(message)))
        ):
            if not slot.sure:
                await line_up(slot, deadline_of(self._traffic.now(), within, slot.path), self._traffic)
                slot.fill(message)
                return
            await checkpoint_if_cancelled()  # before it is sent: nobody is told that it was not when it was
            if slot.arrived and slot.rouse is None:
                slot.sure -= 1
                slot.arrived.append(message)  # whoever reads has been woken for those before it
            else:
                slot.put_plain(message)
            traffic = self._traffic
            traffic.sent += 1
            if traffic.sent >= SENT_PER_CHECKPOINT or traffic.stopwatch() - traffic.since > traffic.share:
                await traffic.give_way_once_sent()
            return
        try:
            audience = self._audience(turn, priority)
            receivers = () if audience is not None else self._receivers(message, turn, priority)
        except NoSuchSlot as missing:
            left = await self._traffic.until_there(missing, within)
            await self.tell(message, priority=priority, within=left)
            return
        if audience is not None:
            await checkpoint_if_cancelled()
            await audience.publish(message, turn, priority, deadline_of(self._traffic.now(), within, self.path))
            await self._traffic.pace_once_sent()
            return
        await tell_each(self.path, receivers, message, turn, priority, within, self._traffic)

    def tell_nowait(self, message: object, *, priority: int = _NORMAL) -> None:
        """Send `message` without waiting for anything.

        Raises `MailboxFull` where `tell` would wait, and `DurabilityError` where it would wait for the disk.
        """
        slot, turn = self._slot, _turn_now()
        if (
            (turn is None or turn.leaves_at_once)
            and slot is not None
            and type(message) in slot.plain
            and priority is _NORMAL
            and (slot.sure or slot.look_for_room() or turn is None)
        ):
            if not slot.sure:
                slot.put_nowait(message)
            elif slot.arrived and slot.rouse is None:
                slot.sure -= 1
                slot.arrived.append(message)  # whoever reads has been woken for those before it
            elif (reader := slot.reader) is not None and slot.simple:  # `put_plain`, for the most common case
                slot.sure -= 1
                slot.since_in = slot.now()
                slot.arrived.append(message)
                slot.reader = None
                reschedule(reader, WAKE)
            else:
                slot.put_plain(message)
            return
        audience = self._audience(turn, priority)
        if audience is not None:
            audience.publish_nowait(message, turn, priority)
            return
        tell_each_nowait(self.path, self._receivers(message, turn, priority), message, turn, priority)

    async def ask(self, message: Request[R], *, within: float = 5.0, priority: int = _NORMAL) -> R:
        """Send `message` and wait for its reply, at most `within` seconds (and up to 1/64 s more, or a thousandth).

        An ask is not stored and never redelivered: its reply is its acknowledgement. Inside a handler of durability
        `message` it waits first until what that agent has settled is on disk; and when that handler runs again, after
        a crash, an ask to an agent of the same durability gets the reply that it got before.

        An agent that has nothing to do handles it at once if its handler awaits nothing (a plain `def`, or an
        `async def` without an `await`): that runs in the task of the asker, in the context of the agent; what it raises
        fails the agent. One in memory answers at once, too, and every 32nd such ask is a checkpoint; one of durability
        `message` does when what it settled is on disk. Those of durability `checkpoint` or with `keeps_task`, what a
        handler asks a durable agent that it may ask again, and what is asked while an exception is handled, go through
        the mailbox.

        A reply that comes too late is dropped. Cancelled: the message is not taken out of the mailbox; it is handled,
        and its reply is dropped. A pool that broadcasts is asked through its first worker.

        Raises `AskTimeout`, `AgentFailed` (the handler raised), `AskCycle`, `AgentStopped`, `IntakeClosed`,
        `MailboxFull`, `NotHandled`, `NoSuchSlot`, and `ConfigurationError` for a message that is no `Request`.
        """
        slot, turn, traffic = self._slot, _turn_now(), self._traffic
        now = traffic.now()
        if (
            turn is None
            and slot is not None
            and type(message) in slot.plain
            and priority is _NORMAL
            and slot.serve is not None
            and slot.reader is not None
            and slot.is_idle
        ):
            answer = traffic.form(slot, message, now, within)
            served = slot.serve(answer) if within > 0 else None
            if served:
                traffic.put_back(answer)
                traffic.sent += 1
                if traffic.sent >= SENT_PER_CHECKPOINT or traffic.stopwatch() - traffic.since > traffic.share:
                    await traffic.give_way()
                else:
                    await checkpoint_if_cancelled()
                return served[0]
            if served is not None:
                return await self._reply(answer)
            traffic.put_back(answer)
        if slot is None or slot.closed is not None or type(message) not in slot.handles or priority is not _NORMAL:
            try:
                slot = self._receivers(message, turn, priority)[0]
            except NoSuchSlot as missing:
                left = await traffic.until_there(missing, within)
                return await self.ask(message, within=left, priority=priority)
        elif turn is not None:
            self._check(turn, priority)
        refuse_what_has_no_reply(slot, message)
        envelope = Envelope(message)
        deadline = envelope.deadline = deadline_of(now, within, slot.path)
        envelope.priority = priority
        if slot.plain is TIMED:
            envelope.since = now
        asking: Slot | None = None
        if turn is not None:
            envelope.sender = turn.path
            if turn.in_handler:
                asking = turn.slot
                await prepare_ask(envelope, slot, turn, self.path)
            elif is_starting():
                refuse_who_comes_later(slot, turn.slot)
        answer = Answer(slot, envelope, within, asking)
        try:
            served = None
            if slot.serve is not None and slot.reader is not None and slot.is_idle and deadline > traffic.now():
                served = slot.serve(answer)
            if served:
                answer.leave()
                await traffic.pace()
                return served[0]
            if served is None:
                if priority is _NORMAL and (slot.sure or slot.look_for_room()):
                    slot.put_plain(envelope)
                else:
                    await self._put(answer, deadline, turn)
        except BaseException:
            answer.leave()
            raise
        return await self._reply(answer)

    def traced(self, trace: str) -> Traced:
        """The same address, with `tell` and `ask`, where what is sent begins in `trace`, a name of yours, or goes on in
        one: the number of an order, a `self.trace`, a W3C `traceparent`, of which the trace id counts.

        For receivers of durability `message`; others keep no trace. An ask of a handler stays in that of its message.
        Raises `ConfigurationError` for a name that is not of 1 to 64 letters, digits and `_.:-`.
        """
        from .traced import Traced, checked_trace  # where a program has names for what comes to it

        return Traced(
            path=self.path, trace=checked_trace(trace), traffic=self._traffic, receivers=self._receivers,
            audience=self._audience, put=self._put, reply=self._reply, plain=self.ask,
        )  # fmt: skip

    async def hand_on(self, message: object, turn: Turn, way: tuple[Path, ...], priority: int) -> None:
        """`tell`, of what was told the agent of `turn`, on its `way`. A topic begins a new one."""
        if await self._traffic.once_there(lambda: self._audience(turn, priority), 30.0) is not None:
            await self.tell(message, priority=priority)
        else:
            receivers = await self._traffic.once_there(lambda: self._receivers(message, turn, priority), 30.0)

            def stamp(_: Slot, item: Envelope) -> None:
                item.askers = way

            await tell_each(self.path, receivers, message, turn, priority, 30.0, self._traffic, stamp=stamp)

    async def hand_over(self, message: object, turn: Turn, beyond: Beyond) -> None:
        """`tell`, of a result of a stage that is to stop: it waits for no room where it is let in `beyond` that."""
        if self._audience(turn, _NORMAL) is not None:
            await self.tell(message, within=math.inf)
        else:
            receivers = self._receivers(message, turn, _NORMAL)
            await tell_each(self.path, receivers, message, turn, _NORMAL, math.inf, self._traffic, beyond=beyond)

    async def _put(self, answer: Answer, deadline: float, turn: Turn | None) -> None:
        slot, envelope = answer.slot, answer.envelope
        if not slot.has_to_wait(envelope, envelope.priority):
            slot.put_nowait(envelope, envelope.priority)
        elif await self._traffic.until(deadline, in_line(slot, turn, envelope.priority)):
            if turn is not None and turn.void:
                slot.release()
                raise ended_by(turn)
            slot.fill(envelope, envelope.priority)
        else:
            raise no_room(slot, envelope, answer.within)

    async def _reply(self, answer: Answer) -> Any:
        traffic, bucket = self._traffic, None
        try:
            if answer.known:
                await traffic.pace()
            else:
                bucket = traffic.limit(answer, answer.envelope.deadline, answer.within)
                answer.task = current_task()
                await wait_task_rescheduled(answer.abort)  # here: one coroutine more would be a tenth of a wait
        finally:
            if not answer.known:
                answer.leave()
            if bucket is not None:
                bucket.pop(answer, None)
        value, error = answer.reply
        if error is not None:
            raise error
        return value

    def path_for(self, whom: Ref) -> Path:
        """Its path, for what only leads somewhere within the tree of `whom`. Raises `ConfigurationError` if it is of
        another one, where that path is somebody else."""
        if self._traffic is not whom._traffic:
            raise ConfigurationError(
                f"{whom.path}: {self!r} is of another tree, whose agents can be told and asked from here, but neither "
                "watched nor subscribed; watch it through its own tree, and subscribe somebody of this one who tells it"
            )
        return self.path

    @property
    def slots(self) -> Sequence[Slot]:
        """Who may get what is sent here. Raises `NoSuchSlot`, `AgentStopped`."""
        found = self._find(self.path)
        return (found,) if isinstance(found, Slot) else found.slots

    async def receiver(self, message: object, turn: Turn, priority: int, within: float) -> Slot:
        """Whose mailbox a message that only one may answer goes into. Raises what `ask` raises about it."""
        return (await self._traffic.once_there(lambda: self._receivers(message, turn, priority), within))[0]

    def statistics(self) -> MailboxStatistics:
        """The receiver's mailbox as it is now; of a pool, the mailboxes of its workers taken together.

        Raises `NoSuchSlot`, `AgentStopped`.
        """
        found = self._find(self.path)
        if isinstance(found, Slot):
            return found.statistics()
        from .statistics import together

        return together([slot.statistics() for slot in found.slots])

    def subscribe(self, subscriber: Ref | str, *, overflow: Overflow = Overflow.DROP_NEWEST) -> None:
        """Let a topic tell `subscriber`, an agent or a pool, what it is told from now on; again changes the policy.

        `overflow` is what this topic does when there is no room in that mailbox, whatever the mailbox's own policy.
        It lasts as long as the topic and the subscriber's slot, over restarts of both, but not over a process death:
        subscribe in `on_start`, or in the blueprint. A text is a path from the root. Raises `NoSuchSlot` where nobody
        is or begins, `ConfigurationError` for what is no topic, no path or no policy, and for a ref of another tree.
        """
        try:
            policy = Overflow(overflow)
        except ValueError:
            known = ", ".join(Overflow)
            raise ConfigurationError(f"{self.path}: overflow is {overflow!r}; take one of {known}") from None
        self._topic().subscribe(self._subscriber(subscriber), policy)

    def unsubscribe(self, subscriber: Ref | str) -> bool:
        """Take `subscribe` back; whether there was anything to take back. What waits in the mailbox stays there."""
        return self._topic().unsubscribe(self._subscriber(subscriber))

    def _subscriber(self, named: Ref | str) -> Path:
        if isinstance(named, Ref):
            return named.path_for(self)
        try:
            return Path.parse(named)
        except ValueError:
            text = f"{self.path}: {named!r} names no subscriber; give a ref, or a path from the root"
            raise ConfigurationError(text) from None

    def _topic(self) -> Audience:
        found = self._find(self.path)
        if isinstance(found, Audience):
            return found
        raise ConfigurationError(f"{self.path}: it is no topic, so nobody can subscribe to it; build one with topic()")

    def _audience(self, turn: Turn | None, priority: int) -> Audience | None:
        """The topic that this is the address of, if it is one."""
        if self._slot is not None and self._slot.closed is None:
            return None
        found = self._find(self.path)
        if not isinstance(found, Audience):
            return None
        self._check(turn, priority)
        return found

    def _check(self, turn: Turn | None, priority: int) -> None:
        if turn is not None and turn.void:
            raise ended_by(turn)
        if priority not in _PRIORITIES:
            raise ConfigurationError(f"{self.path}: priority is {priority!r}; use Priority.HIGH, NORMAL or LOW")

    def _receivers(self, message: object, turn: Turn | None, priority: int) -> Sequence[Slot]:
        """Who gets `message`, if it may be sent at all."""
        self._check(turn, priority)
        slot = self._slot
        if slot is None or slot.closed is not None:
            found = self._find(self.path)
            if not isinstance(found, Slot):
                return [checked(each, message) for each in found.choose(message)]
            slot = self._slot = found
        return (checked(slot, message),)
