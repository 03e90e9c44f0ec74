"""What a journal counts is looked at before anything is written: nothing is kept under a number that is taken."""

from __future__ import annotations

import pathlib
import shutil
import sqlite3
from contextlib import closing

import pytest
from attrs import evolve

from treewarden.agents.core.label import Label
from treewarden.agents.errors import JournalDamaged
from treewarden.supervisor.journal.port import Commit
from treewarden.supervisor.journal.schema import migrate

from ...journals import checkpoint, fact, message, on_disk, settle


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("DELETE FROM meta", "nothing in table meta says where it stands"),
        ("DELETE FROM meta; DELETE FROM owner", "nothing in table meta says where it stands"),
        ("DELETE FROM meta; DELETE FROM events", "nothing in table meta says where it stands"),
        ("UPDATE meta SET last_row = 49", "table mailbox has row 50, and 49 was the last"),
        ("UPDATE meta SET last_row = -5", "table meta counts -5"),
        ("UPDATE meta SET last_row = 9223372036854775807", "table meta counts 9223372036854775807"),
        ("UPDATE meta SET commits = 9223372036854775807", "table meta counts 9223372036854775807"),
        ("UPDATE meta SET epoch = 9223372036854775807", "table meta counts 9223372036854775807"),
        ("UPDATE meta SET epoch = 9", "table meta counts epoch 9, and its last owner had 1, as where the log .*"),
        ("UPDATE meta SET seq = 3", "its head is event 3, its last event is 1"),
        ("DELETE FROM events", "its head is event 1, its last event is missing"),
        ("UPDATE checkpoints SET number = 60", "table checkpoints has number 60, and 50 was the last"),
    ],
)
async def test_a_journal_that_counts_wrongly_is_refused_as_it_is(sql: str, why: str, tmp_path: pathlib.Path) -> None:
    file = tmp_path / "tree.db"
    async with on_disk(file) as journal:
        await journal.commit(settle(1, events=[fact(1)]))
        kept = evolve(checkpoint(20), label=Label("good"), pinned=True)
        await journal.commit(Commit(accepted=(message(50),), checkpoints=(kept,)))
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.executescript(sql)
        before = list(connection.iterdump())
    with pytest.raises(JournalDamaged, match=f"does not hold what was written: {why}. Restore it from a copy"):
        async with on_disk(file):
            pass
    with closing(sqlite3.connect(file)) as connection:
        assert list(connection.iterdump()) == before


async def test_a_copy_beside_which_the_log_of_a_later_life_lies_is_refused(tmp_path: pathlib.Path) -> None:
    """The log does not hold what was in the file itself when it began, so that of neither time is all there."""
    file, copy = tmp_path / "tree.db", tmp_path / "copy.db"
    for number in (1, 2):
        async with on_disk(file) as journal:
            await journal.commit(settle(number, events=[fact(number)]))
        if number == 1:
            shutil.copy(file, copy)
    async with on_disk(file) as journal:
        for number in (3, 4):
            await journal.commit(settle(number, events=[fact(number)]))
        shutil.copy(f"{file}-wal", f"{copy}-wal")
    with pytest.raises(JournalDamaged, match=r"that of another time\. Restore it from a copy"):
        async with on_disk(copy):
            pass


async def test_tables_in_which_nothing_stands_are_as_good_as_no_file(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "tree.db"
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        migrate(connection, 0)
    async with on_disk(file) as journal:
        assert (journal.opened.epoch, journal.opened.after_crash) == (1, False)
        assert await journal.commit(settle(1, events=[fact(1)])) == 1
