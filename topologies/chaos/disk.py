"""The disk of a world: one SQLite database in memory, which outlives the processes that write it."""

from __future__ import annotations

import functools
import pathlib
import sqlite3
from collections.abc import Callable, Iterable
from typing import Any, Final

from attrs import define, field

from treewarden.supervisor.journal.holder import Fate, Process
from treewarden.supervisor.journal.schema import migrate

from ..core.draws import Draws
from .tearing import recovered

__all__ = ["Disk", "Processes", "Refusal"]

_ERRORS: Final = {
    "full": (sqlite3.SQLITE_FULL, "database or disk is full"),
    "locked": (sqlite3.SQLITE_BUSY, "database is locked"),
    "io_error": (sqlite3.SQLITE_IOERR_WRITE, "disk I/O error"),
}


_OF_FILES: Final = ("PRAGMA journal_mode = ", "PRAGMA synchronous = ", "PRAGMA wal_")
"""What is said of files, and means nothing in memory."""


class Refusal(sqlite3.OperationalError):
    """What SQLite says when the disk does not do what it should."""

    def __init__(self, what: str) -> None:
        code, text = _ERRORS.get(what, (sqlite3.SQLITE_IOERR, what))
        super().__init__(text)
        self.sqlite_errorcode = code


@define(eq=False)
class Disk:
    """The bytes, and who may touch them: a process that died reaches nothing any more."""

    around_commit: Callable[[Callable[[], object]], object]
    """Called with what commits a transaction, in its place. It may raise what SQLite would, before or after it."""
    is_to_tear: Callable[[], bool] = lambda: False
    """Whether the power is to go in the middle of the transaction that begins now."""
    database: sqlite3.Connection = field(factory=lambda: _empty())
    boots: int = 0
    """How many processes have had it."""
    open_wires: int = 0
    _before: bytes = b""
    """The whole database as it was when the transaction began that is to be torn."""

    def boot(self) -> None:
        """The next process has the disk from now on; those before it reach nothing any more."""
        self.boots += 1
        self.open_wires = 0
        if self.database.in_transaction:
            self.database.execute("ROLLBACK")

    def wipe(self) -> None:
        """Nothing of what was written is left."""
        self.database.close()
        self.database = _empty()

    def cut(self) -> None:
        """The process dies: what was not committed is gone."""
        self.boot()

    def begins(self) -> None:
        """A transaction that writes is about to begin."""
        if self.is_to_tear() and self.holds_a_journal:
            self._before = self.database.serialize()

    def tear(self, commit: Callable[[], object], draws: Draws) -> None:
        """The power goes while the transaction is written: what is left is what SQLite makes of torn files.

        Of the first transaction of all, and of one that had begun before anybody wanted it torn, nothing is left.
        """
        before, self._before = self._before, b""
        if not before:
            return
        commit()
        left = recovered(before, self.database.serialize(), draws)
        self.database.close()
        self.database = _in_memory()
        self.database.deserialize(left)

    def connect(self, *_args: Any, **_options: Any) -> sqlite3.Connection:
        """In the place of `sqlite3.connect`."""
        self.open_wires += 1
        return _Wire(self, self.boots)  # type: ignore[return-value]  # what the journal uses of a connection

    def query(self, sql: str, *args: object) -> list[Any]:
        """Ask the tables, past all faults."""
        return self.database.execute(sql, args).fetchall()

    @property
    def holds_a_journal(self) -> bool:
        return bool(self.query("SELECT 1 FROM owner"))

    def close(self) -> None:
        self.database.close()


def _empty() -> sqlite3.Connection:
    """A journal's tables, and nothing in them: to make them takes as long as a tenth of a run."""
    database = _in_memory()
    database.deserialize(_tables())
    return database


@functools.cache
def _tables() -> bytes:
    database = _in_memory()
    try:
        database.execute("PRAGMA auto_vacuum = INCREMENTAL")
        database.execute("BEGIN IMMEDIATE")
        migrate(database, 0)
        database.execute("COMMIT")
        return database.serialize()
    finally:
        database.close()


def _in_memory() -> sqlite3.Connection:
    return sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)


class _Wire:
    """A connection as the journal uses one."""

    def __init__(self, disk: Disk, boot: int) -> None:
        self._disk = disk
        self._boot = boot
        self._closed = False

    @property
    def in_transaction(self) -> bool:
        return self._has_power and self._disk.database.in_transaction

    @property
    def _has_power(self) -> bool:
        return self._disk.boots == self._boot

    def execute(self, sql: str, parameters: Any = ()) -> sqlite3.Cursor:
        disk = self._disk
        if disk.boots != self._boot:
            raise Refusal("the process that had this connection is dead")
        if sql == "COMMIT":
            disk.around_commit(lambda: disk.database.execute(sql))
            return disk.database.cursor()
        if sql == "BEGIN IMMEDIATE":
            disk.begins()
        elif sql.startswith(_OF_FILES):
            return disk.database.execute("SELECT 'wal'")
        return disk.database.execute(sql, parameters)

    def executemany(self, sql: str, parameters: Iterable[Any]) -> sqlite3.Cursor:
        if not self._has_power:
            raise Refusal("the process that had this connection is dead")
        return self._disk.database.executemany(sql, parameters)

    def close(self) -> None:
        if not self._closed and self._has_power:
            self._disk.open_wires -= 1
        self._closed = True


class Processes:
    """A `ProcessTable` in which only the newest process lives."""

    def __init__(self, number: int) -> None:
        self._me = Process("world", number, "boot", "world", str(number))

    def me(self) -> Process:
        return self._me

    def fate(self, process: Process) -> Fate:
        return Fate.ALIVE if process == self._me else Fate.GONE

    def has_left(self, process: Process, file: pathlib.Path) -> bool:
        return False
