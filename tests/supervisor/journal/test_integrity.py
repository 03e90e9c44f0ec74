"""Rows that are not in the chain: whatever is changed in one is found, named, and hides no other."""

from __future__ import annotations

import pathlib
import sqlite3
from contextlib import closing

import pytest
import trio
from attrs import evolve

from treewarden.agents.core.label import Label
from treewarden.agents.core.path import Path
from treewarden.agents.errors import CommitFailed, JournalDamaged, JournalError
from treewarden.supervisor.core.bundle import sealed
from treewarden.supervisor.journal.exporting import bundle_of, read_bundle
from treewarden.supervisor.journal.integrity import Rows, checksum
from treewarden.supervisor.journal.port import Commit, KeepRow, ReplyRow, RestoreRow, ReturnedRow
from treewarden.supervisor.journal.reading import JournalFile

from ...journals import DESK, WALL, dead, fact, message, on_disk, settle, state, timer

WRITER = Path("writer")
COMMITS = (
    settle(1, events=[fact(1)]),
    settle(1, WRITER),
    Commit(accepted=(message(50), message(51, WRITER), message(52)), timers=(timer("tick", WALL),)),
    Commit(returned=(ReturnedRow(50, 2, 1, WALL),)),
    Commit(dead=(dead(52),), replies=(ReplyRow("t-50>ask.0", DESK, "int", "4"),)),
    Commit(keeps=(KeepRow(DESK, 60, WALL, Label("good", "by hand", ("v1",)), pinned=True),)),
)
"""Everything that a table can have: also what is copied or changed by a statement of its own."""
NUMBERS = frozenset(
    {"version", "settled", "seq", "priority", "at", "deliveries", "deaths", "not_before", "pinned", "row"}
)


@pytest.fixture
def file(tmp_path: pathlib.Path) -> pathlib.Path:
    file = tmp_path / "tree.db"

    async def write() -> None:
        async with on_disk(file) as journal:
            for commit in COMMITS:
                await journal.commit(commit)

    trio.run(write)
    return file


def change(file: pathlib.Path, sql: str) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        assert connection.execute(sql).rowcount == 1, sql


def check(file: pathlib.Path) -> Rows:
    with JournalFile.open(file) as journal:
        assert journal.verify().sound
        return journal.check_rows()


def test_what_was_written_is_sound(file: pathlib.Path) -> None:
    assert check(file) == Rows(checked=8, unchecked=0, faults=())


async def test_minus_zero_is_a_time_as_any_other(tmp_path: pathlib.Path) -> None:
    """SQLite gives zero back, of which the checksum is another."""
    async with on_disk(tmp_path / "zero.db") as journal:
        waiting = evolve(message(50, not_before=-0.0), at=-0.0)
        given_up = evolve(dead(52), at=-0.0, row=None)
        await journal.commit(Commit(events=((-0.0, fact(1)),), states=(state(1),), accepted=(waiting,)))
        await journal.commit(Commit(dead=(given_up,), timers=(timer("tick", -0.0),), keeps=(KeepRow(DESK, 60, -0.0),)))
        await journal.commit(Commit(returned=(ReturnedRow(50, 1, 1, -0.0),)))
    assert check(tmp_path / "zero.db") == Rows(checked=5, unchecked=0, faults=())


@pytest.mark.parametrize(
    ("table", "key", "columns"),
    [
        ("states", "path = 'desk'", "kind version body settled seq"),
        ("mailbox", "row = 50", "path id kind version body sender priority at deliveries deaths not_before"),
        (
            "checkpoints",
            "number = 60",
            "path kind version body settled seq at name description tags pinned",
        ),
        ("dead_letters", "row = 52", "path message kind version body reason at row sender priority"),
        ("replies", "path = 'desk'", "id kind version body path"),
        ("timers", "path = 'desk'", "name at path"),
    ],
)
def test_a_change_of_any_column_is_found_and_the_row_named(
    table: str, key: str, columns: str, file: pathlib.Path
) -> None:
    change(file, "UPDATE states SET body = body || ' ' WHERE path = 'writer'")
    (other,) = check(file).faults
    assert (other.table, other.key, other.kind) == ("states", "writer", "changed")
    sound = file.read_bytes()
    for column in columns.split():
        value = f"{column} + 1" if column in NUMBERS else f"coalesce({column}, '') || 'x'"
        change(file, f"UPDATE {table} SET {column} = {value} WHERE {key}")
        found = {(fault.table, fault.kind) for fault in check(file).faults if fault != other}
        assert found == {(table, "changed")}, column
        file.write_bytes(sound)


def test_a_priority_that_is_lost_is_found(file: pathlib.Path) -> None:
    change(file, "UPDATE dead_letters SET priority = NULL WHERE row = 52")
    (fault,) = check(file).faults
    assert str(fault) == "dead_letters 1: changed: its checksum is not that of what it holds"


def test_text_that_is_none_is_named(file: pathlib.Path) -> None:
    change(file, "UPDATE mailbox SET body = CAST(x'7bff7d' AS TEXT) WHERE row = 51")
    (fault,) = check(file).faults
    assert str(fault) == "mailbox 51: unreadable: its body is no text"
    change(
        file,
        f"UPDATE mailbox SET {', '.join(f'{name} = body' for name in ('id', 'kind', 'path', 'sender'))} WHERE row = 51",
    )
    (fault,) = check(file).faults
    assert str(fault) == "mailbox 51: unreadable: its body is no text"  # of several the first, by name


async def test_a_message_that_was_changed_is_not_sound_when_it_is_given_up_as_it_is_stored(file: pathlib.Path) -> None:
    async with on_disk(file) as journal:
        change(file, "UPDATE mailbox SET body = '{\"amount\":5}' WHERE row = 51")
        change(file, "UPDATE mailbox SET body = CAST(x'7bff7d' AS TEXT) WHERE row = 50")
        with pytest.raises(CommitFailed, match="what message 50 holds is no text any more"):
            await journal.commit(Commit(dead=(evolve(dead(50), as_stored=True),)))
        await journal.commit(Commit(dead=(evolve(dead(51, WRITER), as_stored=True),)))
    assert [(each.table, each.kind) for each in check(file).faults] == [
        ("mailbox", "unreadable"),
        ("dead_letters", "changed"),
    ]


async def test_a_slot_is_refused_for_its_own_rows_only(file: pathlib.Path) -> None:
    change(file, "UPDATE mailbox SET body = '{\"amount\":5}' WHERE row = 51")
    async with on_disk(file) as journal:
        assert (await journal.recover(DESK)).state == state(1)
        with pytest.raises(
            JournalDamaged, match=r"tree\.db: in table mailbox, row 51: .* of what it holds\. Nothing was"
        ):
            await journal.recover(WRITER)
    change(file, "UPDATE states SET settled = 9 WHERE path = 'writer'")
    async with on_disk(file) as journal:
        with pytest.raises(
            JournalDamaged, match=r"in table states, row writer: .* of what it holds \(and 1 more\)\. Not"
        ):
            await journal.recover(WRITER)


async def test_no_damaged_checkpoint_is_gone_back_to(file: pathlib.Path) -> None:
    change(file, "UPDATE checkpoints SET body = '{\"total\":9}'")
    async with on_disk(file) as journal:
        assert [kept.number for kept in await journal.checkpoints(DESK)] == [60]
        with pytest.raises(JournalDamaged, match=r"in table checkpoints, row 60: .*take another checkpoint"):
            await journal.checkpoint(60)
        with pytest.raises(CommitFailed, match="in table checkpoints, row 60"):
            await journal.commit(Commit(restores=(RestoreRow(DESK, 60, 2),)))
        assert (await journal.recover(DESK)).state == state(1)


async def test_what_is_gone_back_to_is_sound(file: pathlib.Path) -> None:
    async with on_disk(file) as journal:
        await journal.commit(Commit(restores=(RestoreRow(DESK, 60, 7),)))
    assert check(file).faults == ()


async def test_a_damaged_state_is_not_made_sound_by_being_kept(file: pathlib.Path) -> None:
    change(file, "UPDATE states SET body = '{\"total\":9}' WHERE path = 'desk'")
    async with on_disk(file) as journal:
        await journal.commit(Commit(keeps=(KeepRow(DESK, 61, WALL),)))
        with pytest.raises(JournalDamaged, match="row 61"):
            await journal.checkpoint(61)


async def test_a_large_value_that_is_changed_or_gone_is_found(file: pathlib.Path) -> None:
    async with on_disk(file) as journal:
        await journal.commit(Commit(states=(evolve(state(2), body=f'"{"x" * 70_000}"'),)))
    change(file, "UPDATE chunks SET data = zeroblob(length(data)) WHERE number = 1")
    (fault,) = check(file).faults
    assert (fault.table, fault.kind) == ("blobs", "changed")
    change(file, "DELETE FROM blobs")
    (fault,) = check(file).faults
    assert (fault.table, fault.kind) == ("blobs", "missing")


def test_an_index_that_leads_astray_is_found(file: pathlib.Path) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute(
            "UPDATE sqlite_schema SET sql = replace(sql, '(path)', '(kind)') WHERE name = 'replies_of_slot'"
        )
    assert {fault.kind for fault in check(file).faults} == {"changed", "structure"}


def test_what_is_declared_otherwise_is_named_in_order(file: pathlib.Path) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        names = [
            name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'index' AND sql <> ''")
        ]
        for name in names:
            connection.execute(f"DROP INDEX {name}")
    assert len(names) > 4
    assert [fault.key for fault in check(file).faults] == sorted(names)


def test_a_size_that_is_not_that_of_its_state_is_found(file: pathlib.Path) -> None:
    change(file, "UPDATE checkpoints SET size = size + 8")
    (fault,) = check(file).faults
    assert (fault.table, fault.key, fault.kind) == ("checkpoints", "60", "changed")


def test_an_imported_bundle_has_checksums_again(file: pathlib.Path, tmp_path: pathlib.Path) -> None:
    with JournalFile.open(file) as journal:
        lines = list(sealed(bundle_of(journal)))
    assert "checksum" not in "".join(lines)
    read_bundle(lines, tmp_path / "copy.db")
    assert check(tmp_path / "copy.db") == check(file)


def test_one_bit_changes_a_checksum() -> None:
    assert checksum("desk", 1, None) != checksum("desk", 3, None)


async def test_a_table_of_which_a_column_has_another_name_is_said_to_lack_it(file: pathlib.Path) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("ALTER TABLE dead_letters RENAME COLUMN sender TO sendes")
    async with on_disk(file) as journal:
        with pytest.raises(JournalError, match=r"cannot be read: no such column: sender"):
            await journal.dead_letters()
    with JournalFile.open(file) as reading:
        with pytest.raises(JournalError, match=r"cannot be read: no such column: sender"):
            reading.dead_letters()
        assert "unreadable" in {fault.kind for fault in reading.check_rows().faults}
