"""What tells a journal from any other file, and one version of it from another."""

from __future__ import annotations

import os
import pathlib
import sqlite3
from collections.abc import Callable
from contextlib import closing

import pytest
import trio

from treewarden.agents.core.path import Path
from treewarden.agents.errors import JournalDamaged, JournalError, JournalOwned
from treewarden.supervisor.core.checkpoint import Search
from treewarden.supervisor.journal import kept_rows, rows
from treewarden.supervisor.journal.port import Commit
from treewarden.supervisor.journal.reading import JournalFile
from treewarden.supervisor.journal.schema import APPLICATION, VERSION, identify

from ...journals import fact, message, on_disk, settle, timer


@pytest.fixture
def file(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "tree.db"


def opened(file: pathlib.Path, *commits: Commit) -> None:
    """Own the file once, from entering to leaving."""

    async def own() -> None:
        async with on_disk(file) as journal:
            for commit in commits:
                await journal.commit(commit)

    trio.run(own)


def test_a_new_file_is_marked_as_a_journal(file: pathlib.Path) -> None:
    opened(file)
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION,)
        assert connection.execute("PRAGMA user_version").fetchone() == (VERSION,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_every_table_is_strict_and_carries_the_epoch(file: pathlib.Path) -> None:
    opened(file)
    with closing(sqlite3.connect(file)) as connection:
        tables = connection.execute(
            "SELECT name, strict FROM pragma_table_list WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        ).fetchall()
        assert {name for name, _ in tables} == {
            "meta", "owner", "events", "states", "checkpoints", "blobs", "chunks", "mailbox", "dead_letters",
            "replies", "timers", "commands",
        }  # fmt: skip
        for name, strict in tables:
            columns = {row[1]: row[3] for row in connection.execute(f"PRAGMA table_info({name})")}
            assert strict
            assert columns["epoch"] == 1, f"{name}.epoch may be missing"


def test_what_is_asked_for_one_slot_uses_an_index(file: pathlib.Path) -> None:
    opened(file)
    questions = [
        "SELECT * FROM states WHERE path = ?",
        "SELECT * FROM mailbox WHERE path = ? ORDER BY priority, row",
        "SELECT * FROM timers WHERE path = ? ORDER BY name",
        "SELECT * FROM checkpoints WHERE path = ? ORDER BY number DESC",
        "SELECT * FROM events WHERE path = ? AND seq > 5 ORDER BY seq",
        "SELECT * FROM dead_letters WHERE path = ? ORDER BY id DESC",
        "SELECT * FROM replies WHERE id >= ? AND id < 'x'",
    ]
    with closing(sqlite3.connect(file)) as connection:
        for question in questions:
            (plan,) = connection.execute(f"EXPLAIN QUERY PLAN {question}", ("desk",)).fetchall()
            assert plan[3].startswith("SEARCH"), f"{question}: {plan[3]}"
        labels = "SELECT * FROM events WHERE kind = 'IncidentLabelled' ORDER BY seq"
        (plan,) = connection.execute(f"EXPLAIN QUERY PLAN {labels}").fetchall()
        assert "events_that_label" in plan[3]


def test_another_programs_database_is_refused_and_left_alone(file: pathlib.Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE notes (text)")
        connection.execute(f"PRAGMA user_version = {VERSION}")
    before = file.read_bytes()
    with pytest.raises(JournalError, match=r"tree\.db is not a treewarden journal: it is another program's database"):
        opened(file)
    with pytest.raises(JournalError, match="another program's database"):
        JournalFile.open(file)
    assert file.read_bytes() == before
    assert [path.name for path in file.parent.iterdir()] == ["tree.db"]


@pytest.mark.parametrize("version", [0, -1])
def test_a_mark_without_a_version_is_no_journal(file: pathlib.Path, version: int) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(f"PRAGMA application_id = {APPLICATION}")
        connection.execute(f"PRAGMA user_version = {version}")
        connection.execute("CREATE TABLE notes (text)")
    before = file.read_bytes()
    for own_or_read in (opened, JournalFile.open):
        with pytest.raises(JournalError, match="another program's database"):
            own_or_read(file)
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    ("code", "why"),
    [
        (sqlite3.SQLITE_READONLY, r"cannot be written \(it raised\): .* Give this user the right to do both"),
        (sqlite3.SQLITE_READONLY_DIRECTORY, r"cannot be written \(it raised\): its owner writes it and makes files"),
        (sqlite3.SQLITE_CANTOPEN, r"cannot be written \(it raised\): .* on a disk that is not mounted read-only"),
        (sqlite3.SQLITE_FULL, r"cannot be opened \(it raised\): its disk is full, or broken"),
        (sqlite3.SQLITE_IOERR_READ, r"cannot be opened \(it raised\): its disk is full, or broken"),
        (sqlite3.SQLITE_BUSY_RECOVERY, "is locked by a process: end that process"),
        (sqlite3.SQLITE_PROTOCOL, "cannot be opened: it raised$"),
        (None, "cannot be opened: it raised$"),
    ],
)
def test_what_sqlite_says_of_a_file_is_said_with_a_remedy(file: pathlib.Path, code: int | None, why: str) -> None:
    class Refusing(sqlite3.Connection):
        def execute(self, sql: str, /, *parameters: object) -> sqlite3.Cursor:
            error = sqlite3.OperationalError("it raised")
            if code is not None:
                error.sqlite_errorcode = code
            raise error

    with (
        closing(sqlite3.connect(file, factory=Refusing)) as connection,
        pytest.raises(JournalError, match=rf"tree\.db {why}") as raised,
    ):
        identify(connection, str(file))
    assert isinstance(raised.value, JournalOwned) is why.startswith("is locked")


@pytest.mark.parametrize("text", ["children = []\n" * 100, "x"])
def test_a_file_that_is_no_database_is_refused_and_left_alone(text: str, file: pathlib.Path) -> None:
    file.write_text(text)
    before = file.read_bytes()
    with pytest.raises(JournalError, match=r"tree\.db is not a treewarden journal: it is no SQLite database"):
        opened(file)
    with pytest.raises(JournalError, match="it is no SQLite database"):
        JournalFile.open(file)
    assert file.read_bytes() == before


def test_a_damage_that_sqlite_quotes_is_called_damage(file: pathlib.Path) -> None:
    """With bytes in it that are no text."""
    opened(file)
    raw = file.read_bytes()
    place = raw.index(b") STRICT", raw.index(b"CREATE TABLE chunks")) + 3
    file.write_bytes(raw[:place] + b"\xd4" + raw[place + 1 :])
    with pytest.raises(JournalDamaged, match=r"tree\.db is damaged: malformed database schema \(chunks\)"):
        opened(file)
    with pytest.raises(JournalDamaged, match=r"tree\.db is damaged: malformed database schema \(chunks\)"):
        JournalFile.open(file)


@pytest.mark.parametrize("table", ["states", "mailbox", "timers"])
def test_a_path_that_is_no_text_is_called_damage(file: pathlib.Path, table: str) -> None:
    """Of which slot it was nobody can say any more, so nobody is held over it."""
    opened(file, settle(1), Commit(accepted=(message(2),), timers=(timer("tick", 1.0),)))
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute(f"UPDATE {table} SET path = CAST(x'ff' AS TEXT)")
    with pytest.raises(
        JournalDamaged, match=r"tree\.db is damaged: Could not decode .* 'path'.* Restore it from a copy"
    ):
        opened(file)


def test_a_newer_schema_is_refused_and_left_alone(file: pathlib.Path) -> None:
    opened(file)
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    before = file.read_bytes()
    newer = rf"was written by a newer treewarden: its schema is {VERSION + 1}, this one reads up to {VERSION}\. Upgrade"
    with pytest.raises(JournalError, match=newer):
        opened(file)
    with pytest.raises(JournalError, match=newer):
        JournalFile.open(file)
    assert file.read_bytes() == before


def test_a_folder_that_is_missing_is_named(tmp_path: pathlib.Path) -> None:
    with pytest.raises(JournalError, match=r"there is no folder .*missing"):
        opened(tmp_path / "missing" / "tree.db")
    assert not (tmp_path / "missing").exists()


def test_a_name_too_long_for_what_lies_beside_it_is_said_to_be_that(tmp_path: pathlib.Path) -> None:
    """SQLite says of it what it says where nothing may be written, and leaves an empty file."""
    longest = os.pathconf(tmp_path, "PC_NAME_MAX") - len("-journal")
    opened(tmp_path / ("x" * longest))
    (tmp_path / ("x" * longest)).unlink()
    with pytest.raises(JournalError, match=r"with -journal behind it, .* its name is too long\. Give it a shorter one"):
        opened(tmp_path / ("x" * (longest + 1)))
    assert not list(tmp_path.iterdir())


def test_a_folder_is_no_file(tmp_path: pathlib.Path) -> None:
    with pytest.raises(JournalError, match="is a folder: name a file in it"):
        opened(tmp_path)
    with pytest.raises(JournalError, match="is a folder: name the journal in it"):
        JournalFile.open(tmp_path)


def test_nothing_is_appended_to_a_journal_that_lost_its_end(file: pathlib.Path) -> None:
    opened(file, *(settle(number, events=[fact(number)]) for number in range(1, 4)))
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("DELETE FROM events WHERE seq = 3")
    with pytest.raises(JournalDamaged, match=r"head is event 3, its last event is 2"):
        opened(file)
    with JournalFile.open(file) as reading:
        assert [str(fault) for fault in reading.verify().faults] == ["3: cut: event 3 is gone from the end"]


def test_no_search_sorts_or_reads_what_it_does_not_need(file: pathlib.Path) -> None:
    """Of a history of a million events: which way each question goes through them."""
    opened(file)
    asked: list[str] = []
    beginning, kinds = "INTEGER PRIMARY KEY (rowid>?)", ["Decided", "ChildExited"]
    slot = "INDEX events_of_slot (path=? AND rowid>?)"
    with closing(sqlite3.connect(file)) as connection:
        connection.set_trace_callback(asked.append)
        questions: list[tuple[Callable[[], object], str]] = [
            (lambda: rows.records(connection, 5, 10), beginning),
            (lambda: rows.records(connection, 5, 10, kinds=kinds), beginning),
            (lambda: rows.records(connection, 5, 10, within=Path("desk"), newest=True), beginning),
            (lambda: rows.records(connection, 5, 10, path=Path("desk"), kinds=kinds), slot),
            (lambda: rows.records(connection, 5, 10, path=Path("desk"), newest=True), slot),
            (
                lambda: kept_rows.checkpoints(connection, Path("desk"), 10, Search(name="good", since=1.0)),
                "INDEX checkpoints_of_slot",
            ),
            (lambda: rows.cut(connection), "INDEX cuts"),
            (lambda: rows.labels(connection), "INDEX events_that_label"),
        ]
        for ask, way in questions:
            asked.clear()
            ask()
            question = [each for each in asked if each.startswith("SELECT")][-1]
            plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {question}").fetchall()]
            assert any(step.startswith("SEARCH") and way in step for step in plan), f"{question}: {plan}"
            assert "events" not in question or not [step for step in plan if "TEMP B-TREE" in step], question
