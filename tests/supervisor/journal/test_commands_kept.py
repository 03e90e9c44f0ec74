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


async def test_one_that_is_still_carried_out_stays(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A drain takes its time, and its answer needs the row; so does the answer to one that waits."""
    monkeypatch.setattr(batch, "_COMMANDS_KEPT", 3)
    file = tmp_path / "tree.db"
    async with on_disk(file) as journal:
        with closing(sqlite3.connect(file, isolation_level=None)) as connection:
            for id, state in (("drain", "taken"), ("sent", "waiting"), *((id, "taken") for id in "abcdef")):
                connection.execute("INSERT INTO commands VALUES (?, '{}', 0.0, ?, '', 1)", (id, state))
            for id in (*"abcdef", "drain", "sent"):
                await journal.commit(Commit(answers=(AnswerRow(id, "applied", id),)))
            assert connection.execute("SELECT id FROM commands").fetchall() == [(id,) for id in "def"]
