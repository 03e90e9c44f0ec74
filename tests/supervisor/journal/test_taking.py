"""A process that is to own a file whose disk refuses a statement, or which lies where no journal can be."""

from __future__ import annotations

import pathlib
import shutil
import sqlite3
from contextlib import closing
from typing import Any

import pytest

from treewarden.agents.errors import CommitFailed, JournalError
from treewarden.supervisor.journal.reading import JournalFile

from ...journals import fact, on_disk, settle


class Disk:
    """Counts the statements of all its connections, and refuses the `refused`-th of them, or all from that on."""

    def __init__(self, refused: int = -1, *, lasting: bool = False) -> None:
        self.refused = range(refused, 1000 if lasting else refused + 1)
        self.statements: list[str] = []

    def connect(self, *args: Any, **options: Any) -> sqlite3.Connection:
        disk = self

        class Connection(sqlite3.Connection):
            def execute(self, sql: str, /, *parameters: Any) -> sqlite3.Cursor:
                disk.statements.append(sql)
                if len(disk.statements) - 1 not in disk.refused:
                    return super().execute(sql, *parameters)
                error = sqlite3.OperationalError("disk I/O error")
                error.sqlite_errorcode = sqlite3.SQLITE_IOERR_WRITE
                raise error

        return sqlite3.connect(*args, factory=Connection, **options)


async def taken(file: pathlib.Path, disk: Disk) -> Exception | list[str]:
    """Why the file could not be taken, or the statements that came to it; then one settle was committed."""
    statements: list[str] = []
    try:
        async with on_disk(file, connect=disk.connect) as journal:
            statements += disk.statements
            disk.refused = range(0)
            await journal.commit(settle(2, events=[fact(2)]))
    except JournalError as error:
        if statements:  # it was taken
            raise
        return error
    return statements


def events(file: pathlib.Path) -> list[object]:
    with JournalFile.open(file) as reading:
        assert reading.verify().sound
        return [record.event for record in reading.records()]


@pytest.mark.parametrize(("new", "lasting"), [(True, False), (False, False), (False, True)])
async def test_whichever_statement_is_refused_nobody_owns_it_by_halves(
    tmp_path: pathlib.Path, new: bool, lasting: bool
) -> None:
    """Nobody is told that they own what they do not, or that somebody else does; and the next attempt finds all."""
    before = tmp_path / "before.db"
    if new:
        before.touch()
    else:
        async with on_disk(before) as journal:
            await journal.commit(settle(1, events=[fact(1)]))
    shutil.copy(before, tmp_path / "tree.db")
    statements = await taken(tmp_path / "tree.db", Disk())
    assert isinstance(statements, list)
    for number, statement in enumerate(statements):
        if statement.startswith(("CREATE", "ALTER")):  # one of them is as another
            continue
        file = tmp_path / f"{number}.db"
        shutil.copy(before, file)
        found = await taken(file, Disk(number, lasting=lasting))
        assert type(found) in (list, JournalError, CommitFailed), statement
        assert isinstance(found, list) or statement != "PRAGMA wal_checkpoint(PASSIVE)" or lasting, "it has it"
        assert isinstance(await taken(file, Disk()), list), statement
        assert events(file) == [fact(1)] * (not new) + [fact(2)] * (1 + isinstance(found, list)), statement


async def test_a_file_system_without_shared_memory_is_refused_and_makes_it_no_journal(tmp_path: pathlib.Path) -> None:
    def connect(file: str, **options: Any) -> sqlite3.Connection:
        return sqlite3.connect(f"file:{file}?vfs=unix-dotfile", uri=True, **options)

    file = tmp_path / "tree.db"
    with pytest.raises(
        JournalError, match=r"tree\.db is on a file system without shared memory: keep it on a local disk"
    ):
        async with on_disk(file, connect=connect):
            pass
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (0,)
