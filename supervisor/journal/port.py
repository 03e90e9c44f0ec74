"""The port to whatever keeps the journal. Rows are already encoded: an implementation never sees the user's types."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Final, Protocol, TypeAlias

from attrs import field

from treewarden.agents.core.message import MessageId
from treewarden.agents.core.path import Path
from treewarden.agents.core.values import frozen

from ..core.checkpoint import EVERYTHING, Checkpoint, Search
from ..core.event import Event
from .commit import (
    AnswerRow,
    CheckpointRow,
    Commit,
    DeadRow,
    KeepRow,
    MessageRow,
    PruneRow,
    ReplyRow,
    RestoreRow,
    ReturnedRow,
    StateRow,
    TimerRow,
)

__all__ = [
    "START",
    "AnswerRow",
    "CheckpointRow",
    "CommandRow",
    "Commit",
    "DeadRow",
    "Journal",
    "KeepRow",
    "Kept",
    "Lessons",
    "MessageRow",
    "Opened",
    "PruneRow",
    "Record",
    "Recovered",
    "ReplyRow",
    "RestoreRow",
    "ReturnedRow",
    "Seq",
    "StateRow",
    "Survey",
    "TimerRow",
]

Seq: TypeAlias = int
"""The place of an event in the journal, from 1, without gaps."""
START: Seq = 0


@frozen
class Kept:
    """A checkpoint with its state."""

    about: Checkpoint
    state: StateRow


@frozen
class CommandRow:
    """What another process asks for, as it left it."""

    id: str
    body: str
    """JSON; see `core.command`."""
    at: float
    """Wall seconds, by the clock of the journal."""
    epoch: int
    """Of the owner whom it was meant for, or that has begun with it."""
    begun: bool = False
    """An owner before this one had begun with it and did not live to say what came of it."""


@frozen
class Record:
    """One committed event."""

    seq: Seq
    at: float
    """Wall seconds at which it happened."""
    event: Event
    epoch: int = 0
    hash: str = ""


CODE: Final = ("TreeOpened", "TreeReloaded")
"""Kinds of events that say which code the tree had from then on."""


@frozen
class Lessons:
    """What a tree that opens learns from its journal."""

    cut: Record | None
    """As `Journal.cut`."""
    lately: Sequence[Record]
    """The events that it asked for, oldest first."""
    labels: Sequence[Record]
    """As `Journal.labels`."""
    questions: Sequence[Record]
    """As `Journal.questions`."""
    code: Sequence[Record] = ()
    """The last event before all those that no cut gave up and that says which code the tree had, if there is one."""


@frozen(kw_only=True)
class Survey:
    """The large values of a journal that stand by themselves, each once. A journal that keeps them whole has none."""

    count: int = 0
    size: int = 0
    """Characters of JSON."""
    unused: int = 0
    """How many of `count` no row holds any more."""
    unused_size: int = 0


@frozen(kw_only=True)
class Recovered:
    """What the journal holds for one slot."""

    state: StateRow | None = None
    state_seq: Seq | None = None
    messages: tuple[MessageRow, ...] = ()
    """In the order in which they are to be handled."""
    timers: Mapping[str, float] = field(factory=dict[str, float])
    replies: tuple[ReplyRow, ...] = ()


@frozen(kw_only=True)
class Opened:
    """What an owner learns when it takes the journal."""

    epoch: int
    holder: str
    head: Seq
    last_row: int
    """Continue numbering messages above this."""
    after_crash: bool
    """There was an owner before, and it did not close."""
    slots: frozenset[Path]
    """Slots for which the journal holds state, messages, timers or replies; others need no recovery."""
    tree: str
    """An id of this journal, made with the file: it begins every message id but those in named traces."""
    kept_for: frozenset[MessageId] = frozenset()
    """Messages that wait, and for whose handlers replies, effects or waits are kept."""
    kept_in_vain: tuple[str, ...] = ()
    """Prefixes of the ids of what is kept for messages that nobody handles again, as `Commit.forget_replies` has them.
    What is kept for those of other journals is not among it, nor an effect in doubt."""
    identity: str = ""
    """`ID@SECONDS`: the id, and the wall time at which the file was made; empty for a journal that does not last."""


class Journal(Protocol):
    """The append-only record and the current state, behind one writer.

    Used as `async with journal:` around everything else; entering takes ownership and starts the writer
    task, leaving writes what is queued, gives ownership back and closes. Nothing is acknowledged before it
    is durable, and nothing is written under an epoch that is not current.
    """

    @property
    def opened(self) -> Opened: ...

    @property
    def head(self) -> Seq:
        """The last committed sequence number."""
        ...

    async def __aenter__(self) -> Journal: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None: ...

    def submit(self, commit: Commit, then: Callable[[BaseException | None], None]) -> None:
        """Queue a transaction, in order; it may share a disk sync with others. Never blocks, never raises.

        `then(None)` is called in the loop after it is durable, never before `submit` returns; `then(error)` if
        nothing of it was kept, and then nothing is kept of what was queued behind it with the same `Commit.by`. For a
        commit that is `quiet`, `then(None)` may be left out.
        `then` must not raise.
        """
        ...

    async def commit(self, commit: Commit) -> Seq:
        """Submit and wait. Returns the head after it. Cancelled: the transaction is committed all the same.

        Raises `CommitFailed`, `EpochLost`.
        """
        ...

    async def recover(self, path: Path) -> Recovered:
        """What is held for one slot, including everything submitted before this call.

        Raises `JournalDamaged` where a row of it is not what was written.
        """
        ...

    def expecting(self, paths: Sequence[Path]) -> AbstractContextManager[None]:
        """In the block these slots are recovered, in about this order: a journal may read what they hold together.

        What `recover` returns and raises is the same, whatever is submitted meanwhile. Not promised: that anything is
        read together; a slot of which much is held never is.
        """
        ...

    def at_hand(self, path: Path) -> Recovered | None:
        """What `recover` would return, where that needs no waiting because the slot was `expecting`; None otherwise."""
        ...

    async def checkpoints(self, path: Path, limit: int = 20, search: Search = EVERYTHING) -> Sequence[Checkpoint]:
        """Kept states of a slot, or of all slots below a path, newest first: those that `search` finds. One of which
        nobody can read what it is called is passed over."""
        ...

    async def checkpoint(self, number: int) -> Kept | None:
        """One checkpoint with its state; None if it is not there (any more). Raises as `recover`."""
        ...

    async def read(
        self, after: Seq = START, limit: int = 500, kinds: Collection[str] | None = None
    ) -> Sequence[Record]:
        """Committed events after `after`, oldest first; of some kinds only (`EVENTS` has the names), if asked for."""
        ...

    async def read_all(self, after: Seq, through: Seq, path: Path, kind: str) -> Sequence[Record]:
        """The events of one kind about one slot after `after`, up to `through`, oldest first: in short steps between
        which commits go on, for there may be millions of others."""
        ...

    async def labels(self) -> Sequence[Record]:
        """All labels of incidents (`IncidentLabelled`) that count, oldest first: of those that were pruned the last
        ones of each incident."""
        ...

    async def questions(self) -> Sequence[Record]:
        """What people are asked and have not answered (`QuestionAsked`), oldest first."""
        ...

    async def cut(self) -> Record | None:
        """The last `EventsPruned`: events up to the one that it names may be gone."""
        ...

    async def lessons(self, last: int, kinds: Collection[str]) -> Lessons:
        """What `cut`, `labels` and `questions` return, of the `last` events those of some kinds that no cut gave up,
        and which code the tree had before those: as one question, for a tree that opens waits for it."""
        ...

    async def trim(self) -> None:
        """Delete the events that the last `EventsPruned` gives up, in short steps between which commits go on.

        Cancelled: what was deleted is gone, the next call goes on.
        """
        ...

    async def wait_beyond(self, seq: Seq) -> Seq:
        """Wait until the head is beyond `seq`; returns the head."""
        ...

    async def dead_letters(self, path: Path | None = None, limit: int = 100) -> Sequence[DeadRow]:
        """Messages given up, newest first; of one slot and all below it, or of all."""
        ...

    async def blobs(self) -> Survey:
        """How many large values are held apart, and how many of them nobody holds any more."""
        ...

    async def compact(self) -> Survey:
        """Give up what nobody holds, and give room back to the disk, in short steps between which commits go on.

        Returns what large values are left. Cancelled: what was done stays done.
        """
        ...

    async def dead_letter(self, message: MessageId) -> DeadRow | None:
        """The message given up that had this id, unless it was put back."""
        ...

    async def commands(self) -> Sequence[CommandRow]:
        """Wait for commands from other processes, and return those without an answer, oldest first.

        Those that were returned and not answered since come again with the next ones.
        """
        ...
