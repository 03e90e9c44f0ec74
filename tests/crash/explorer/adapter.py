"""apsw in the place of Python's own `sqlite3`: as much of a connection as the journal uses, over a VFS of ours."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, Final, cast

import apsw
from attrs import define, field, frozen

__all__ = ["Connection", "Database", "Rows", "Shared"]

_OPERATIONAL: Final = frozenset({
    apsw.SQLITE_ERROR, apsw.SQLITE_PERM, apsw.SQLITE_ABORT, apsw.SQLITE_BUSY, apsw.SQLITE_LOCKED, apsw.SQLITE_READONLY,
    apsw.SQLITE_INTERRUPT, apsw.SQLITE_IOERR, apsw.SQLITE_FULL, apsw.SQLITE_CANTOPEN, apsw.SQLITE_PROTOCOL,
    apsw.SQLITE_SCHEMA,
})  # fmt: skip
_INTEGRITY: Final = frozenset({apsw.SQLITE_CONSTRAINT, apsw.SQLITE_MISMATCH})


class Rows:
    """What a statement has returned. It is read at once, so no statement stays open."""

    def __init__(
        self,
        rows: list[tuple[Any, ...]],
        changed: int,
        last: int = 0,
        description: Sequence[tuple[Any, ...]] = (),
    ) -> None:
        self._rows = iter(rows)
        self.description = description
        """What its columns are called; of a statement that returned no row, nothing."""
        self.rowcount = changed
        self.lastrowid = last

    def fetchone(self) -> tuple[Any, ...] | None:
        return next(self._rows, None)

    def fetchall(self) -> list[tuple[Any, ...]]:
        return list(self._rows)

    def __iter__(self) -> Iterable[tuple[Any, ...]]:
        return self._rows


@define(eq=False)
class Shared:
    """One apsw connection for all that are open at a time.

    Without shared memory there can be no two. Each transaction of the journal is one call, so two processes on one
    file look to SQLite like one that takes turns.
    """

    inner: Any = None
    """An `apsw.Connection`. Its stubs name types that no stub says anything about."""
    users: int = 0
    owed: bool = False
    """A COMMIT was answered that is still to come. Only a mutant does that."""


@frozen(kw_only=True)
class Database:
    """Where to connect, and with which settings."""

    vfs: str
    page_size: int = 4096
    autocheckpoint: int = 1000
    """Pages of the log after which it is copied to the file."""
    kind: type[Connection] = field(factory=lambda: Connection)
    shared: Shared = field(factory=Shared)

    def connect(self, name: str, **_options: Any) -> sqlite3.Connection:
        """In the place of `sqlite3.connect`; raises its errors."""
        shared = self.shared
        if shared.inner is None:
            try:
                inner: Any = apsw.Connection(name, vfs=self.vfs)
                inner.execute(
                    f"PRAGMA locking_mode = EXCLUSIVE; PRAGMA page_size = {self.page_size};"
                    f" PRAGMA wal_autocheckpoint = {self.autocheckpoint}"
                ).fetchall()
            except apsw.Error as error:
                raise translated(error) from error
            shared.inner = inner
        shared.users += 1
        return cast("sqlite3.Connection", self.kind(shared, shared.inner))


class Connection:
    """Executes what it is told. A mutant overrides `execute` or `executemany`."""

    def __init__(self, shared: Shared, inner: Any) -> None:
        self._shared = shared
        self._inner = inner
        self._open = True

    @property
    def in_transaction(self) -> bool:
        return self._inner.in_transaction

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Rows:
        if sql.startswith("PRAGMA wal_autocheckpoint"):
            return Rows([], 0)  # `Database` says how soon: thousands of pages would be more than a workload writes
        try:
            before = self._inner.total_changes()
            cursor = self._inner.execute(sql, parameters)
            first = cursor.fetchone()
            description = () if first is None else cursor.description
            rows = [] if first is None else [first, *cursor.fetchall()]
            return Rows(rows, self._inner.total_changes() - before, self._inner.last_insert_rowid(), description)
        except apsw.Error as error:
            raise translated(error) from error

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]]) -> Rows:
        try:
            before = self._inner.total_changes()
            self._inner.executemany(sql, rows).fetchall()
            return Rows([], self._inner.total_changes() - before)
        except apsw.Error as error:
            raise translated(error) from error

    def close(self) -> None:
        if self._open:
            self._open = False
            self._shared.users -= 1
            if not self._shared.users:
                self._shared.inner = None
                with suppress(apsw.Error):  # it is closed all the same; as there, nobody is told what failed meanwhile
                    self._inner.close()


def translated(error: Any) -> sqlite3.Error:
    """`error` of apsw as Python's own module would raise it. The stubs of apsw do not know what an error has."""
    code: int = error.extendedresult
    kind: type[sqlite3.Error] = sqlite3.DatabaseError
    if error.result in _OPERATIONAL:
        kind = sqlite3.OperationalError
    elif error.result in _INTEGRITY:
        kind = sqlite3.IntegrityError
    names = apsw.mapping_result_codes if code == error.result else apsw.mapping_extended_result_codes
    made = kind(str(error) or str(names[code]))
    made.sqlite_errorcode = code
    made.sqlite_errorname = str(names[code])
    return made
