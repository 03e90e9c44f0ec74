"""A slot as the agents layer sees it: a mailbox with an address and with what outlives an incarnation.

The supervisor makes slots and decides who lives in them; a `Ref` holds on to one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from types import NoneType
from typing import TYPE_CHECKING, Any, Final, TypeVar

from .core.diagnosis import Diagnosis
from .core.durability import MailboxSpec, Message
from .core.label import Label
from .core.message import CAME_BACK, Envelope, MessageId, derived_id, trace_of
from .core.path import Path
from .errors import AgentStopped
from .mailbox import Mailbox
from .ports import KEEP, Outgoing, Store, Untouched

if TYPE_CHECKING:
    from .agent import Agent
    from .asking import Answer

__all__ = ["NOT_KNOWN", "PASSED", "TIMED", "Slot", "Turn", "as_they_are", "current_turn"]

T = TypeVar("T")

NOT_KNOWN: Final[frozenset[type]] = frozenset({Untouched})
"""What a slot handles in which nobody has lived yet: no message is of this type, and none is refused."""


PASSED: Final = "~"
"""Among what a turn has asked: how many waits it has come to. No wait, effect or ask is called so."""
TIMED: Final[frozenset[type]] = frozenset({Untouched})
"""What a slot takes as it is, `plain`, where it matters when a message was sent: nothing, for that stands on its
envelope. Known by its identity."""


def as_they_are(kinds: frozenset[type]) -> frozenset[type]:
    """Those of these types of messages that need no envelope in memory. None does: by itself it says: nothing waits."""
    return kinds - {NoneType} if NoneType in kinds else kinds


class Slot(Mailbox):
    """The mailbox of a slot, its address, and the last settled state of whoever lives there."""

    __slots__ = (
        "_grids",
        "agent",
        "busy",
        "busy_since",
        "diagnosis",
        "durable",
        "generation",
        "handled",
        "handles",
        "inflight",
        "lived_as",
        "plain",
        "progress_at",
        "serve",
        "state",
        "store",
        "ticks",
        "unwound",
        "waiting_on",
    )

    def __init__(self, path: Path, spec: MailboxSpec, now: Callable[[], float], store: Store | None) -> None:
        super().__init__(path, spec, now)
        self.store = store
        """Where accepted messages and settles go; None for a slot whose mailbox and state are only in memory."""
        self.durable = store is not None and isinstance(spec.durability, Message)
        """Whether its mailbox is on disk. Fixed: a slot does not change its durability."""
        self.state: object = KEEP
        """The last settled state; KEEP before the first incarnation."""
        self._grids: dict[str, float] | None = None
        self.diagnosis: Diagnosis | None = None
        """Why its state is an earlier one, until it has been stable again."""
        self.lived_as: type[Agent[Any]] | None = None
        """The class of whoever has begun a life here last."""
        self.generation = 0
        """Raised with every incarnation."""
        self.agent: Agent[Any] | None = None
        """Who lives here. What any other incarnation still does is void."""
        self.busy: object = None
        """The message or tick in hand."""
        self.busy_since = 0.0
        self.progress_at = 0.0
        self.handled = 0
        """Messages and ticks that were settled in this process."""
        self.unwound = 0
        """How often a handler has come to a wait instead, and done its part until then."""
        self.ticks: dict[str, int] | None = None
        """How many of these were ticks of which `@every` method."""
        self.inflight = 0
        """Settles that are on their way to the disk."""
        self.handles: frozenset[type] = NOT_KNOWN
        """The message types that its agent handles, once one has lived here."""
        self.plain: frozenset[type] = NOT_KNOWN
        """Those of them that may be put into its mailbox as they are: all, or none if they have to be stored."""
        self.serve: Callable[[Answer], tuple[Any] | tuple[()] | None] | None = None
        """Handles an ask at once, while the agent is idle. Returns the reply; or an empty tuple if somebody holds on to
        the answer, to say then or later what came of it; or None if this one has to go through the mailbox."""
        self.waiting_on: list[Slot] | None = None
        """Whom the handler in hand is asking."""

    @property
    def due(self) -> dict[str, float]:
        """When each `@every` timer is next due, in wall seconds."""
        if self._grids is None:
            self._grids = {}
        return self._grids

    @property
    def mail(self) -> Slot:
        """Where the messages wait that are handled here: in itself, or in a queue that it shares with others."""
        return self

    @property
    def workers(self) -> Sequence[Slot]:
        """Who takes from here, one as good as the other; nobody but the one who lives here, usually."""
        return ()

    @property
    def backlog(self) -> int:
        """How many messages wait that could be handled here."""
        return len(self)

    @property
    def worked(self) -> int:
        """How often it has done its part: one whose handlers all wait for a person settles nothing for days."""
        return self.handled + self.unwound

    @property
    def inhabited(self) -> bool:
        """Whether somebody lives here who would handle a message."""
        return self.agent is not None

    @property
    def timed(self) -> bool:
        """Whether each message says when it was sent."""
        return self.mail.plain is TIMED

    def move_in(self, agent: Agent[Any]) -> None:
        """From now on `agent` is who lives here."""
        self.agent = agent
        self.handles = type(agent).handled
        self.plain = NOT_KNOWN if self.durable else as_they_are(self.handles)

    def time_messages(self) -> None:
        """Whoever has moved in wants to know how long each message takes, from when it was sent."""
        self.mail.plain = TIMED

    def close(self, error: AgentStopped) -> list[object]:
        self.handles = self.plain = NOT_KNOWN  # a `Ref` that holds on to it looks twice, and finds the next one
        return super().close(error)


class Turn:
    """What the handler in hand has done so far, to leave with its settle or to be dropped with its failure."""

    __slots__ = ("agent", "asked", "beside", "events", "label", "more", "outgoing", "slot", "waits")

    def __init__(self, slot: Slot, agent: Agent[Any], *, beside: bool = False) -> None:
        self.slot = slot
        self.agent = agent
        self.beside = beside
        """For what runs beside the handlers (`on_start`, a body, helpers): nothing of it waits for a settle."""
        self.outgoing: Sequence[Outgoing] = ()
        self.events: Sequence[Any] = ()
        self.asked: dict[str, int] | None = None
        """How often it has asked what: the steps of its message."""
        self.label: Label | None = None
        """Under which the state that it leaves is to be kept."""
        self.more = False
        """Its settle writes other values of the user's than a state: it has told or recorded something, or has in hand
        what another handler asks, whose reply is kept."""
        self.waits = 0
        """How many of its tells wait for room: nothing new can come of it meanwhile."""

    @property
    def path(self) -> Path:
        return self.slot.path

    @property
    def void(self) -> bool:
        """Its incarnation has ended: whatever it does still does not count."""
        return self.slot.agent is not self.agent

    @property
    def leaves_at_once(self) -> bool:
        """Whether what it tells leaves when it is told: it lives in memory, and still counts."""
        return self.slot.agent is self.agent and not self.slot.durable

    @property
    def in_handler(self) -> bool:
        return not self.beside and self.slot.busy is not None

    @property
    def waits_for_commit(self) -> bool:
        """Whether what is told now leaves with a settle, and not before it is on disk."""
        return self.slot.durable and self.in_handler

    @property
    def message(self) -> MessageId:
        """The id of the message in hand; empty if it has none."""
        busy = self.slot.busy
        return busy.id if type(busy) is Envelope and not self.beside else ""

    @property
    def trace(self) -> str:
        """See `Agent.trace`."""
        return trace_of(self.cause)

    @property
    def cause(self) -> MessageId:
        """The id of the message in hand, or of the one that has set the timer in hand; empty where neither has one, and
        for whoever runs beside its handler."""
        if current_turn.get() is not self:
            return ""
        return self.message or getattr(self.slot.busy, "cause", "")

    def step(self, name: str) -> MessageId:
        """The id of the next ask called `name`: the same one, when the message in hand is handled again."""
        if self.asked is None:
            self.asked = {}
            busy = self.slot.busy
            if type(busy) is Envelope and busy.reply is None:
                busy.deadline = CAME_BACK  # if it comes again its settle ends what it has begun, whatever way it takes
        n = self.asked[name] = self.asked.get(name, 0) + 1
        return derived_id(self.message, name, n)

    def tell(self, message: Outgoing) -> None:
        """Have a message leave with the settle."""
        self.outgoing = _with(self.outgoing, message)
        self.more = True

    def record(self, fact: object) -> None:
        """Have a fact journaled with the settle."""
        self.events = _with(self.events, fact)
        self.more = True

    def clear(self) -> None:
        """Start anew: what was done has left."""
        self.outgoing = self.events = ()
        self.asked = self.label = None
        self.more = False

    def drop(self) -> None:
        """Forget everything: the handler failed. Room that it had reserved is free again."""
        for message in self.outgoing:
            message.cancel()
        self.clear()


def _with(some: Sequence[T], one: T) -> Sequence[T]:
    """A list that grows, made when the first one comes: most turns have none."""
    if isinstance(some, list):
        some.append(one)
        return some
    return [one]


current_turn: Final[ContextVar[Turn | None]] = ContextVar("treewarden_turn", default=None)
"""The turn of the agent whose task (or whose helper task) is running."""
