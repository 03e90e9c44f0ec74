"""Messages and the envelope that carries one through a mailbox."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final, Generic, TypeAlias, TypeVar

from .path import Path
from .values import define, frozen

__all__ = [
    "CAME_BACK",
    "OF_EFFECTS",
    "Envelope",
    "Happened",
    "MessageId",
    "Priority",
    "Reply",
    "Request",
    "asked_in",
    "asks_itself",
    "check_event",
    "derived_id",
    "is_of",
    "told_id",
    "trace_of",
]

R = TypeVar("R")

MessageId: TypeAlias = str
"""Unique within one journal. A tell gets a fresh one; what a handler tells begins with the trace of the message in hand
(`told_id`); an ask inside a handler derives its own (`derived_id`)."""

Reply: TypeAlias = Callable[[Any, BaseException | None], None]
"""Called once with `(value, None)` or `(None, error)`; calling it after the asker left does nothing."""


class Request(Generic[R]):
    """Base of messages that have a reply of type `R`; `await ref.ask(message)` returns one."""

    __slots__ = ()


class Priority:
    """The order in which a mailbox hands out what waits in it: lower numbers first, equal ones in arrival order."""

    HIGH = 1
    NORMAL = 2
    LOW = 3


_LONGEST: Final = 100


def check_event(name: object) -> str:
    """`name`, if an event can be called so. Raises `ValueError` with the remedy."""
    if not isinstance(name, str) or not name.isprintable() or not name.strip() or len(name) > _LONGEST:
        text = f"{name!r:.120}" if isinstance(name, str) else f"a {type(name).__qualname__}"
        raise ValueError(f"the event is {text}; give a name of at most {_LONGEST} characters that can be printed")
    return name


@frozen
class Happened:
    """Tells an agent that something has happened for which a handler of its waits, or will wait (`Agent.wait_event`).

    Each agent of durability `message` takes it, without a handler. One event ends one wait; for which nobody waits yet,
    it is kept. Raises `ValueError` for an event without a name.
    """

    event: str
    """At most 100 characters that can be printed."""
    value: Any = None
    """Plain JSON data, which has to be what the wait `returns`."""

    def __attrs_post_init__(self) -> None:
        check_event(self.event)


CAME_BACK: Final = -math.inf
"""The deadline of a message that its handler waited with and that has come back: it is past, so that whoever takes it
looks twice, and no other is looked at for this."""


@define(eq=False)
class Envelope:
    """One message on its way. It is the mailbox's own record; handlers see `body` only."""

    body: object
    id: MessageId = ""
    """Empty for an ask from outside a handler, and for a message that is only in memory."""
    sender: Path | None = None
    askers: tuple[Path, ...] = ()
    """Who waits, directly or through others, for the reply: the slot itself among them is a cycle. Of a message that
    nobody waits for: who has handed it on (`Agent.forward`), each time."""
    reply: Reply | None = None
    deadline: float | None = None
    """In the clock of the loop (seconds); a message taken after it is dropped, for its asker has gone. `CAME_BACK` for
    one that was parked: nobody waits for a reply to it."""
    priority: int = Priority.NORMAL
    deliveries: int = 0
    """Attempts that ended without a settle because the handler's incarnation ended."""
    deaths: int = 0
    """Process deaths while this message was at the head of its mailbox."""
    row: int | None = None
    """The journal's mailbox row; None for a message that is only in memory."""
    since: float | None = None
    """When it was sent, in the clock of the loop; None where nobody wants to know how long messages take."""


def asks_itself(target: Path, askers: tuple[Path, ...]) -> tuple[Path, ...] | None:
    """The cycle that asking `target` would close, as the paths along it, or None.

    >>> asks_itself(Path("a"), (Path("a"), Path("b")))
    ('a', 'b', 'a')
    """
    if target not in askers:
        return None
    return (*askers[askers.index(target) :], target)


def derived_id(message: MessageId, name: str, n: int) -> MessageId:
    """The id of the n-th ask called `name` inside the handler of `message`; a redelivery derives the same one."""
    return f"{message}>{name}.{n}"


def told_id(cause: MessageId, tree: str, row: int) -> MessageId:
    """The id of a message that the handler of `cause` tells, and that waits as `row` of the journal `tree`: the trace,
    a slash, the row of `cause` unless it is what the trace began with, and its own row. It never grows longer.

    >>> told_id("", "9f", 12), told_id("9f-12", "9f", 57)
    ('9f-12', '9f-12/57')
    >>> told_id("9f-12/57", "9f", 90), told_id("9f-12/57.90", "9f", 91)
    ('9f-12/57.90', '9f-12/90.91')
    >>> told_id("9f-12/57>desk:Count:1:00.1", "9f", 90), told_id("9f-12/57", "a0", 90)
    ('9f-12/57.90', '9f-12/57.a0-90')
    """
    if not cause:
        return f"{tree}-{row}"
    root, _, below = cause.partition(">")[0].partition("/")
    told_by = below.rpartition(".")[2]
    own = str(row) if root.startswith(f"{tree}-") else f"{tree}-{row}"  # another journal counts rows, too
    return f"{root}/{told_by}.{own}" if told_by else f"{root}/{own}"


def trace_of(id: MessageId) -> str:
    """The id of the message that all the telling and asking began with which led to this one.

    >>> trace_of("9f-12"), trace_of("9f-12/57.90"), trace_of("9f-12/57>desk:Count:1:00.1")
    ('9f-12', '9f-12', '9f-12')
    """
    return id.partition(">")[0].partition("/")[0]


def is_of(id: MessageId, tree: str) -> bool:
    """Whether the message with this id was told or asked in the journal `tree`, whoever began its trace.

    >>> [is_of(each, "9f") for each in ("9f-12", "9f-12/57.90", "order-17/9f-57", "9f-3.1", "order-17/9f-3-1>a:B.1")]
    [True, True, True, True, True]
    >>> [is_of(each, "9f") for each in ("a0-12", "9f-12/57.a0-90", "order-17/a0-3-1", "order-17")]
    [False, False, False, False]
    """
    root, _, below = id.partition(">")[0].partition("/")
    own = below.rpartition(".")[2] or root
    return own.startswith(f"{tree}-") or ("-" not in own and root.startswith(f"{tree}-"))


def asked_in(id: MessageId) -> str:
    """By which owner of which journal somebody outside of handlers was asked this, as `TREE-EPOCH`: it does not come
    again under another. Empty for what was told.

    >>> [asked_in(each) for each in ("9f-3.1", "9f-3.1>a:B.1", "order-17/9f-3-1")]
    ['9f-3', '9f-3', '9f-3']
    >>> [asked_in(each) for each in ("9f-12", "9f-12/57.90", "9f-3.1/57", "order-17/9f-57", "order-17/9f-3-1.9f-60")]
    ['', '', '', '', '']
    """
    root, below, own = id.partition(">")[0].partition("/")
    owner = (own.rpartition(".")[2] if below else root.replace(".", "-")).rpartition("-")[0]
    return owner if "-" in owner else ""


OF_EFFECTS: Final = (">begun", ">done")
"""What ends an id under which something is stored of an effect of a handler, or of a wait, where others are those of
asks."""


@frozen
class Due:
    """A timer of a slot: when it next fires, in wall seconds since 1970."""

    name: str
    at: float
