"""A COMMIT that raises says nothing about whether it stands: whoever commits looks, before anybody is told."""

from __future__ import annotations

import pathlib
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from typing import Any, Final

import attrs
import pytest

from treewarden.agents.core.label import Label
from treewarden.agents.core.path import ROOT, Path
from treewarden.agents.errors import CommitFailed, JournalError
from treewarden.supervisor.core.command import Command
from treewarden.supervisor.journal.port import (
    AnswerRow,
    Commit,
    KeepRow,
    PruneRow,
    ReplyRow,
    RestoreRow,
    ReturnedRow,
)
from treewarden.supervisor.journal.reading import JournalFile
from treewarden.supervisor.journal.sending import send
from treewarden.supervisor.testing import inline_run_sync

from ...journals import DESK, WALL, checkpoint, dead, fact, message, on_disk, settle, state, timer
from .raising import ERRORS, Connections, Raising

LONG: Final = attrs.evolve(state(9), body=f'"{"x" * 70_000}"')
BEFORE: Final = (
    settle(1, events=[fact(1)]),
    Commit(accepted=tuple(message(row) for row in range(50, 55)), timers=(timer("tick", WALL),)),
    Commit(checkpoints=(checkpoint(1), checkpoint(2, "good")), replies=(ReplyRow("t-50>ask.0", DESK, "int", "4"),)),
    Commit(dead=(dead(54),)),
)
KINDS: Final[Mapping[str, Commit]] = {
    "events": Commit(events=((WALL, fact(2)), (WALL, fact(3)))),
    "states": Commit(states=(LONG,)),
    "checkpoints": Commit(checkpoints=(checkpoint(3),)),
    "keeps": Commit(keeps=(KeepRow(DESK, 60, WALL, Label("now"), pinned=True),)),
    "restores": Commit(restores=(RestoreRow(DESK, 5, 9),)),
    "prunes": Commit(prunes=(PruneRow(DESK, 0),)),
    "accepted": Commit(accepted=(message(61),)),
    "acked": Commit(acked=(50, 51)),
    "returned": Commit(returned=(ReturnedRow(52, 2, 1, WALL),)),
    "dead": Commit(dead=(dead(53),)),
    "last_row": Commit(last_row=70),
    "revived": Commit(accepted=(message(62),), revived=("t-54",)),
    "replies": Commit(replies=(ReplyRow("t-51>ask.0", DESK, "int", "5"),)),
    "forget_replies": Commit(forget_replies=("t-50>",)),
    "timers": Commit(timers=(timer("tock", WALL),)),
    "answers": Commit(answers=(AnswerRow("mine", "applied", "done"),)),
    "forget": Commit(forget=(DESK,)),
}


def rows_of(file: pathlib.Path) -> dict[str, list[Any]]:
    """Every row, but for what tells of transactions and owners."""
    with JournalFile.open(file) as reading:
        assert reading.verify().sound
    with closing(sqlite3.connect(file)) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        found = {name: connection.execute(f"SELECT * FROM {name}").fetchall() for name in names}
        found["meta"] = connection.execute("SELECT seq, hash, last_row FROM meta").fetchall()
        del found["owner"]
        return found


async def written(file: pathlib.Path, *more: Commit, when: str = "", error: str = "an I/O error") -> list[bool]:
    """Commit `more`, of which the first COMMIT raises; whether each was said to be kept."""
    connections, told = Connections(), list[bool]()
    async with on_disk(file, connect=connections, new_tree=lambda: "5702ed") as journal:
        for commit in BEFORE:
            await journal.commit(commit)
        connections.made[-1].execute("INSERT INTO commands VALUES ('mine', '{}', 1.0, 'taken', '', 1)")
        connections.made[-1].when, connections.made[-1].error = when, ERRORS[error]
        for commit in more:
            try:
                await journal.commit(commit)
            except CommitFailed:
                told.append(False)
            else:
                told.append(True)
    return told


def test_every_kind_of_row_is_among_them() -> None:
    assert set(KINDS) == {each.name for each in attrs.fields(Commit)} - {"by", "quiet"}


@pytest.mark.parametrize(
    ("kind", "error"), [*((kind, "an I/O error") for kind in KINDS), *(("states", error) for error in ERRORS)]
)
async def test_what_is_said_is_what_is_in_the_file(kind: str, error: str, tmp_path: pathlib.Path) -> None:
    """Whether it stands or not, the one behind it comes to what it would have come to."""
    behind = settle(10, events=[fact(10)])
    for when, kept in (("after", True), ("before", False)):
        faulty, other = tmp_path / f"{when}.db", tmp_path / f"{when}-other.db"
        assert await written(faulty, KINDS[kind], behind, when=when, error=error) == [kept, True]
        assert await written(other, *([KINDS[kind]] if kept else []), behind) == [True] * (1 + kept)
        assert rows_of(faulty) == rows_of(other)


@pytest.mark.parametrize("when", ["before", "after"])
async def test_who_opens_it_owns_it_or_leaves_it_as_it_was(when: str, tmp_path: pathlib.Path) -> None:
    file, connections, refused = tmp_path / "tree.db", Connections(when), ""
    try:
        async with on_disk(file, connect=connections) as journal:
            assert journal.opened.epoch == 1
    except JournalError as error:
        refused = str(error)
    assert bool(refused) == (when == "before")
    assert not refused or "(it raised): its disk is full, or broken" in refused  # not that a new file has no tables yet
    async with on_disk(file) as journal:  # in the same process, and so of the same holder
        assert (journal.opened.epoch, journal.opened.after_crash) == (2 if when == "after" else 1, False)


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_step_of_deleting_is_done_again_or_was_done(when: str, tmp_path: pathlib.Path) -> None:
    connections = Connections()
    async with on_disk(tmp_path / "tree.db", connect=connections) as journal:
        await journal.commit(Commit(states=(LONG,)))
        await journal.commit(settle(1))
        connections.made[-1].when = when
        with pytest.raises(JournalError, match="it raised"):
            await journal.compact()
        assert (await journal.blobs()).unused == (1 if when == "before" else 0)
        assert await journal.compact() == await journal.blobs()
        assert (await journal.blobs()).count == 0


async def test_a_refused_sync_without_its_connection_ends_the_journal(tmp_path: pathlib.Path) -> None:
    """Another connection would take for safe what the log holds of it, and write behind it."""

    class Lost(Raising):
        def execute(self, sql: str, /, *parameters: Any) -> sqlite3.Cursor:
            if sql == "ROLLBACK":
                raise sqlite3.OperationalError("disk I/O error")
            return super().execute(sql, *parameters)

    made: list[Lost] = []

    def connect(*args: Any, **options: Any) -> sqlite3.Connection:
        made.append(sqlite3.connect(*args, factory=Lost, **options))
        return made[-1]

    async def compact() -> None:
        async with on_disk(tmp_path / "tree.db", connect=connect) as journal:
            made[-1].when, made[-1].error = "before", ERRORS["a refused sync"]
            with pytest.raises(JournalError):
                await journal.compact()
            await journal.commit(settle(1))

    with pytest.raises(JournalError, match="nobody can say whether it was kept"):
        await compact()
    assert len(made) == 1


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_sender_knows_whether_its_command_lies_there(when: str, tmp_path: pathlib.Path) -> None:
    """Who is told that it does not would send it again, under another id, and it would be done twice."""
    file = tmp_path / "tree.db"
    stop = Command(what="stop", path=Path("desk"))
    async with on_disk(file):
        sent: dict[str, Any] = {"within": 0.0, "run_sync": inline_run_sync}
        if when == "before":
            with pytest.raises(JournalError, match="the command mine cannot be left there"):
                await send(file, stop, "mine", connect=Connections(when), **sent)
        else:
            outcome = await send(file, stop, "mine", connect=Connections(when), **sent)
            assert (outcome.state, outcome.duplicate) == ("withdrawn", False)
        with JournalFile.open(file) as reading:
            assert reading.answer("mine") is None


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_sender_knows_whether_it_has_taken_it_back(when: str, tmp_path: pathlib.Path) -> None:
    file = tmp_path / "tree.db"
    connections = Connections()

    def second(*args: Any, **options: Any) -> sqlite3.Connection:
        if connections.made:
            connections.when = when
        return connections(*args, **options)

    async with on_disk(file):
        stop = Command(what="stop", path=ROOT)
        sent: dict[str, Any] = {"within": 0.0, "run_sync": inline_run_sync, "connect": second}
        if when == "before":
            with pytest.raises(JournalError, match="or taken back: it raised"):
                await send(file, stop, "mine", **sent)
        else:
            assert (await send(file, stop, "mine", **sent)).state == "withdrawn"
        with JournalFile.open(file) as reading:
            assert (reading.answer("mine") is None) == (when == "after")
