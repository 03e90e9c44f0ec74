"""What a message becomes on its way into a mailbox, and when it leaves: at once, or with the settle of a handler."""

from __future__ import annotations

from typing import Final

from .core.durability import Overflow
from .core.message import Envelope, Request
from .errors import AgentStopped, ConfigurationError, DurabilityError, NotHandled
from .ports import Outgoing
from .slot import NOT_KNOWN, TIMED, Slot, Turn

__all__ = [
    "checked",
    "ended_by",
    "handled_by",
    "item_for",
    "leave_with_settle",
    "refuse_what_has_no_reply",
    "reserve_own",
    "tell_one_nowait",
]

_WAITING_POLICIES: Final = (Overflow.WAIT, Overflow.COALESCE)


def tell_one_nowait(slot: Slot, message: object, turn: Turn | None, priority: int) -> None:
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
        accepted = reserve_own(slot, item, priority)
    else:
        accepted = slot.reserve_nowait(item, priority)
    if accepted and turn is not None and with_settle and type(item) is Envelope:
        leave_with_settle(slot, turn, item)
    elif accepted:
        slot.fill(item, priority)


def item_for(slot: Slot, message: object, turn: Turn | None, priority: int) -> object:
    """What goes into the mailbox: the message itself, if nothing has to be known about it."""
    since = slot.now() if slot.plain is TIMED else None
    if turn is None and not slot.durable and since is None:
        return message
    return Envelope(message, sender=turn.path if turn is not None else None, priority=priority, since=since)


def reserve_own(slot: Slot, item: object, priority: int) -> bool:
    """Room for a handler in its own mailbox. It cannot wait for itself; but the place of the message in hand is its."""
    return slot.reserve_nowait(item, priority, beyond=1 if slot.spec.overflow in _WAITING_POLICIES else 0)


def leave_with_settle(slot: Slot, turn: Turn, envelope: Envelope, overflow: Overflow | None = None) -> None:
    """Let `envelope`, for which there is room in `slot`, leave in the commit that settles the handler in hand."""

    def release() -> None:
        if not slot.ended:
            slot.fill(envelope, envelope.priority, overflow)
        else:
            slot.release()
            if slot.on_drop is not None:
                slot.on_drop(envelope, "the slot ended before the message left")

    turn.tell(Outgoing(target=slot, envelope=envelope, release=release, cancel=slot.release))


def ended_by(turn: Turn) -> AgentStopped:
    """What is said to an incarnation that has ended."""
    return AgentStopped(
        f"{turn.path}: this incarnation has ended; what it still tells or asks does not leave", path=turn.path
    )


def handled_by(slot: Slot, kind: type) -> bool:
    """Whether the agent of `slot` handles messages of this type; yes, too, if nobody knows yet what it handles."""
    return slot.handles is NOT_KNOWN or any(base in slot.handles for base in kind.__mro__)


def checked(slot: Slot, message: object) -> Slot:
    """`slot`, if it takes such a message."""
    if handled_by(slot, type(message)):
        return slot
    known = ", ".join(sorted(kind.__qualname__ for kind in slot.handles)) or "no messages"
    raise NotHandled(
        f"{slot.path}: it does not handle {type(message).__qualname__}; it handles {known}",
        path=slot.path,
        retry_safe=True,
    )


def refuse_what_has_no_reply(slot: Slot, message: object) -> None:
    """Raise `ConfigurationError` for an ask of what is no `Request`: nothing says what its reply is, so nobody could
    check it, and a durable agent could not keep it."""
    if not isinstance(message, Request):
        kind = type(message).__qualname__
        raise ConfigurationError(
            f"{slot.path}: {kind} is no Request, so nothing says what its reply is; tell it, or declare "
            f"`class {kind}(Request[...])` with the type of the reply"
        )
