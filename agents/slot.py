"""A slot as the agents layer sees it: a mailbox with an address and with what outlives an incarnation.

The supervisor makes slots and decides who lives in them; a `Ref` holds on to one.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from .core.durability import MailboxSpec
from .core.message import Envelope, MessageId
from .core.path import Path
from .mailbox import Mailbox
from .ports import KEEP, Outgoing, Store

if TYPE_CHECKING:
    from .agent import Agent

__all__ = ["Slot", "Turn", "current_turn"]


class Slot(Mailbox):
    """The mailbox of a slot, its address, and the last settled state of whoever lives there."""

    __slots__ = (
        "agent",
        "busy",
        "busy_since",
        "due",
        "generation",
        "handled",
        "handles",
        "inflight",
        "path",
        "progress_at",
        "state",
        "store",
        "waiting_on",
    )

    def __init__(self, path: Path, spec: MailboxSpec, now: Callable[[], float], store: Store | None) -> None:
        super().__init__(spec, now)
        self.path = path
        self.store = store
        """Where accepted messages and settles go; None for a slot whose mailbox and state are only in memory."""
        self.state: object = KEEP
        """The last settled state; KEEP before the first incarnation."""
        self.due: dict[str, float] = {}
        """When each `@every` timer is next due, in wall seconds."""
        self.generation = 0
        """Raised with every incarnation; what an older one still sends is void."""
        self.agent: Agent[Any] | None = None
        self.busy: object = None
        """The message in hand."""
        self.busy_since = 0.0
        self.progress_at = 0.0
        self.handled = 0
        self.inflight = 0
        """Settles that are on their way to the disk."""
        self.handles: frozenset[type] | None = None
        """The message types that its agent handles, once one has lived here."""
        self.waiting_on: Slot | None = None
        """Whom the handler in hand is asking."""

    def __str__(self) -> str:
        return self.path


class Turn:
    """What the handler in hand has done so far, to leave with its settle or to be dropped with its failure."""

    __slots__ = ("asks", "envelope", "events", "generation", "outgoing", "path", "slot", "waits_for_commit")

    def __init__(self, slot: Slot, *, waits_for_commit: bool) -> None:
        self.slot = slot
        self.path = slot.path
        self.generation = slot.generation
        self.waits_for_commit = waits_for_commit
        """The agent is of durability `message`: nothing leaves before its settle is on disk."""
        self.envelope: Envelope | None = None
        self.outgoing: list[Outgoing] = []
        self.events: list[Any] = []
        self.asks = 0

    @property
    def fenced(self) -> bool:
        """Another incarnation lives here now: whatever this one does is void."""
        return self.slot.generation != self.generation

    @property
    def askers(self) -> tuple[Path, ...]:
        """Who waits for the message in hand, and this slot last."""
        above = self.envelope.askers if self.envelope is not None else ()
        return (*above, self.path)

    @property
    def message(self) -> MessageId | None:
        return self.envelope.id if self.envelope is not None else None

    def begin(self, envelope: Envelope | None) -> None:
        """Start with a clean slate on the next message."""
        self.envelope = envelope
        self.outgoing = []
        self.events = []
        self.asks = 0

    def drop(self) -> None:
        """Forget everything: the handler failed. Room that it had reserved is free again."""
        for message in self.outgoing:
            message.cancel()
        self.begin(None)


current_turn: Final[ContextVar[Turn | None]] = ContextVar("treewarden_turn", default=None)
"""The turn of the agent whose task (or whose helper task) is running."""
