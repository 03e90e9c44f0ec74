"""How long the answers to commands stay in the file: by them one that comes twice is known."""

from __future__ import annotations

import pathlib
import sqlite3
from contextlib import closing

import pytest

from treewarden.supervisor.journal import batch
from treewarden.supervisor.journal.port import AnswerRow, Commit

from ...journals import on_disk


async def test_old_ones_go_when_others_are_answered(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "_COMMANDS_KEPT", 3)
    file = tmp_path / "tree.db"
    async with on_disk(file) as journal:
        with closing(sqlite3.connect(file, isolation_level=None)) as connection:
            for id in "abcdef":
                connection.execute("INSERT INTO commands VALUES (?, '{}', 0.0, 'taken', '', 1)", (id,))
                await journal.commit(Commit(answers=(AnswerRow(id, "applied", id),)))
            assert connection.execute("SELECT id, state, answer FROM commands").fetchall() == [
                (id, "applied", id) for id in "def"
            ]
