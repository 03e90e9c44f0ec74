"""A disk has changed what a checkpoint is called: that one is passed over, and everybody finds the others."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import trio
import trio.testing

from treewarden.supervisor.core.action import RollBack
from treewarden.supervisor.core.event import RolledBack
from treewarden.supervisor.journal.reading import JournalFile
from treewarden.topologies.open import open_tree
from treewarden.topologies.tree import tree

from ..journals import on_disk
from .test_diagnosis import fail, of_kind, read, reader, so_far
from .test_remedies_tree import Does


@pytest.mark.parametrize(
    "damage", ["tags = char(7)", "name = CAST(x'6ce5' AS TEXT)", "kind = CAST(x'ff' AS TEXT)", "path = 'reade'"]
)
async def test_a_remedy_goes_back_to_another_one(
    damage: str, tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    file = tmp_path / "tree.db"
    async with open_tree(tree(reader([]), policy=Does(RollBack(1))), journal=on_disk(file)) as running:
        assert await read(running, "a", "b", "c", "d", "e") == "abcde"
        newest, older, *rest = await running.checkpoints("reader")
        with closing(sqlite3.connect(file, isolation_level=None)) as connection:
            connection.execute(f"UPDATE checkpoints SET {damage} WHERE number = ?", (newest.number,))
        assert await running.checkpoints("reader") == (older, *rest)
        assert await running.checkpoints("reader", limit=1) == (older,)
        await fail(running)
        assert await read(running, "f") == "abf"
        (told,) = of_kind(await so_far(running), RolledBack)
        assert told.checkpoint == older.number
    with JournalFile.open(file) as journal:
        assert [fault.key for fault in journal.check_rows().faults] == [str(newest.number)]
