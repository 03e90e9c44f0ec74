"""What one actor needs from outside: a clock, and a place where its settles go."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Protocol

from attrs import field, frozen

from .core.message import Due, Envelope
from .core.path import Path

if TYPE_CHECKING:
    from .slot import Slot

__all__ = ["KEEP", "Alarm", "Alarms", "Clock", "Outgoing", "Settled", "Store", "Untouched"]


class Untouched:
    """The type of `KEEP`."""

    def __repr__(self) -> str:
        return "KEEP"


KEEP: Final = Untouched()
"""Stands for "the state is what it was": a settle that carries it writes no state."""


@frozen
class Outgoing:
    """A message that leaves with the settle of the handler that told it."""

    target: Slot
    envelope: Envelope
    release: Callable[[], None] = field(repr=False)
    """Hands the envelope to the target's mailbox; called once, after the commit."""
    cancel: Callable[[], None] = field(repr=False)
    """Gives back the room that was reserved; called once, if the handler raised or its commit was discarded."""
    durable: bool = True
    """False where the receiver keeps its mailbox in memory only."""


@frozen
class Settled:
    """One handled message, ready to commit: all of it or nothing."""

    path: Path
    generation: int
    """The incarnation that did it; a fenced one's settle is void."""
    envelope: Envelope | None = None
    """What it handled; None for a timer or a checkpoint that nobody asked for."""
    state: object = KEEP
    reply: object = None
    outgoing: tuple[Outgoing, ...] = ()
    events: tuple[Any, ...] = ()
    """The agent's own facts (`self.record`), frozen attrs values."""
    timers: tuple[Due, ...] = ()
    checkpoint: str | None = None
    """Keep this state as a checkpoint under this name (empty: without one); None: do not keep it."""


class Store(Protocol):
    """What `run_agent` needs of durability."""

    def settle(self, done: Settled, then: Callable[[BaseException | None], None]) -> None:
        """Queue `done`. Never blocks; `then(None)` is called once it is durable, `then(error)` if it is not."""
        ...

    async def accept(self, slot: Slot, envelope: Envelope) -> None:
        """Make a message durable, then put it into `slot`, whose room was reserved for it.

        Cancelled: the message is accepted all the same. Raises `CommitFailed`: then it is not, and the room is free.
        """
        ...

    async def settled(self) -> None:
        """Wait until nothing of this slot is on its way to the disk any more (output commit)."""
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
