"""A check of the chain says of the file what it holds, and nothing where SQLite could not look."""

from __future__ import annotations

import pathlib
import sqlite3
from contextlib import closing
from typing import Any

import pytest

from treewarden.agents.errors import JournalDamaged
from treewarden.supervisor.core.retention import EventRetention
from treewarden.supervisor.journal.looked_at import LookedAt
from treewarden.supervisor.journal.reading import JournalFile
from treewarden.supervisor.journal.stored_chain import verdict_on
from treewarden.supervisor.pruning import Pruning

from ...journals import DESK, WallClock, fact, on_disk, settle


class Refusing(sqlite3.Connection):
    """Refuses the `refused`-th of its statements, as where somebody else has locked the file."""

    refused = -1
    statements = 0

    def execute(self, sql: str, /, *parameters: Any) -> sqlite3.Cursor:
        self.statements += 1
        if self.statements == self.refused:
            raise sqlite3.OperationalError("database is locked")
        return super().execute(sql, *parameters)


@pytest.mark.parametrize("prune", [False, True])
async def test_where_the_file_is_locked_nothing_is_said_to_be_damaged(tmp_path: pathlib.Path, prune: bool) -> None:
    file = tmp_path / "tree.db"
    async with on_disk(file) as journal:
        for number in range(1, 9):
            await journal.commit(settle(number, events=[fact(number)]))
        if prune:
            await Pruning(journal, WallClock()).prune(EventRetention(last=3), "ada")
    with JournalFile.open(file) as reading:
        head = reading.head
    with closing(sqlite3.connect(file, factory=Refusing)) as connection:
        assert verdict_on(connection, head, (), LookedAt()).sound
        for refused in range(1, connection.statements + 1):
            connection.statements, connection.refused = 0, refused
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                verdict_on(connection, head, (), LookedAt())
        connection.refused = -1
        assert verdict_on(connection, head, (), LookedAt()).sound


async def test_what_is_read_behind_a_check_is_read_as_without_it(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "tree.db"
    async with on_disk(file) as journal:
        await journal.commit(settle(1, events=[fact(1)]))
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("UPDATE states SET kind = CAST(x'ff' AS TEXT)")
    said: list[list[str]] = []
    for checked in (False, True):
        with JournalFile.open(file) as reading:
            assert not checked or reading.verify().sound
            said.append([str(fault) for fault in reading.check_rows().faults])
            with pytest.raises(JournalDamaged, match="cannot be read"):
                reading.state(DESK)
    assert said[0] == said[1]
    assert "is no text" in said[0][0]
