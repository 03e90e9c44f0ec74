"""How a message is told to all who get it, what it becomes on its way into a mailbox, and when it leaves: at once, or
with the settle of a handler."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from trio import current_time
from trio.lowlevel import checkpoint_if_cancelled

from .asking import askers_of, crowd, refuse_cycle
from .core.durability import Overflow
from .core.message import Envelope, Happened, Priority, Request
from .core.path import Path
from .errors import AgentStopped, ConfigurationError, DeliveryError, DurabilityError, MailboxFull, NotHandled
from .intake import Beyond
from .ports import Outgoing
from .room import Place
from .slot import NOT_KNOWN, TIMED, Slot, Turn
from .traffic import Traffic, deadline_of

__all__ = [
    "arrive",
    "checked",
    "ended_by",
    "handled_by",
    "in_line",
    "item_for",
    "leave_with_settle",
    "line_up",
    "prepare_ask",
    "refuse_what_has_no_reply",
    "refuse_what_waits_for_itself",
    "tell_each",
    "tell_each_nowait",
    "told_elsewhere",
]

_WAITING_POLICIES: Final = (Overflow.WAIT, Overflow.COALESCE)


async def tell_each(
    path: Path,
    receivers: Sequence[Slot],
    message: object,
    turn: Turn | None,
    priority: int,
    within: float,
    traffic: Traffic,
    *,
    stamp: Callable[[Slot, Envelope], None] | None = None,
    beyond: Beyond | None = None,
) -> None:
    """`Ref.tell` to those behind `path`, where nothing shorter will do. Raises what that raises.

    `stamp` writes on each where it comes from. `beyond`, where its sender is to stop, says which mailboxes take it
    without room.
    """
    await checkpoint_if_cancelled()  # from here on only a wait for room or for the disk is a place to be cancelled
    deadline = deadline_of(traffic.now(), within, path)
    errors: list[DeliveryError] = []
    for slot in receivers:
        item = item_for(slot, message, turn, priority)
        if stamp is not None and type(item) is Envelope:
            stamp(slot, item)
        try:
            await _tell_one(slot, item, turn, priority, deadline, traffic, beyond)
        except DeliveryError as error:
            errors.append(error)
    _report(path, errors, receivers)


def tell_each_nowait(path: Path, receivers: Sequence[Slot], message: object, turn: Turn | None, priority: int) -> None:
    """`Ref.tell_nowait` to those behind `path`, where nothing shorter will do. Raises what that raises."""
    errors: list[DeliveryError] = []
    for slot in receivers:
        try:
            _tell_one_nowait(slot, message, turn, priority)
        except DeliveryError as error:
            errors.append(error)
    _report(path, errors, receivers)


def _tell_one_nowait(slot: Slot, message: object, turn: Turn | None, priority: int) -> None:
    """`Ref.tell_nowait` to one receiver that is not told in the short way."""
    with_settle = turn is not None and turn.waits_for_commit
    if slot.durable and not with_settle:
        raise DurabilityError(
            f"{slot.path}: tell_nowait cannot wait for the disk; use `await ref.tell(...)`, or give the child mailbox "
            "durability 'volatile'",
            path=slot.path,
            retry_safe=True,
        )
    item = item_for(slot, message, turn, priority)
    if turn is not None and turn.in_handler and turn.slot.mail is slot:
        accepted = _reserve_own(slot, item, priority)
    else:
        accepted = slot.reserve_nowait(item, priority)
    if accepted and turn is not None and with_settle and type(item) is Envelope:
        leave_with_settle(slot, turn, item)
    elif accepted:
        slot.fill(item, priority)


async def _tell_one(
    slot: Slot,
    item: object,
    turn: Turn | None,
    priority: int,
    deadline: float,
    traffic: Traffic,
    beyond: Beyond | None,
) -> None:
    if turn is not None and turn.in_handler and turn.slot.mail is slot:
        accepted = _reserve_own(slot, item, priority)
    else:
        accepted = await _reserve(slot, item, turn, priority, deadline, traffic, beyond)
        if accepted and turn is not None and turn.void:
            slot.release()
            raise ended_by(turn)
    if accepted and type(item) is Envelope and turn is not None and turn.waits_for_commit:
        leave_with_settle(slot, turn, item)
    elif accepted and type(item) is Envelope and slot.durable:
        assert slot.store is not None
        try:
            await slot.store.accept(slot, item, deadline)
        except ConfigurationError as error:
            raise ConfigurationError(f"{slot.path}: {error}") from error
        return
    elif accepted:
        slot.fill(item, priority)
    elif slot.durable and not (turn is not None and turn.waits_for_commit):
        assert slot.store is not None
        await slot.store.given_up(deadline)  # its sender counts on it, and it was nowhere else
        return
    await traffic.pace_once_sent()


async def _reserve(
    slot: Slot,
    item: object,
    turn: Turn | None,
    priority: int,
    deadline: float,
    traffic: Traffic,
    beyond: Beyond | None,
) -> bool:
    if not slot.has_to_wait(item, priority):
        return slot.reserve_nowait(item, priority)
    if beyond is not None and beyond(slot):
        slot.promise_beyond()
        return True
    if turn is None:
        await line_up(slot, deadline, traffic, turn, priority)
        return True
    turn.waits += 1
    try:
        await line_up(slot, deadline, traffic, turn, priority)
    finally:
        turn.waits -= 1
    return True


def in_line(slot: Slot, turn: Turn | None, priority: int) -> Place:
    """A place in the line for room, for whoever's turn it is; to be waited in at once. Raises `MailboxFull` where there
    would never be room."""
    refuse_what_waits_for_itself(slot, turn)
    return slot.line_up(priority)


def refuse_what_waits_for_itself(slot: Slot, turn: Turn | None) -> None:
    """What a handler has told leaves with its settle, so a mailbox that this fills, alone or with what others have told
    who wait for it, there or elsewhere, never has room for more."""
    if turn is None or not turn.outgoing or slot.reserved < slot.most:
        return
    from .standstill import standstill  # with the first handler that tells so many

    waiting = standstill(slot, turn)
    if not waiting:
        return
    others = sorted({f"{each.path}" for each in waiting if each is not turn})
    who, whose = "this handler has", "it settles"
    if any(slots != {slot} for slots in waiting.values()):
        who, whose = f"handlers that wait for room which this one has taken ({', '.join(others)}) have", "they settle"
    elif others:
        who = "this handler and those that wait for room there have"
    raise MailboxFull(
        f"{slot.path}: its mailbox holds {slot.most}, and {who} told it as many, which leave when {whose}: raise "
        "mailbox.capacity, or tell fewer at a time and let a message to itself go on",
        path=slot.path,
        retry_safe=True,
    )


async def line_up(
    slot: Slot, deadline: float, traffic: Traffic, turn: Turn | None = None, priority: int = Priority.NORMAL
) -> None:
    """Wait for room, which is kept. A checkpoint."""
    begun = traffic.now()
    if not await traffic.until(deadline, in_line(slot, turn, priority)):
        raise MailboxFull(
            f"{slot.path}: no room in its mailbox within {max(0.0, deadline - begun):g} s ({crowd(slot)})",
            path=slot.path,
            retry_safe=True,
        )


def _report(path: Path, errors: list[DeliveryError], receivers: Sequence[Slot]) -> None:
    if not errors:
        return
    if len(errors) == len(receivers):
        raise errors[0]
    got, missed = len(receivers) - len(errors), "; ".join(str(error) for error in errors)
    raise DeliveryError(f"{path}: {got} of {len(receivers)} workers got it, and these did not: {missed}", path=path)


def item_for(slot: Slot, message: object, turn: Turn | None, priority: int) -> object:
    """What goes into the mailbox: the message itself, if nothing has to be known about it."""
    since = slot.now() if slot.plain is TIMED else None
    if (
        turn is None
        and not slot.durable
        and since is None
        and priority == Priority.NORMAL
        and message is not None  # that says: nothing waits
    ):
        return message
    return Envelope(message, sender=turn.path if turn is not None else None, priority=priority, since=since)


def _reserve_own(slot: Slot, item: object, priority: int) -> bool:
    """Room for a handler in its own mailbox. It cannot wait for itself; but the place of the message in hand is its."""
    return slot.reserve_nowait(item, priority, beyond=1 if slot.spec.overflow in _WAITING_POLICIES else 0)


def leave_with_settle(slot: Slot, turn: Turn, envelope: Envelope, overflow: Overflow | None = None) -> None:
    """Let `envelope`, for which there is room in `slot`, leave in the commit that settles the handler in hand."""

    def release() -> None:
        if not slot.is_gone:
            slot.fill(envelope, envelope.priority, overflow)
        else:
            slot.release()
            if slot.on_drop is not None:
                slot.on_drop(envelope, "the slot ended before the message left")

    if slot.durable and type(turn.slot.busy) is not Envelope and not envelope.id:
        envelope.id = turn.cause  # what a settle does not know of a timer
    turn.tell(Outgoing(target=slot, envelope=envelope, release=release, cancel=slot.release))


def arrive(slot: Slot, envelope: Envelope, overflow: Overflow | None = None) -> None:
    """What was on its way to the disk is there: into the room that was kept for it."""
    if not slot.is_gone:
        slot.fill(envelope, envelope.priority, overflow)
        return
    slot.release()
    if slot.on_drop is not None:
        slot.on_drop(envelope, "the slot ended before the message arrived")


def told_elsewhere(path: Path, to: Path) -> ConfigurationError:
    """What is said to a handler that tells an agent whose journal is another one."""
    return ConfigurationError(
        f"{path}: {to} is in another tree, and what a handler tells leaves in the commit of its own; tell it from a "
        "helper (self.start_soon) or a body, which do not wait for that"
    )


async def prepare_ask(envelope: Envelope, slot: Slot, turn: Turn, address: Path) -> None:
    """Make an ask one of a handler: it leaves when what it rests on is on disk, and it must not close a cycle."""
    asking = turn.slot
    if asking.durable and asking.store is not None:
        keeps = slot.store if turn.message and slot.durable else None
        named = "" if keeps is None else await keeps.name_of(envelope.body)
        await asking.store.settled()
        if turn.void:
            raise ended_by(turn)
        if keeps is not None:  # by its address: of a pool another worker may have it, when the handler runs again
            envelope.id = turn.step(f"{address}:{named}")
            asking.store.asks(turn.message, keeps)
    envelope.askers = askers_of(asking, current_time())
    refuse_cycle(slot, asking, envelope.askers)


def ended_by(turn: Turn) -> AgentStopped:
    """What is said to an incarnation that has ended."""
    return AgentStopped(
        f"{turn.path}: this incarnation has ended; what it still tells or asks does not leave", path=turn.path
    )


def handled_by(slot: Slot, kind: type) -> bool:
    """Whether the agent of `slot` takes messages of this type; yes, too, if nobody knows yet what it handles."""
    if slot.handles is NOT_KNOWN or any(base in slot.handles for base in kind.__mro__):
        return True
    return kind is Happened and slot.durable


def checked(slot: Slot, message: object) -> Slot:
    """`slot`, if it takes such a message."""
    if handled_by(slot, type(message)):
        return slot
    if type(message) is Happened:
        text = f"{slot.path}: no handler of its waits for an event; give its mailbox the durability 'message'"
        raise NotHandled(text, path=slot.path, retry_safe=True)
    known = ", ".join(sorted(kind.__qualname__ for kind in slot.handles)) or "no messages"
    text = f"it does not handle {type(message).__qualname__}; it handles {known}"
    if isinstance(message, type) and handled_by(slot, message):
        name = message.__qualname__
        text = f"{name} is a class, and no message; send what {name}(...) makes"
    raise NotHandled(f"{slot.path}: {text}", path=slot.path, retry_safe=True)


def refuse_what_has_no_reply(slot: Slot, message: object) -> None:
    """Raise `ConfigurationError` for an ask of what is no `Request`: nothing says what its reply is, so nobody could
    check it, and a durable agent could not keep it."""
    if not isinstance(message, Request):
        kind = type(message).__qualname__
        raise ConfigurationError(
            f"{slot.path}: {kind} is no Request, so nothing says what its reply is; tell it, or declare "
            f"`class {kind}(Request[...])` with the type of the reply"
        )
