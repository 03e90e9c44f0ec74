"""The journal in one SQLite file: one connection, one writer, and as many commits to a disk sync as have gathered."""

from __future__ import annotations

import math
import pathlib
import sqlite3
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, TypeVar

import trio

from treewarden.agents.core.exit import alone
from treewarden.agents.core.message import MessageId
from treewarden.agents.core.path import Path
from treewarden.agents.core.said import is_number, shown
from treewarden.agents.errors import ConfigurationError, JournalError
from treewarden.agents.ports import Clock
from treewarden.agents.waiting import Level

from ..core.checkpoint import EVERYTHING, Checkpoint, Search
from ..core.event import EventsPruned
from ..core.later import Later
from ..loop_watch import runs_in_real_time
from . import rows
from .blobs import survey
from .holder import ProcessTable, ProcfsTable
from .integrity import refuse_damaged, refuse_damaged_checkpoint
from .owned import OwnedFile
from .place import named
from .port import START, CommandRow, Commit, DeadRow, Kept, Lessons, Opened, Record, Recovered, Seq, Survey
from .recent import Recent
from .seams import Connect, RunSync, in_thread
from .taking import Claim
from .writer import Pending, Question, Then, Writer

if TYPE_CHECKING:
    from .ahead import Ahead

__all__ = ["SqliteJournal"]

T = TypeVar("T")

_HEED_EVERY: Final = 0.1
"""Seconds between two looks at whether another process has left a command."""
_STEP: Final = 4_000_000
"""Characters of large values that one step of a compaction deletes."""
_ROWS: Final = 500
"""Events that one step of a cut deletes."""
_LOOKED_THROUGH: Final = 20_000
"""Events among which one question looks for some."""
_PAGES: Final = 256
"""Pages that one step gives back to the disk."""


def _new_tree() -> str:
    import secrets  # once for each file

    return secrets.token_hex(4)


class SqliteJournal:
    """A `Journal` that survives `kill -9` and power cuts: `PRAGMA synchronous=EXTRA`, write-ahead log.

    Nothing waits for company: what has gathered while the last transaction was on its way to the disk is the next
    one. All SQL runs through `run_sync`, one call at a time. A second owner of the file is refused with
    `JournalOwned` until this one has closed it, is provably dead, or has let its lease run out. If that last thing
    happens here, nothing more is written, everything inside the `async with` is cancelled, and it raises `EpochLost`.

    Not promised: that a file on a network file system is safe, or that a disk that lies about syncs keeps anything.
    """

    def __init__(
        self,
        file: str | pathlib.Path,
        *,
        clock: Clock,
        run_sync: RunSync = in_thread,
        lease: float = 10.0,
        patience: float = 2.0,
        processes: ProcessTable | None = None,
        connect: Connect = sqlite3.connect,
        new_tree: Callable[[], str] = _new_tree,
        visits: bool = False,
        rest: Callable[[float], object] = time.sleep,
    ) -> None:
        """`lease` is in seconds of the database's clock, renewed three times as often; `patience` is how many seconds
        to wait while another process writes. One that `visits` writes something and goes: where the owner before it
        died, the next one still learns so. `rest` keeps a loop that is never idle for some µs, so that the writer's
        thread gets the interpreter.

        Raises `ConfigurationError` for a name or numbers that cannot work. The file is opened on entering.
        """
        if not is_number(lease) or not 0 < lease < math.inf:
            raise ConfigurationError(f"lease is {shown(lease)}; it must be positive and finite")
        if not is_number(patience) or not 0 <= patience < math.inf:
            raise ConfigurationError(f"patience is {shown(patience)}; it must be 0 or more and finite")
        self._claim = Claim(
            file=named(file),
            at=named(file).absolute(),
            processes=ProcfsTable() if processes is None else processes,
            connect=connect,
            new_tree=new_tree,
            lease=lease,
            patience=patience,
            visits=visits,
        )
        self._clock = clock
        self._run_sync = run_sync
        self._rest = rest
        self._level = Level()
        """The head, for those who wait for it to move."""
        self._file: OwnedFile | None = None
        self._recent = Recent()
        self._ahead: Ahead | None = None
        self._first: Path | None = None
        """Who was recovered before anybody looked ahead."""
        self._writer: Writer | None = None
        self._heeded: int | None = None
        """`data_version` when commands were last looked for."""
        self._nursery: AbstractAsyncContextManager[trio.Nursery] | None = None
        self._entered = False

    @property
    def opened(self) -> Opened:
        return self._owned.opened

    @property
    def head(self) -> Seq:
        return self._recent.head

    @property
    def _owned(self) -> OwnedFile:
        if self._file is None:
            raise self._not_open()
        return self._file

    @trio.lowlevel.enable_ki_protection  # or the file would be open, and nobody close it
    async def __aenter__(self) -> SqliteJournal:
        if self._entered:
            raise JournalError(f"{self._claim.file}: a journal is entered once; make another to open the file again")
        self._entered = True
        file = await self._call(OwnedFile, self._claim, self._clock.wall())
        self._file = file
        self._recent = Recent(file.opened.head)
        self._level.rise(file.opened.head)
        self._nursery = trio.open_nursery()
        nursery = await self._nursery.__aenter__()
        self._writer = Writer(
            file,
            str(self._claim.file),
            clock=self._clock,
            run_sync=self._run_sync,
            lease=self._claim.lease,
            recent=self._recent,
            level=self._level,
            lost=nursery.cancel_scope.cancel,
            rest=self._rest,
        )
        nursery.start_soon(self._writer.run, name="journal writer")
        if self._writer.bell is not None:
            nursery.start_soon(self._writer.bell.listen, name="journal bell")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._nursery is not None
        self._open.close()
        try:
            # The writer is shielded: it ends when the queue is empty, whatever is cancelled.
            await self._nursery.__aexit__(kind, error, traceback)
        except BaseExceptionGroup as group:
            _, rest = group.split(trio.Cancelled)
            pressed = alone(rest or group)
            if isinstance(pressed, KeyboardInterrupt):
                raise pressed from pressed.__cause__
            if not _is_only(group, error):
                raise
        finally:
            await self._call(self._owned.close)
        if self._owned.lost is not None and not isinstance(error, type(self._owned.lost)):
            raise self._owned.lost

    def submit(self, commit: Commit, then: Then) -> None:
        for _, event in commit.events:
            if isinstance(event, Later):
                event.work_out()  # here: a policy of the user's has nothing to do in the thread that writes
        if self._ahead is not None:
            self._ahead.touched(commit)
        self._open.commit(Pending(commit, then))

    async def commit(self, commit: Commit) -> Seq:
        done = trio.Event()
        failed: list[BaseException] = []

        def then(error: BaseException | None) -> None:
            if error is not None:
                failed.append(error)
            done.set()

        pending = Pending(commit, then)
        if self._ahead is not None:
            self._ahead.touched(commit)
        self._open.commit(pending)
        await done.wait()
        for error in failed:
            again = type(error)(*error.args)  # one of its own: others may be told the same
            again.__dict__.update(error.__dict__)
            raise again from error
        return pending.head

    async def recover(self, path: Path) -> Recovered:
        held = self.at_hand(path)
        if held is not None:
            await trio.lowlevel.checkpoint()
            return held
        if self._ahead is None and self._first is None:
            self._first, ahead = path, None
        else:
            ahead = self._looking_ahead()
        name = str(self._claim.file)

        def recovered(connection: sqlite3.Connection) -> Recovered:
            refuse_damaged(connection, path, name)
            return rows.recovered(connection, path)

        return await (self._ask(recovered) if ahead is None else ahead.read(path, recovered, self._ask))

    def at_hand(self, path: Path) -> Recovered | None:
        ahead, writer = self._ahead, self._writer
        return None if ahead is None or writer is None or writer.ended else ahead.take(path)

    def expecting(self, paths: Sequence[Path]) -> AbstractContextManager[None]:
        return self._looking_ahead().expecting(paths)

    def _looking_ahead(self) -> Ahead:
        if self._ahead is None:
            from .ahead import Ahead  # with the second slot of a process: a start with one agent does without

            self._ahead = Ahead(self.opened.slots, self._first)
        return self._ahead

    async def checkpoints(self, path: Path, limit: int = 20, search: Search = EVERYTHING) -> Sequence[Checkpoint]:
        from . import kept_rows  # when a checkpoint is asked for

        return await self._ask(lambda connection: kept_rows.sound_checkpoints(connection, path, limit, search))

    async def checkpoint(self, number: int) -> Kept | None:
        from . import kept_rows  # likewise

        name = str(self._claim.file)

        def checkpoint(connection: sqlite3.Connection) -> Kept | None:
            refuse_damaged_checkpoint(connection, number, name)
            return kept_rows.checkpoint(connection, number)

        return await self._ask(checkpoint)

    async def read(
        self, after: Seq = START, limit: int = 500, kinds: Collection[str] | None = None
    ) -> Sequence[Record]:
        recent = self._recent.after(after, limit) if kinds is None else None
        if recent is None:
            return await self._ask(lambda connection: rows.records(connection, after, limit, kinds=kinds))
        await trio.lowlevel.checkpoint()
        return recent

    async def read_all(self, after: Seq, through: Seq, path: Path, kind: str) -> Sequence[Record]:
        found: list[Record] = []
        for first in range(after, through, _LOOKED_THROUGH):
            last = min(through, first + _LOOKED_THROUGH)
            found += await self._ask(partial(rows.of_kind, after=first, through=last, path=path, kind=kind))
        return found

    async def labels(self) -> Sequence[Record]:
        return await self._ask(rows.labels)

    async def questions(self) -> Sequence[Record]:
        return await self._ask(rows.questions)

    async def lessons(self, last: int, kinds: Collection[str]) -> Lessons:
        return await self._ask(lambda connection: rows.lessons(connection, self.head - last, last, kinds))

    async def cut(self) -> Record | None:
        return await self._ask(rows.cut)

    async def trim(self) -> None:
        file = self._owned
        while await self._ask(lambda _: file.trim(_ROWS)):
            pass
        cut = await self.cut()
        if cut is not None and isinstance(cut.event, EventsPruned):
            self._recent.forget(cut.event.through)

    async def wait_beyond(self, seq: Seq) -> Seq:
        return await self._level.wait_beyond(seq)

    async def dead_letters(self, path: Path | None = None, limit: int = 100) -> Sequence[DeadRow]:
        return await self._ask(lambda connection: rows.dead_letters(connection, path, limit))

    async def blobs(self) -> Survey:
        return await self._ask(survey)

    async def compact(self) -> Survey:
        file = self._owned
        left = await self._ask(lambda _: file.sweep(_STEP))
        while left.unused:
            left = await self._ask(lambda _: file.sweep(_STEP))
        while await self._ask(lambda _: file.shrink(_PAGES)):
            pass
        return left

    async def dead_letter(self, message: MessageId) -> DeadRow | None:
        return await self._ask(lambda connection: rows.dead_letter(connection, message))

    async def commands(self) -> Sequence[CommandRow]:
        while True:
            version = await self._ask(rows.data_version)
            if version != self._heeded:
                self._heeded = version
                found = await self._ask(rows.commands)
                if found:
                    return found
            # No other process runs in simulated time, and a look every 0.1 s of it would be all that a test does.
            await trio.sleep(_HEED_EVERY if runs_in_real_time() else self._claim.lease / 3)

    async def _ask(self, ask: Callable[[sqlite3.Connection], T]) -> T:
        writer = self._writer
        if writer is None or writer.ended:
            raise JournalError(f"{self._claim.file} is closed")
        question = Question(ask)
        writer.ask(question)
        await question.answered.wait()
        if question.error is not None:
            raise question.error
        return question.answer

    @property
    def _open(self) -> Writer:
        if self._writer is None:
            raise self._not_open()
        return self._writer

    def _not_open(self) -> JournalError:
        return JournalError(f"{self._claim.file} is not open: use the journal inside its `async with`")

    async def _call(self, call: Callable[..., T], *args: Any) -> T:
        """A call that was begun always reports, so that nobody has to guess what it did."""
        with trio.CancelScope(shield=True):
            return await self._run_sync(call, *args)
        raise AssertionError("a scope that nobody cancels swallows nothing")


def _is_only(group: BaseExceptionGroup[BaseException], error: BaseException | None) -> bool:
    """Whether the nursery's group says no more than the error that left its body."""
    _, rest = group.split(trio.Cancelled)
    if rest is None:
        return isinstance(error, trio.Cancelled)
    return rest.exceptions == (error,)
