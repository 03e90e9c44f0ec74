"""What one actor needs from outside: a clock, a place where its settles go, and its supervisor."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from contextvars import Context
from typing import TYPE_CHECKING, Any, Final, Protocol

from attrs import field

from .core.label import Label
from .core.message import Due, Envelope, MessageId
from .core.path import Path
from .core.values import frozen

if TYPE_CHECKING:
    from .approvals import Approvals
    from .core.ended import Ended
    from .core.exit import Failure
    from .core.loops import Cycle
    from .core.step import Begun, Known
    from .core.wait import Wait
    from .events import Events
    from .ref import Ref
    from .slot import Slot, Turn

__all__ = [
    "IN_HAND",
    "KEEP",
    "Alarm",
    "Alarms",
    "Clock",
    "Outgoing",
    "Settled",
    "StateSettled",
    "Steps",
    "Store",
    "Untouched",
    "Waits",
    "Warden",
    "state_settled",
]


class Untouched:
    """The type of `KEEP`."""

    def __repr__(self) -> str:
        return "KEEP"


KEEP: Final = Untouched()
"""Stands for "the state is what it was": a settle that carries it writes no state."""


class InHand:
    """The type of `IN_HAND`."""

    def __repr__(self) -> str:
        return "IN_HAND"


IN_HAND: Final = InHand()
"""Stands for "the message in hand", where any other value, `None` too, is a message of its own."""


@frozen
class Outgoing:
    """A message that leaves with the settle of the handler that told it."""

    target: Slot
    envelope: Envelope
    release: Callable[[], None] = field(repr=False)
    """Hands the envelope to the target's mailbox; called once, after the commit."""
    cancel: Callable[[], None] = field(repr=False)
    """Gives back the room that was reserved; called once, if the handler raised or its commit was discarded."""


@frozen(slots=False)
class Settled:
    """One handled message, ready to commit: all of it or nothing."""

    path: Path
    envelope: Envelope | None = None
    """What it handled; None for a timer or a checkpoint that nobody asked for."""
    state: object = KEEP
    reply: object = None
    """To be kept under the envelope's id, if this was an ask that has one."""
    asked: bool = False
    """Its handler asked others: the replies kept for it are not needed any more."""
    outgoing: tuple[Outgoing, ...] = ()
    events: tuple[Any, ...] = ()
    """The agent's own facts (`self.record`), frozen attrs values."""
    timers: tuple[Due, ...] = ()
    checkpoint: Label | None = None
    """Keep this state as a checkpoint under this label; None: nobody asked for that."""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to write: an ask from outside that changed nothing and told nobody."""
        envelope = self.envelope
        return (
            self.state is KEEP
            and self.checkpoint is None
            and not (self.outgoing or self.events or self.timers or self.asked)
            and envelope is not None
            and envelope.reply is not None
            and not envelope.id
        )


class StateSettled(Settled):
    """As most are: another state, perhaps a reply to somebody outside of handlers, and nothing else."""

    __setattr__ = object.__setattr__  # filled below, without looking at each field, and by nobody else
    __delattr__ = object.__delattr__

    if not TYPE_CHECKING:

        def __new__(cls, **fields: Any) -> Settled:
            """What `evolve` makes of one may have anything."""
            return Settled(**fields)


for _name, _value in Settled(Path()).__dict__.items():
    setattr(StateSettled, _name, _value)  # of all of them, where one has none of its own


def state_settled(path: Path, envelope: Envelope | None, state: object, reply: object) -> Settled:
    """What a handler that did nothing but leave another state has settled."""
    done = object.__new__(StateSettled)
    done.path = path  # pyright: ignore[reportAttributeAccessIssue]
    done.envelope = envelope  # pyright: ignore[reportAttributeAccessIssue]
    done.state = state  # pyright: ignore[reportAttributeAccessIssue]
    done.reply = reply  # pyright: ignore[reportAttributeAccessIssue]
    return done


class Store(Protocol):
    """What `run_agent` needs of durability."""

    owes: Settled | None
    """Of an agent that is kept now and then: what earlier lives have left and could not be kept; the next one does
    that."""

    def settle(self, done: Settled, then: Callable[[BaseException | None], None]) -> None:
        """Queue `done`. Never blocks; `then(None)` is called once it is durable, `then(error)` if it is not.

        In the order in which they were queued: once one has failed, all that were queued behind it fail too. Raises
        `ConfigurationError` for something that cannot be stored; then nothing is queued and `then` is not called.
        """
        ...

    def taking(
        self, state: object, turn: Turn | None = None, reply: tuple[object, object] | None = None
    ) -> Coroutine[Any, Any, None] | None:
        """What has to be awaited right before a settle that writes a large value, so that it does not hold up the loop:
        a state, what `turn` has told and recorded, the `reply` that is kept, behind its ask. Everybody else
        has turns meanwhile. None where nothing is large.

        Not promised: anything, if another state is settled then. Cancelled: nothing is queued, as without it. It
        raises nothing of its own: the settle does.
        """
        ...

    async def accept(self, slot: Slot, envelope: Envelope, deadline: float = math.inf) -> None:
        """Make a message durable, then put it into `slot`, whose room was reserved for it.

        While the disk refuses everything it waits for it, until `deadline` in trio's clock; cancelled meanwhile, the
        message is not accepted. Cancelled on its way to the disk: it is accepted all the same. Raises `DurabilityError`
        at the deadline, `AgentStopped` if the tree ends before, `CommitFailed` for a message that is refused: then it
        is not accepted, and the room is free.
        """
        ...

    async def given_up(self, deadline: float = math.inf) -> None:
        """Wait until what was given up of the messages told to this slot is on disk, as a dead letter.

        While the disk refuses everything it waits for it, until `deadline`, as `accept`; the dead letter is written in
        any case when it can be. Raises `DurabilityError` at the deadline, `CommitFailed` if that takes no more.
        """
        ...

    async def settled(self) -> None:
        """Wait until nothing of this slot is on its way to the disk any more, be it settled or the result of an effect
        (output commit)."""
        ...

    async def name_of(self, message: object) -> str:
        """A short text without spaces, the same for messages that are equal: names a step. Others have turns where a
        message has many values.

        Raises `ConfigurationError` for a message that cannot be stored.
        """
        ...

    def asks(self, message: MessageId, of: Store) -> None:
        """The handler of `message`, which settles here, asks somebody who keeps the reply in `of` until it has."""
        ...

    async def kept(self, ask: MessageId, wanted: bool = True) -> tuple[object] | None:
        """The reply that this slot, or another worker of its pool, has given to a handler's ask before, if it is still
        kept; in a tuple of one. Also what has begun for that ask is known then. Where nobody waits for it any more (not
        `wanted`), a None instead of one that was given, and is not kept because the message that asked is over. Raises
        `UnknownKind` for one that this code cannot read."""
        ...

    async def begins(self, ask: Envelope, slot: Slot) -> bool | None:
        """Whether the handler of an ask begins in `slot`. False: another one has it in hand, and who waits for this
        waits for that from now on. None: one has had it, and what may have been on its way of it is `kept` by now."""
        ...

    def steps(self, slot: Slot) -> Steps:
        """The effects of the handlers of `slot`, which settles here."""
        ...


class Steps(Protocol):
    """The effects and waits of the handlers of one slot, as the journal knows them."""

    @property
    def waits(self) -> Waits: ...

    @property
    def approvals(self) -> Approvals: ...

    @property
    def events(self) -> Events: ...

    def new_id(self) -> MessageId:
        """The id of an ask that has none, for its steps: no other message ever has it."""
        ...

    def check(self, returns: object) -> None:
        """Raise `ConfigurationError` if values of this type cannot be stored."""
        ...

    def found(self, step: Begun) -> Begun | Known | None:
        """What is known of a step, which may begin so. Raises `UnknownKind` for a result that this code cannot read."""
        ...

    def reading(self, step: Begun) -> Coroutine[Any, Any, None] | None:
        """What has to be awaited right before `found`, because a result is large that this process has not read yet:
        everybody else has turns meanwhile. None where it is not.

        Raises as `found`. Cancelled, or not awaited: `found` reads it at once.
        """
        ...

    def same(self, step: MessageId) -> MessageId:
        """This step, or the one that it is again: what one worker of a pool was asked may come to another one."""
        ...

    def of(self, message: MessageId) -> Mapping[MessageId, Begun | None]:
        """The effects of this message's own handler that have begun: what is known of those of which no result is."""
        ...

    async def stored(self, step: MessageId) -> None:
        """A checkpoint. Wait until the result of a step, which is known, is on disk."""
        ...

    def under_way(self, step: MessageId) -> bool:
        """Whether its call still runs in this process."""
        ...

    async def begin(self, step: Begun) -> None:
        """Make it durable that this step begins, if that is not known yet; from here on it is under way.

        Raises `CommitFailed`, and `EpochLost`. Cancelled, or where this raises: it has not begun.
        """
        ...

    def taking(self, step: Begun, value: object) -> Coroutine[Any, Any, None] | None:
        """What has to be awaited right before `finish`, because the value is large (see `Store.taking`). Whoever finds
        the step under way finds it so until then. Cancelled, or not awaited: `finish` makes it ready at once."""
        ...

    def finish(self, step: Begun, value: object, by: str = "") -> None:
        """It was done, and this came of it: known at once, and stored before whatever its handler settles. Also of a
        life that has ended: it is the truth about the outside, unless its message was settled or given up meanwhile.

        Raises `ConfigurationError` for a value that cannot be stored; then it is in doubt.
        """
        ...

    def undo(self, step: Begun) -> None:
        """It was not done: as if it had not begun."""
        ...

    def leave(self, step: Begun, why: str) -> None:
        """Nobody knows; `why` is for people. It is not under way any more."""
        ...

    def forget(self, message: MessageId) -> None:
        """This ask, which does not come again, has ended without a reply."""
        ...


class Waits(Protocol):
    """The waits of the handlers of one slot."""

    def found(self, step: MessageId) -> Wait | None:
        """What is known of a wait."""
        ...

    async def stands(self, step: MessageId) -> Wait | None:
        """As `found`, when what an earlier life still says of the waits of this message is on disk, or is not going to
        be. A checkpoint. Raises `CommitFailed`."""
        ...

    def has_gone_on(self, step: MessageId, place: int) -> bool:
        """Whether an earlier delivery of this message has come to a wait behind this one, so that it was over."""
        ...

    async def begin(self, wait: Wait) -> None:
        """Make it durable that this wait begins, in place of those that its handler does not come to any more.

        Raises `CommitFailed`, and `EpochLost`. Cancelled, or where this raises: it has not begun.
        """
        ...

    def ended(self, wait: Wait) -> object:
        """A fact for the settle of its message: this wait is over."""
        ...

    def passed_by(self, message: MessageId, asked: Mapping[str, int]) -> Sequence[object]:
        """Facts for the settle of this message: how those of its waits end that its handler, which has come to as many
        of each name as `asked` says, has not come to."""
        ...

    def park(self, envelope: Envelope, step: MessageId) -> None:
        """Its handler was unwound: put the message where it waits, until this wait is over. One that is too many there
        becomes a dead letter."""
        ...


class Alarm(Protocol):
    """One delay that was asked for."""

    def cancel(self) -> None:
        """Do not call. Does nothing after the call, or a second time."""
        ...


class Alarms(Protocol):
    """Delays as callbacks, so that nobody sleeps who has other things to do."""

    def at(self, when: float, call: Callable[[], None]) -> Alarm:
        """Call `call` in the loop at `when`, in the clock of the loop; soon if that is past."""
        ...


class Clock(Protocol):
    """Time as the tree sees it. One clock per tree; tests pass their own."""

    def now(self) -> float:
        """Seconds on the monotonic clock that trio's deadlines use."""
        ...

    def wall(self) -> float:
        """Seconds since 1970, for due times that outlive the process."""
        ...


class Warden(Protocol):
    """The supervisor as an incarnation sees it. Nothing here waits, nothing here fails because of the supervisor."""

    def reported(self, kind: str, severity: float, text: str, facts: Mapping[str, Any]) -> None: ...

    def recovered(self, kind: str, text: str) -> None: ...

    def measured(self, what: str, value: float) -> None: ...

    def recorded(self, facts: tuple[Any, ...]) -> None:
        """Facts of an agent that has no store to take them. Raises `ConfigurationError` for what cannot be stored."""
        ...

    def rate_limited(self, after: float | None, envelope: Envelope | None, failure: Failure) -> None: ...

    def looping(self, cycle: Cycle) -> None:
        """It does the same again and again."""
        ...

    def commit_failed(self, error: BaseException) -> None:
        """The settles of this incarnation are not kept any more: end it, without blaming it."""
        ...

    def hibernates(self, context: Context) -> bool:
        """The task may end, and the next one begins in this context when something comes. False: it is still needed.

        What lets the task go must not wait for anything any more."""
        ...

    def start_helper(self, work: Callable[..., Awaitable[Any]], *args: Any) -> None: ...

    def ref(self, path: Path) -> Ref: ...

    def watch(self, path: Path) -> AbstractAsyncContextManager[AsyncIterator[Ended]]: ...
