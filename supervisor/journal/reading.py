"""A journal's file for readers: of a live tree or a dead one, without owning, locking or changing it."""

from __future__ import annotations

import os
import pathlib
import sqlite3
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Final, TypeVar

import trio

from treewarden.agents.core.path import Path
from treewarden.agents.errors import JournalDamaged, JournalError, TreewardenError

from ..core.chain import Head, Verdict
from ..core.checkpoint import EVERYTHING, Checkpoint, Search
from ..core.event import EventsPruned, TreeForked
from ..views.pruned import pruned_of
from . import kept_rows, rows
from .blobs import survey
from .holder import Fate, Holder, ProcessTable, ProcfsTable
from .integrity import Rows, check_all
from .looked_at import LookedAt
from .place import refuse_unreadable
from .port import START, DeadRow, Kept, MessageRow, Record, ReplyRow, Seq, StateRow, Survey
from .raised import is_of_a_damage
from .rows import Held, Waiting
from .schema import identify, unusable
from .seams import RunSync
from .still import Still, found_still
from .stored_chain import NO_VALUE, verdict_on
from .taking import meta

__all__ = ["JournalFile", "uri_to_read", "wait_for_records"]

T = TypeVar("T")

_CANNOT_MAKE: Final = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL)
"""What SQLite says where it may not make files beside this one, or has no room for them."""


class JournalFile:
    """An open file, to be used as `with JournalFile.open(path) as file:`. Every call blocks, briefly; one at a time.

    Each call sees the latest commits; two calls may see different ones. Beside the file SQLite may leave its `-wal`
    and `-shm`, which the next owner removes. All calls raise `JournalError` where the file does not answer, and
    `JournalDamaged` where it holds something else than was written.
    """

    def __init__(
        self, file: pathlib.Path, connection: sqlite3.Connection, processes: ProcessTable, still: Still | None = None
    ) -> None:
        self.file = file
        self._connection = connection
        self._processes = processes
        self._still = still
        self.looked_at = LookedAt()
        """How far `verify` and `check_rows` have come."""

    @classmethod
    def open(cls, file: str | os.PathLike[str], *, processes: ProcessTable | None = None) -> JournalFile:
        """Raises `JournalError` if there is no such file, it is not a journal, or a newer treewarden wrote it."""
        path = pathlib.Path(file)
        refuse_unreadable(path)
        still: Still | None = None
        connection: sqlite3.Connection | None = None
        try:
            connection = _connect(uri_to_read(path))
            if not _answers(connection):
                connection.close()
                still = found_still(path)
                connection = _connect(still.uri)
            if identify(connection, str(path)) == 0:
                if not path.stat().st_size:
                    raise JournalError(f"{path} is empty: no tree was ever started with it")
                raise JournalError(
                    f"{path} holds nothing yet: if it is a copy, what was written is in the log beside the original,"
                    f" {path.name}-wal, which belongs to it. Copy both while no tree runs, or export the original"
                )
        except BaseException as error:
            if connection is not None:
                connection.close()
            if isinstance(error, (sqlite3.Error, UnicodeDecodeError)):
                raise unusable(error, str(path)) from error
            raise
        return cls(path, connection, ProcfsTable() if processes is None else processes, still)

    @property
    def uri(self) -> str:
        """By what SQLite can open it for reading."""
        return uri_to_read(self.file) if self._still is None else self._still.uri

    def check_still(self) -> None:
        """Raise `JournalError` if what was read may not have been of one moment: only where nobody may write beside the
        file can that be, and all calls look at it by themselves."""
        if self._still is not None:
            self._still.check()

    def close(self) -> None:
        self._connection.close()

    def interrupt(self) -> None:
        """End what SQLite is at for another thread, whose call raises then. Not for a file that is closed."""
        self._connection.interrupt()

    def __enter__(self) -> JournalFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def tree(self) -> str:
        """The id of this journal: with it begins every message id, but for those in traces that have a name."""
        found = self._ask(meta)
        return found[0] if found else ""

    @property
    def head(self) -> Head:
        """The last event's number and hash, as the file counts them."""
        found = self._ask(meta)
        if found is None:
            return Head()
        head = Head(found[1].seq, found[1].hash)
        if (type(head.seq), type(head.hash)) != (int, bytes):
            raise JournalDamaged(f"{self.file}: table meta does not say where the events end. Restore it from a copy")
        return head

    def holder(self) -> Holder | None:
        """Who owns the file, or owned it last; None if nobody ever did."""
        return self._ask(rows.holder)[0]

    def ownership(self) -> tuple[Holder | None, float]:
        """As `holder`, with the database's time, which judges leases."""
        return self._ask(rows.holder)

    def answer(self, command: str) -> tuple[str, str] | None:
        """The state of a command, and what was answered; None if there is no such command."""
        return self._ask(lambda connection: rows.answer(connection, command))

    def describe_holder(self) -> str:
        """Whether a tree runs on this file, in a sentence."""
        return f"{self._describe_holder()}{'' if self._still is None else '; read as it lies there, without a lock'}"

    def _describe_holder(self) -> str:
        holder, now = self._ask(rows.holder)
        if holder is None:
            return "never owned"
        if holder.released:
            return f"closed in order by {holder}"
        fate = self._processes.fate(holder.process)
        if fate is Fate.GONE:
            return f"left behind by {holder}, which has died"
        if fate is Fate.ALIVE and self._processes.has_left(holder.process, self.file):
            return f"left by {holder}, which lives and has it no longer open"
        if not holder.lease_until:
            return f"left behind when {holder} came, which wrote something and went"
        left = holder.lease_until - now
        if left <= 0 and fate is Fate.ALIVE:
            return f"held by {holder}, which lives and could not renew its lease: it ran out {-left:.0f} s ago"
        if left <= 0:
            return f"left by {holder}, whose lease ran out {-left:.0f} s ago"
        return f"owned by {holder}, lease for another {left:{'.0f' if left < 1e7 else 'g'}} s"

    def records(
        self,
        after: Seq = START,
        limit: int = 500,
        *,
        path: Path | None = None,
        kinds: Collection[str] | None = None,
        within: Path | None = None,
        newest: bool = False,
    ) -> Sequence[Record]:
        """Events after `after`, oldest first; of one slot, of one with all below it, of some kinds (`Decided`), if
        asked for: the first `limit` of them, or the `newest`.

        Raises `UnknownKind` for an event that this version of treewarden cannot read.
        """
        return self._ask(lambda connection: rows.records(connection, after, limit, path, kinds, within, newest))

    def lineage(self) -> Sequence[TreeForked]:
        """The journals that this one is a fork of, the first one first: each up to the event that it names."""
        cut = self.cut()
        found = self.records(START if cut is None else cut.through, limit=-1, kinds=["TreeForked"])
        later = [record.event for record in found if isinstance(record.event, TreeForked)]
        return [*pruned_of(cut).lineage, *later]

    def cut(self) -> EventsPruned | None:
        """The last record of events that were given up; those up to the one that it names may be gone."""
        found = self._ask(rows.cut)
        return found.event if found is not None and isinstance(found.event, EventsPruned) else None

    def labels(self) -> Sequence[Record]:
        """All labels of incidents, oldest first. Raises as `records`."""
        return self._ask(rows.labels)

    def states(self) -> Sequence[StateRow]:
        """The current state of every slot, by path."""
        return self._ask(rows.states)

    def settled(self) -> dict[Path, int]:
        """How many messages every slot with a state had settled when that was written, by path. Reads no states."""
        return self._ask(rows.settled)

    def paths(self, *, answers: bool = True) -> frozenset[Path]:
        """Every slot that an event is about. Without `answers`, not one that a command has named only, for that is no
        slot where it was refused."""
        return self._ask(lambda connection: rows.paths(connection, answers=answers))

    def state(self, path: Path) -> StateRow | None:
        """The current state of one slot."""
        return self._ask(lambda connection: rows.state(connection, path))

    def checkpoints(self, path: Path, limit: int = 20, search: Search = EVERYTHING) -> Sequence[Checkpoint]:
        """Kept states of a slot, or of all slots below a path, newest first: those that `search` finds."""
        return self._ask(lambda connection: kept_rows.checkpoints(connection, path, limit, search))

    def checkpoint(self, number: int) -> Kept | None:
        """One checkpoint with its state; None if it is not there (any more)."""
        return self._ask(lambda connection: kept_rows.checkpoint(connection, number))

    def blobs(self) -> Survey:
        """How many large values are held apart, and how many of them nobody holds any more."""
        return self._ask(survey)

    def mailboxes(self) -> Sequence[Waiting]:
        """How many messages wait in each durable mailbox that has any, by path."""
        return self._ask(rows.waiting)

    def held(self) -> Iterator[Held]:
        """Every state, message, checkpoint, dead letter and reply, as it is stored, of one moment."""
        with self.moment() as connection:
            yield from rows.held(connection)

    def effects(self) -> Sequence[ReplyRow]:
        """What is stored of effects of handlers: that they have begun, and their results."""
        return self._ask(rows.effects)

    @contextmanager
    def moment(self) -> Generator[sqlite3.Connection]:
        """The tables as they are now, for the length of a block; what is committed meanwhile is not seen."""
        self._ask(lambda connection: connection.execute("BEGIN"))
        try:
            try:
                yield self._connection
                self.check_still()
            finally:
                if self._connection.in_transaction:  # SQLite may have ended it where it cannot read
                    self._connection.execute("ROLLBACK")
        except sqlite3.DatabaseError as error:
            raise self._unreadable(error) from error
        except TreewardenError:  # some are a `ValueError` as well
            raise
        except NO_VALUE as error:
            raise self._damaged(error) from error

    def messages(self, path: Path, limit: int = 100) -> Sequence[MessageRow]:
        """What waits in one mailbox, in the order in which it is to be handled."""
        return self._ask(lambda connection: rows.messages(connection, path, limit))

    def dead_letters(self, path: Path | None = None, limit: int = 100) -> Sequence[DeadRow]:
        """Messages given up, newest first."""
        return self._ask(lambda connection: rows.dead_letters(connection, path, limit))

    def timers(self, path: Path) -> dict[str, float]:
        """When the timers of one slot are due, in wall seconds, by name."""
        return self._ask(lambda connection: rows.timers(connection, path))

    def verify(self, head: Head | None = None, *, anchors: Sequence[Head] = ()) -> Verdict:
        """Check the hash chain of all events, up to `head` (that of the file itself, which proves less) and through
        `anchors`, the heads that were kept elsewhere. What was pruned is proven by the record of the cut. A row that
        SQLite cannot read is a fault, and hides no other.
        """

        def question(connection: sqlite3.Connection) -> Verdict:
            connection.execute("BEGIN")  # so that the events and the head are of the same moment
            try:
                return verdict_on(connection, self.head if head is None else head, anchors, self.looked_at)
            finally:
                if connection.in_transaction:  # SQLite may have ended it where it cannot read
                    connection.execute("ROLLBACK")

        return self._ask(question)

    def check_rows(self) -> Rows:
        """Check the rows that are not in the chain, the large values, and the structure of the file."""

        def question(connection: sqlite3.Connection) -> Rows:
            version = identify(connection, str(self.file))
            connection.execute("BEGIN")
            try:
                return check_all(connection, version, self.looked_at)
            finally:
                if connection.in_transaction:  # SQLite may have ended it where it cannot read
                    connection.execute("ROLLBACK")

        return self._ask(question)

    def data_version(self) -> int:
        """A number that differs from its last value if somebody else has committed since."""
        return self._ask(rows.data_version)

    def _ask(self, question: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return question(self._connection)
        except sqlite3.DatabaseError as error:
            self.check_still()
            raise self._unreadable(error) from error
        except TreewardenError:  # some are a `ValueError` as well
            raise
        except NO_VALUE as error:
            raise self._damaged(error) from error
        finally:
            self.check_still()

    def _unreadable(self, error: sqlite3.DatabaseError) -> JournalError:
        if is_of_a_damage(error):
            return JournalDamaged(f"{self.file} cannot be read: {error}. Restore it from a copy")
        return JournalError(f"{self.file} cannot be read: {error}")

    def _damaged(self, error: Exception) -> JournalDamaged:
        return JournalDamaged(
            f"{self.file} does not hold what was written ({error!r}): `treewarden journal verify` lists all that is"
            " damaged"
        )


async def wait_for_records(
    file: JournalFile, after: Seq, *, run_sync: RunSync = trio.to_thread.run_sync, every: float = 0.2, limit: int = 500
) -> Sequence[Record]:
    """The next events after `after`, as soon as there are any: `data_version` is looked at `every` so many seconds.

    Cancellation leaves the file usable. Raises what `JournalFile.records` raises.
    """
    seen: int | None = None
    while True:
        version = await run_sync(file.data_version)
        if version != seen:
            seen = version
            found = await run_sync(file.records, after, limit)
            if found:
                return found
        await trio.sleep(every)


def _connect(uri: str) -> sqlite3.Connection:
    connection = sqlite3.connect(uri, uri=True, timeout=1.0, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA query_only = 1")
    except BaseException:
        connection.close()
        raise
    return connection


def _answers(connection: sqlite3.Connection) -> bool:
    """Whether SQLite finds what it needs beside the file, or may make it."""
    try:
        connection.execute("SELECT 1 FROM sqlite_schema").fetchone()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF in _CANNOT_MAKE:
            return False
        raise
    return True


def uri_to_read(file: pathlib.Path) -> str:
    """By what SQLite opens `file` so that nothing of it changes, and nothing new lies beside it afterwards.

    Not immutable=1, which leaves out what is still in the write-ahead log (but see `still.py`). Where somebody has left
    such a log it is only read; where there is none, a reader that might not write could not take away its own, which is
    empty.
    """
    mode = "ro" if os.path.exists(f"{os.path.realpath(file)}-wal") else "rw"
    return f"{file.absolute().as_uri()}?mode={mode}"
