"""What is noticed, decided, done and learned about an incident, the faults that are injected to make some, and what
people rule and move, as committed facts: a part of the union in `event`."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from attrs import field

from treewarden.agents.core.exit import Failure
from treewarden.agents.core.message import MessageId
from treewarden.agents.core.path import Path
from treewarden.agents.core.values import frozen

from .later import Later

__all__ = [
    "ActionPerformed",
    "ApprovalNoted",
    "ChaosBegan",
    "ChaosEnded",
    "Decided",
    "DependencyChanged",
    "FaultInjected",
    "IncidentClosed",
    "IncidentLabelled",
    "IncidentOpened",
    "IntakeChanged",
    "Outcome",
    "OutcomeObserved",
    "QuestionAnswered",
    "QuestionAsked",
    "RejectedOption",
    "SignalNoted",
    "SlotMoved",
    "Tried",
]


class Outcome(StrEnum):
    """What became of an attempt."""

    FIXED = "fixed"
    """The slot was stable afterwards."""
    FAILED = "failed"
    """The trouble came back."""
    UNOBSERVED = "unobserved"
    """Something else ended it first, so nobody knows; nothing is learned from these."""


@frozen(kw_only=True)
class SignalNoted:
    """A signal that opened or joined an incident, other than an exit."""

    path: Path
    kind: str
    severity: float = 0.0
    text: str = ""
    facts: Mapping[str, Any] = field(factory=dict[str, Any])


@frozen(kw_only=True, slots=False)
class IncidentOpened(Later):
    path: Path
    incident: str
    kind: str
    text: str = ""


@frozen(kw_only=True)
class RejectedOption:
    """An alternative that the decision did not take."""

    action: str
    confidence: float
    why: str


@frozen(kw_only=True, slots=False)
class Decided(Later):
    """A decision with everything that it was based on: `treewarden why` prints this."""

    path: Path
    incident: str
    action: str
    """The action's name, `restart`."""
    details: Mapping[str, Any] = field(factory=dict[str, Any])
    """The action's fields."""
    confidence: float
    """P(this action closes this incident)."""
    evidence: float = 0.0
    """How many observed cases that number rests on."""
    calibrated: bool = False
    model: float = 0.0
    """What the belief alone said, before it was shrunk towards what had been observed."""
    policy: str
    rule: str
    signal: str = ""
    """What was noticed, in one sentence."""
    because: tuple[str, ...] = ()
    symptoms: tuple[str, ...] = ()
    risk: str = "low"
    pressure: float = 0.0
    causes: Mapping[str, float] = field(factory=dict[str, float])
    rejected: tuple[RejectedOption, ...] = ()
    next: str = ""
    """What the policy would do if this does not help."""
    challenger: Mapping[str, Any] = field(factory=dict[str, Any])
    """Where there are labels: how many, whether what they taught decides, how far the wager on the other numbers is,
    and what those would do."""


@frozen(kw_only=True)
class QuestionAsked:
    """A person is asked what is to become of a slot. Of the whole tree: the next process looks for the open ones."""

    slot: Path
    question: str
    incident: str = ""
    since: float
    """Wall seconds at which it was asked first, perhaps in an earlier process."""
    over: tuple[str, ...] = ()
    """The troubles that are to be over for a slot that lives to go on without an answer; empty for one that is down, or
    `operator:hold` if a person holds it (`operator:hold, down` for a supervisor that was down then)."""


@frozen(kw_only=True)
class QuestionAnswered:
    """The slot goes on, or nobody will live there any more: nothing is asked about it now."""

    slot: Path
    how: str
    """What came of it."""


@frozen(kw_only=True)
class ApprovalNoted:
    """A handler has asked for an approval, or a person a question, or this came of it: `approved`, `refused`,
    `answered`, `expired`, `superseded`."""

    path: Path
    message: MessageId
    approval: str
    key: str
    what: str
    by: str = ""
    """Who has ruled, or the message by which it was superseded."""
    text: str = ""
    digest: str = ""
    """Of what is to be approved: a ruling is about this, and nothing else."""
    subject: str = ""
    about: Mapping[str, Any] = field(factory=dict[str, Any])
    """What is to be approved, by the kind under which such values are stored, or the `question`, of `asked`; the
    `answer`, of `answered`."""
    until: float = 0.0
    """Wall seconds: when it expires, of `asked`; when it has, of `expired`."""


@frozen(kw_only=True)
class ActionPerformed:
    """An action that is registered under a name has run, and this came of it."""

    path: Path
    action: str
    outcome: str
    """`succeeded`, `failed`, `timed_out`, or `cancelled` with its supervisor."""
    after: float = 0.0
    """Seconds that it ran."""
    text: str = ""
    """What it returned, if that was a text; or why it did not succeed."""
    incident: str = ""
    """Whose remedy it was; empty if somebody asked for it."""
    by: str = ""
    """Who asked for it; empty for the policy."""
    failure: Failure | None = None


@frozen(kw_only=True)
class IntakeChanged:
    """A mailbox admits fewer messages than before, or as many as it holds again; the steps between are not told."""

    path: Path
    admits: int
    """How many may wait."""
    of: int
    """How many it can hold."""
    oldest: float = 0.0
    """Seconds that the oldest message had waited."""
    why: str = ""


@frozen(kw_only=True)
class OutcomeObserved:
    """What became of a decision: `fixed`, `failed`, or `unobserved` where something else ended the incident first."""

    path: Path
    incident: str
    action: str
    kind: str
    outcome: str
    confidence: float = 0.0
    model: float = 0.0
    """The belief's own number for that decision; calibration compares it with what happened."""
    after: float = 0.0
    failed: int = 0
    """How many attempts of the incident had failed when it was decided."""
    symptom: str = ""
    """The symptom that the trouble showed as when it was decided, such as `timeout`; `siblings_alike` where another
    child was in the same trouble."""


@frozen(kw_only=True)
class IncidentClosed:
    path: Path
    incident: str
    outcome: str
    after: float = 0.0
    """Seconds from the first failure until the slot had been stable again."""


@frozen
class Tried:
    """An action of a labelled incident, the trouble that it was to end, and whether it did."""

    action: str
    kind: str
    fixed: bool


@frozen(kw_only=True)
class IncidentLabelled:
    """Somebody who knows has said what an incident's cause was. The last label of an incident counts.

    What its decisions saw and what was tried stands here as well: what is learned from it needs no other event.
    """

    path: Path
    incident: str
    cause: str
    by: str = ""
    symptoms: tuple[tuple[str, ...], ...] = ()
    """Those of each decision."""
    tried: tuple[Tried, ...] = ()
    rehearsed: bool = False
    """It was no trouble of this tree, but of a chaos run: something to learn from, and no proof."""


@frozen(kw_only=True)
class DependencyChanged:
    """A dependency was broken for all its users, is tried by one of them, or may be used by everybody again; or one
    more user has failed over it, about which nothing was decided, and waits with the others."""

    path: Path
    """Whose trouble led to it, or who tries, or waits."""
    dependency: str
    passage: str
    """`open`, `half_open`, `closed`, or `waits`, of one more."""
    users: tuple[Path, ...] = ()
    """Who waits, or waited."""
    seconds: float = 0.0
    """How long nobody tries."""
    why: str = ""


@frozen(kw_only=True)
class ChaosBegan:
    """Somebody has asked for faults in this tree, while it runs."""

    order: str
    """What was asked for, complete: the same order gives the same faults at the same times."""
    by: str = ""


@frozen(kw_only=True)
class FaultInjected:
    """A fault that was asked for has struck a slot: what follows from it is nobody's mistake."""

    path: Path
    fault: str
    """`kill`, `hang` or `slow`."""
    seconds: float = 0.0
    """How long it lasts, if it does."""
    pid: int | None = None
    """The process that it has struck, if the agent has one of its own."""


@frozen(kw_only=True)
class ChaosEnded:
    """No more faults come."""

    reason: str
    faults: int = 0
    """How many have struck."""
    skipped: int = 0
    """How many found nobody whom they might strike."""
    broken: bool = False
    """It was ended because something did not hold that has to."""


@frozen(kw_only=True)
class SlotMoved:
    """All that was stored of a slot and of what is below it went from the path `old` to `new`, while no tree ran. It is
    told at the new path, where it holds from then on, and at the old one, where the events before it stand."""

    path: Path
    old: Path
    new: Path
    by: str = ""
    states: int = 0
    checkpoints: int = 0
    messages: int = 0
    dead_letters: int = 0
    timers: int = 0
