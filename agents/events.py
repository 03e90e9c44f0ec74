"""`Agent.wait_event`: a handler that waits until something has happened."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from .core.message import check_event
from .core.path import Path
from .core.said import shown
from .core.values import frozen
from .core.wait import EVENT, Wait, wait_name, wall_seconds
from .errors import ConfigurationError, TreewardenError
from .steps import in_hand
from .waits import journaled, park, passed, stands, waits_of

if TYPE_CHECKING:
    from .core.message import Envelope, MessageId
    from .life import Life

__all__ = ["Came", "Events", "WaitExpired", "wait_event"]


class WaitExpired(TreewardenError):
    """The time of a wait has passed, and what it waited for had not happened. A handler that runs again is told the
    same, whatever has happened since."""

    def __init__(self, *, path: Path, event: str, until: float | None) -> None:
        super().__init__(f"{path}: {event!r} had not happened when its time had passed")
        self.path = path
        self.event = event
        self.until = until
        """Wall seconds; None in a test that did not say."""


@frozen
class Came:
    """How a wait for an event has ended: with what it says, as JSON data; or it has `expired`."""

    value: Any = None
    expired: bool = False


class Events(Protocol):
    """The events of the mailbox of one slot, and the waits for them, as the journal knows them. What waits for the disk
    may raise `CommitFailed`."""

    def check(self, returns: object) -> None:
        """Raise `ConfigurationError` for a type of which no event can have a value."""
        ...

    def arrived(self, envelope: Envelope) -> None:
        """An event has come to its turn: it ends the oldest wait for it, or is kept."""
        ...

    def was_parked(self, event: str) -> None:
        """A message waits for this from now on: it may have come while its handler was unwound."""
        ...

    async def known(self, step: MessageId, event: str) -> tuple[Wait | None, Came | None]:
        """The wait for `event` at this step, if it has begun, and how it has ended, if that is on disk. One for
        something else that has begun there is given up, with the event that has ended it."""
        ...

    async def begin(self, wait: Wait) -> Came | None:
        """Make it durable that this begins. Returns how it has ended at once: the event had come already, or the time
        had passed."""
        ...

    async def go_on(self, wait: Wait) -> Came | None:
        """Of a wait that has begun: as `begin`."""
        ...

    def read(self, returns: object, came: Came) -> Any:
        """The value of the event. Raises `ConfigurationError` for one that is not what the wait returns."""
        ...

    async def make_room(self, wait: Wait, why: str) -> None:
        """Forget this wait, of whatever kind, which its handler comes to no more: another one is to begin there. An
        event that had ended it becomes a dead letter."""
        ...

    async def turn_down(self, wait: Wait, why: str) -> None:
        """Make a dead letter of the event that had ended this wait, which goes on."""
        ...


async def wait_event(life: Life, event: str, returns: Any, until: datetime | float | None, name: str) -> Any:
    """See `OwnSteps.wait_event`."""
    where = f"{life.slot.path}: wait_event"
    waits_of(life, where, name)
    where = f"{where}({shown(event)})"
    turn, message, store = life.turn, in_hand(life, where), life.slot.store
    assert store is not None
    events = store.steps(life.slot).events
    try:
        check_event(event)
        due = None if until is None else wall_seconds(until)
        events.check(returns)
    except ValueError as error:  # a `ConfigurationError`, too
        raise ConfigurationError(f"{where}: {error}") from None
    mail = life.slot.mail.path
    step, place = turn.step(wait_name(mail, name)), passed(turn)
    await stands(life, step, EVENT)
    known, came = await journaled(life, events.known(step, event))
    if known is None:
        known = Wait(
            step=step,
            name=name,
            what=EVENT,
            about=event,
            place=place,
            path=life.slot.path,
            mail=mail,
            kind=type(message.body).__qualname__,
            since=life.clock.wall(),
            until=due,
        )
        came = await journaled(life, events.begin(known))
    elif came is None:
        came = await journaled(life, events.go_on(known))
    while True:
        if came is None:
            park(turn, known)
        if came.expired:
            raise WaitExpired(path=life.slot.path, event=event, until=known.until)
        try:
            return events.read(returns, came)
        except ConfigurationError as error:
            await journaled(life, events.turn_down(known, f"the wait {name!r} of {known.message}: {error}"))
            came = await journaled(life, events.go_on(known))
