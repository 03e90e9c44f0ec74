"""What is asked of a journal: one transaction, and the rows that it is made of. They are encoded already."""

from __future__ import annotations

import math

from treewarden.agents.core.label import Label
from treewarden.agents.core.message import MessageId
from treewarden.agents.core.path import Path
from treewarden.agents.core.values import frozen
from treewarden.agents.errors import CommitFailed

from ..core.event import CheckpointKept, Event
from .large import Large

__all__ = [
    "AnswerRow",
    "CheckpointRow",
    "Commit",
    "DeadRow",
    "KeepRow",
    "MessageRow",
    "PruneRow",
    "ReplyRow",
    "RestoreRow",
    "ReturnedRow",
    "StateRow",
    "TimerRow",
    "follows",
    "kept_as",
    "works_of",
]


@frozen(slots=False)
class StateRow:
    """The current state of a slot; it replaces the one before it."""

    path: Path
    kind: str
    body: str
    """Canonical JSON."""
    version: int = 1
    settled: int = 0
    """How many messages this slot has settled in all its lives: it grows by one with each."""
    large: Large | None = None
    """What stands for `body`, which is empty then, in a row to be written; one that was read has none."""


@frozen
class CheckpointRow:
    """A state to be kept."""

    path: Path
    number: int
    """Given by the owner of the journal, growing: from the same count as the rows of messages."""
    kind: str
    body: str
    version: int = 1
    settled: int = 0
    at: float = 0.0
    """Wall seconds."""
    label: Label = Label()
    pinned: bool = False
    """It stays whatever `PruneRow`s come."""
    large: Large | None = None
    """As in `StateRow`."""

    @classmethod
    def of(cls, state: StateRow, number: int, label: Label, at: float, *, pinned: bool) -> CheckpointRow:
        """A state that is written in the same commit, to be kept."""
        return cls(
            path=state.path,
            number=number,
            kind=state.kind,
            body=state.body,
            version=state.version,
            settled=state.settled,
            at=at,
            label=label,
            pinned=pinned,
            large=state.large,
        )


@frozen
class KeepRow:
    """Keep the current state of a slot as a checkpoint, as it is stored when this commit's turn comes."""

    path: Path
    number: int
    at: float = 0.0
    label: Label = Label()
    pinned: bool = False


@frozen
class RestoreRow:
    """Make the state of a checkpoint the current state of its slot again."""

    path: Path
    number: int
    settled: int
    """What the new current state counts as settled."""


@frozen
class PruneRow:
    """Of the checkpoints of a slot that are not pinned, those go that are neither among the newest nor young."""

    path: Path
    last: int
    """So many of the newest stay."""
    before: float = math.inf
    """Wall seconds: those that were kept at this time or later stay."""


@frozen(slots=False)
class MessageRow:
    """A message that waits in a durable mailbox."""

    path: Path
    row: int
    """Given by the owner of the journal, growing; a mailbox is read in this order within a priority."""
    id: MessageId
    kind: str
    body: str
    sender: Path | None = None
    priority: int = 2
    at: float = 0.0
    deliveries: int = 0
    deaths: int = 0
    not_before: float | None = None
    """Wall seconds."""
    version: int = 1
    large: Large | None = None
    """As in `StateRow`."""


@frozen
class ReturnedRow:
    """A waiting message's counters, changed."""

    row: int
    deliveries: int
    deaths: int = 0
    not_before: float | None = None


@frozen
class DeadRow:
    """A message given up. With `row` it leaves its mailbox in the same transaction."""

    path: Path
    id: MessageId
    kind: str
    body: str
    reason: str
    at: float
    row: int | None = None
    sender: Path | None = None
    version: int = 1
    large: Large | None = None
    """As in `StateRow`."""
    priority: int = 2
    """Of rows that were written before schema 4 it is not known, and is this."""
    as_stored: bool = False
    """In a row to be written: kind, version and body are those that `row` has in the mailbox, and not those given here.
    One that was read is not marked so."""


@frozen
class ReplyRow:
    """The reply to an ask of a handler, kept until the asking message settles."""

    id: MessageId
    path: Path
    kind: str
    body: str
    version: int = 1
    large: Large | None = None
    """As in `StateRow`."""


@frozen
class TimerRow:
    """When a timer of a slot is next due, in wall seconds."""

    path: Path
    name: str
    at: float


@frozen
class AnswerRow:
    """What became of a command."""

    id: str
    state: str
    """`taken`, and then `applied`, `refused` or `unknown`; or one of these at once."""
    text: str = ""


@frozen(kw_only=True, slots=False)
class Commit:
    """One transaction: all of it or nothing.

    A row in `acked` or `dead` that does not wait any more fails the commit: a message ends once. So do a row in
    `accepted` whose number is taken, an id in `revived` that no dead letter has, a slot in `keeps` without a state, and
    a checkpoint in `restores` that is not there any more.
    """

    by: Path | None = None
    """Whose work this is, if it rests on what that slot committed before: when one fails, those queued behind it fail
    too. None: the slots of `states`."""
    quiet: bool = False
    """It is nothing but `events`, and nobody waits for it: a journal may tell only its failure."""
    events: tuple[tuple[float, Event], ...] = ()
    """(wall seconds, event), in order."""
    states: tuple[StateRow, ...] = ()
    checkpoints: tuple[CheckpointRow, ...] = ()
    keeps: tuple[KeepRow, ...] = ()
    """What is current before `states` and `restores` of this commit."""
    restores: tuple[RestoreRow, ...] = ()
    prunes: tuple[PruneRow, ...] = ()
    """Done last."""
    accepted: tuple[MessageRow, ...] = ()
    acked: tuple[int, ...] = ()
    """Rows that leave their mailbox because they were handled."""
    returned: tuple[ReturnedRow, ...] = ()
    dead: tuple[DeadRow, ...] = ()
    last_row: int = 0
    """The number by which one in `dead` is called that has no row: no row is given it any more."""
    revived: tuple[MessageId, ...] = ()
    """Dead letters that are none any more, because they are put back into their mailbox."""
    replies: tuple[ReplyRow, ...] = ()
    forget_replies: tuple[str, ...] = ()
    """Prefixes of reply ids whose asking message has settled: its id, and a `>`."""
    timers: tuple[TimerRow, ...] = ()
    answers: tuple[AnswerRow, ...] = ()
    """To commands. One that was answered before, or taken back, fails the commit."""
    forget: tuple[Path, ...] = ()
    """Slots that are gone for good: their state, checkpoints and timers are deleted (events stay)."""


def works_of(commit: Commit) -> set[Path]:
    """The slots whose later commits rest on this one."""
    return {commit.by} if commit.by is not None else {state.path for state in commit.states}


def kept_as(path: Path, number: int, label: Label, wall: float) -> tuple[tuple[float, Event], ...]:
    """The fact that a checkpoint was kept, if anybody will ask for this one."""
    if not label.name and not label.tags:
        return ()
    return ((wall, CheckpointKept(path=path, name=label.name, checkpoint=number, tags=label.tags)),)


def follows(name: str) -> CommitFailed:
    """What a commit is told that rests on one which was not kept."""
    return CommitFailed(f"{name}: nothing of it was kept: it rests on a commit that failed")
