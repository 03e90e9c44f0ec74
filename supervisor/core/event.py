"""Events: what has happened, as committed facts. A closed union; the journal stores them with kind and version."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias, get_args

from attrs import field

from treewarden.agents.core.diagnosis import Diagnosis
from treewarden.agents.core.exit import Failure
from treewarden.agents.core.message import MessageId
from treewarden.agents.core.path import Path
from treewarden.agents.core.values import frozen

from .incident_events import (
    ActionPerformed,
    ApprovalNoted,
    ChaosBegan,
    ChaosEnded,
    Decided,
    DependencyChanged,
    FaultInjected,
    IncidentClosed,
    IncidentLabelled,
    IncidentOpened,
    IntakeChanged,
    OutcomeObserved,
    QuestionAnswered,
    QuestionAsked,
    RejectedOption,
    SignalNoted,
    SlotMoved,
    Tried,
)

__all__ = [
    "EVENTS",
    "ActionPerformed",
    "ApprovalNoted",
    "ChaosBegan",
    "ChaosEnded",
    "CheckpointKept",
    "ChildEnded",
    "ChildIgnored",
    "ChildStartFailed",
    "ChildStarted",
    "CommandAnswered",
    "DeadLettered",
    "Decided",
    "DependencyChanged",
    "EffectNoted",
    "Event",
    "EventsPruned",
    "FaultInjected",
    "IncidentClosed",
    "IncidentLabelled",
    "IncidentOpened",
    "IntakeChanged",
    "JournalFailed",
    "JournalRecovered",
    "MessageReplayed",
    "MessageReturned",
    "OutcomeObserved",
    "QuestionAnswered",
    "QuestionAsked",
    "Recorded",
    "RejectedOption",
    "RolledBack",
    "SignalNoted",
    "SlotMoved",
    "Spent",
    "SupervisorEnded",
    "SupervisorStarted",
    "TreeClosed",
    "TreeForked",
    "TreeOpened",
    "TreeReloaded",
    "Tried",
    "WaitNoted",
]


@frozen(kw_only=True)
class TreeOpened:
    """A process has taken the journal and is about to start the tree."""

    epoch: int
    holder: str
    version: str
    blueprint: str = ""
    """A digest of the code that lives in it, so that changed code is seen."""
    after_crash: bool = False
    """The tree before it did not close in order."""
    production: bool = False
    """It was said to be one that people depend on."""
    journal: str = ""
    """`ID@SECONDS`: which journal it is, and the wall time at which its file was made. Empty where an older treewarden
    wrote this, and for a journal that does not last."""


@frozen(kw_only=True)
class TreeClosed:
    """The tree has stopped in order; its next start continues from here."""

    reason: str
    failed: bool = False


@frozen(kw_only=True)
class TreeForked:
    """This journal begins as a copy of another one; the events up to `seq` are those of both."""

    tree: str
    """The id of the other journal."""
    seq: int
    hash: str
    """Of event `seq`."""
    journal: str = ""
    """Of this journal, from here on, as in `TreeOpened`."""


@frozen(kw_only=True)
class EventsPruned:
    """The events up to `through` were given up: the chain begins behind them, at `hash`."""

    tree: str
    """The id of the journal in which this was decided; a fork takes it along."""
    through: int
    hash: str
    """Of event `through`."""
    count: int
    """How many went this time."""
    until: float
    """Wall seconds at which event `through` happened."""
    by: str
    """Who wanted it, or `retention`."""
    summary: Mapping[str, Any] = field(factory=dict[str, Any])
    """What they came to, for those who fold them; see `views.pruned`."""
    mac: str = ""
    """Over the rest but `summary`, `until` and `by`, by who signs the heads of the journal."""


@frozen(kw_only=True)
class TreeReloaded:
    """The blueprint of the running tree was replaced."""

    added: tuple[Path, ...] = ()
    removed: tuple[Path, ...] = ()
    changed: tuple[Path, ...] = ()
    blueprint: str = ""
    """As in `TreeOpened`, of the new one. Empty where an older treewarden wrote this."""


@frozen(kw_only=True)
class SupervisorStarted:
    path: Path
    incarnation: int
    strategy: str
    children: int


@frozen(kw_only=True)
class SupervisorEnded:
    """A supervisor ended; how it did as in `ChildEnded`, `reason` as a sentence. Whoever lived below ends with it."""

    path: Path
    incarnation: int
    reason: str
    exit: str = "stopped"
    failure: Failure | None = None


@frozen(kw_only=True)
class ChildStarted:
    """An incarnation is current. `restored` is the sequence number of the stored state that it began with, if any."""

    path: Path
    incarnation: int
    restored: int | None = None
    attempt: int = 1


@frozen(kw_only=True)
class ChildStartFailed:
    path: Path
    failure: Failure
    asked: bool = False
    """A call wanted this start, and its caller was told; otherwise the supervisor wanted it."""


@frozen(kw_only=True)
class ChildIgnored:
    path: Path


@frozen(kw_only=True)
class ChildEnded:
    """An incarnation ended. `exit` is finished, stopped or failed; `expected` where its supervisor had asked for it."""

    path: Path
    incarnation: int
    exit: str
    reason: str = ""
    failure: Failure | None = None
    expected: bool = False
    uptime: float = 0.0


@frozen(kw_only=True)
class MessageReturned:
    """A message whose handler did not settle went back to the head of its mailbox."""

    path: Path
    message: MessageId
    kind: str
    deliveries: int
    after: float = 0.0


@frozen(kw_only=True)
class DeadLettered:
    """A message was given up. Its body is kept with the dead letters where its mailbox was durable."""

    path: Path
    message: MessageId
    kind: str
    reason: str


@frozen(kw_only=True)
class MessageReplayed:
    """A dead letter was put back into its mailbox, on an operator's wish, as the message `replayed_as`."""

    path: Path
    message: MessageId
    kind: str
    replayed_as: MessageId


@frozen(kw_only=True)
class EffectNoted:
    """An effect of a handler has begun, or this came of it: `done`, `not done`, `in doubt`."""

    path: Path
    message: MessageId
    effect: str
    key: str
    what: str
    by: str = ""
    """Who says so; empty for its call."""
    text: str = ""


@frozen(kw_only=True)
class WaitNoted:
    """A wait of a handler has `begun`, and its message is parked; or it is `over`, and its message has settled, or the
    event has come; or it was `passed by`: its handler does not come to it any more, and `text` says why."""

    path: Path
    message: MessageId
    wait: str
    what: str
    kind: str
    """What is waited for: `time`, `event`."""
    about: str = ""
    """Of which name, where it has one."""
    until: float | None = None
    """Wall seconds."""
    by: str = ""
    """Who has ended it, if somebody has: of an event, the id of its message."""
    text: str = ""


@frozen(kw_only=True)
class CommandAnswered:
    """Another process asked for something, and this became of it."""

    path: Path
    command: str
    """Its id: a command that comes twice is carried out once."""
    what: str
    by: str
    applied: bool
    text: str = ""


@frozen(kw_only=True)
class CheckpointKept:
    """A state was kept that somebody gave a name or tags, or asked for while the tree ran."""

    path: Path
    name: str = ""
    checkpoint: int = 0
    """Its number."""
    tags: tuple[str, ...] = ()


@frozen(kw_only=True)
class RolledBack:
    """The slot's state is again that of checkpoint `to` (None: the state its class declares)."""

    path: Path
    to: int | None
    dropped: tuple[MessageId, ...] = ()
    """Unused: which messages were settled in between nobody knows, for their rows are gone. `diagnosis.undone` says how
    many."""
    checkpoint: int | None = None
    """Its number."""
    name: str = ""
    by: str = ""
    """Who wanted it; empty for the policy."""
    diagnosis: Diagnosis | None = None
    """What the next life is told."""
    left: int | None = None
    """The number of the checkpoint that has the state it had before."""
    over: str = ""
    """The trouble over which a policy went back, as siblings in the same one are known by it."""


@frozen(kw_only=True)
class Recorded:
    """A fact of the user's own (`self.record(...)`), committed with the settle of the message that caused it."""

    path: Path
    kind: str
    facts: Mapping[str, Any]
    message: MessageId = ""
    """That message, if it has an id; left out where it is stored otherwise."""


@frozen(kw_only=True)
class JournalFailed:
    """Commits failed for a while; appended, late, when they worked again."""

    error: str
    since: float


@frozen(kw_only=True)
class JournalRecovered:
    after: float
    lost_events: int = 0
    """How many events were too many to remember."""
    late_events: int = 0
    """How many of those right before this one are of the time when the journal failed: they were appended late."""


@frozen(kw_only=True)
class Spent:
    """An agent with a budget has spent something: all since the last of these."""

    path: Path
    amount: float


Event: TypeAlias = (
    TreeOpened
    | TreeClosed
    | TreeForked
    | EventsPruned
    | TreeReloaded
    | SupervisorStarted
    | SupervisorEnded
    | ChildStarted
    | ChildStartFailed
    | ChildIgnored
    | ChildEnded
    | SignalNoted
    | IncidentOpened
    | Decided
    | QuestionAsked
    | QuestionAnswered
    | DependencyChanged
    | ActionPerformed
    | OutcomeObserved
    | IncidentClosed
    | IntakeChanged
    | IncidentLabelled
    | MessageReturned
    | DeadLettered
    | MessageReplayed
    | EffectNoted
    | WaitNoted
    | ApprovalNoted
    | CommandAnswered
    | CheckpointKept
    | RolledBack
    | SlotMoved
    | Recorded
    | Spent
    | ChaosBegan
    | FaultInjected
    | ChaosEnded
    | JournalFailed
    | JournalRecovered
)

EVENTS: dict[str, type[Event]] = {kind.__name__: kind for kind in get_args(Event)}
"""Every event by the name under which it is stored. Renaming a class breaks old journals."""
