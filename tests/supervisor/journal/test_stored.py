"""Files that were written by every schema there was can be opened, and hold what they held."""

from __future__ import annotations

import gzip
import pathlib
import sqlite3
from contextlib import closing
from typing import Any, Final

import pytest

from treewarden.supervisor.core.bundle import sealed
from treewarden.supervisor.journal.exporting import bundle_of, read_bundle
from treewarden.supervisor.journal.port import DeadRow
from treewarden.supervisor.journal.reading import JournalFile
from treewarden.supervisor.journal.schema import VERSION, identify, migrate

from ...journals import DESK, dead, fact, message, on_disk, state
from .stored_file import COMMITS, FOLDER

STORED: Final = sorted(FOLDER.glob("v*.db.gz"))


def unpacked(stored: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
    file = folder / "tree.db"
    file.write_bytes(gzip.decompress(stored.read_bytes()))
    return file


def tables(connection: sqlite3.Connection) -> list[tuple[str, ...]]:
    return connection.execute("SELECT type, name, sql FROM sqlite_schema ORDER BY type, name").fetchall()


def fresh() -> list[tuple[str, ...]]:
    with closing(sqlite3.connect(":memory:")) as connection:
        migrate(connection, 0)
        return tables(connection)


def as_stored(stored: pathlib.Path) -> DeadRow:
    """The message given up. Its priority is known from schema 4 on."""
    (letter,) = COMMITS[2].dead
    return dead(51) if stored.name < "v4" else letter


def test_there_is_a_file_of_every_version() -> None:
    """Of some there are two: the first files of versions 1 and 2 were made without the index of labels."""
    names = [f"v{number}.db.gz" for number in range(1, VERSION + 1)]
    assert [file.name for file in STORED] == sorted([*names, "v1-first.db.gz", "v2-first.db.gz"])


def test_the_newest_file_is_of_the_schema_as_it_is(tmp_path: pathlib.Path) -> None:
    with closing(sqlite3.connect(unpacked(STORED[-1], tmp_path))) as connection:
        assert identify(connection, "stored") == VERSION
        assert tables(connection) == fresh(), "the schema has changed: see stored_file.py"


@pytest.mark.parametrize("stored", STORED, ids=lambda file: file.name)
async def test_what_was_stored_is_there(stored: pathlib.Path, tmp_path: pathlib.Path) -> None:
    file = unpacked(stored, tmp_path)
    async with on_disk(file) as journal:
        assert (journal.opened.tree, journal.head, journal.opened.last_row) == ("5702ed", 2, 51)
        held = await journal.recover(DESK)
        assert held.state == COMMITS[-1].states[0]
        assert held.messages == (message(50),)
        assert held.timers == {"tick": COMMITS[1].timers[0].at}
        assert held.replies == COMMITS[2].replies
        assert await journal.dead_letters() == [as_stored(stored)]
        (about,) = await journal.checkpoints(DESK)
        kept = await journal.checkpoint(about.number)
        assert kept is not None
        assert (about.label, kept.state) == (COMMITS[3].checkpoints[0].label, state(1))
        assert [record.event for record in await journal.read()] == [fact(1), fact(2)]
    with JournalFile.open(file) as reading:
        assert reading.verify().sound
    with closing(sqlite3.connect(file)) as connection:
        assert tables(connection) == fresh()


@pytest.mark.parametrize("stored", STORED, ids=lambda file: file.name)
def test_what_was_stored_is_read_before_anybody_has_owned_it(stored: pathlib.Path, tmp_path: pathlib.Path) -> None:
    file = unpacked(stored, tmp_path)
    before = file.read_bytes()
    with JournalFile.open(file) as reading:
        assert (reading.head.seq, reading.labels(), reading.cut()) == (2, [], None)
        assert reading.state(DESK) == COMMITS[-1].states[0]
        assert reading.dead_letters() == [as_stored(stored)]
        assert reading.check_rows().faults == ()
        bundle = list(sealed(bundle_of(reading)))
    assert file.read_bytes() == before
    copy = tmp_path / "copy.db"
    assert read_bundle(bundle, copy).same_chain
    with JournalFile.open(copy) as reading:
        assert reading.verify().sound
        assert reading.state(DESK) == COMMITS[-1].states[0]
        assert reading.dead_letters() == [as_stored(stored)]
        assert reading.check_rows().faults == ()


def test_rows_have_checksums_from_schema_3_on(tmp_path: pathlib.Path) -> None:
    found: dict[str, int] = {}
    for stored in STORED:
        file = unpacked(stored, tmp_path)
        with closing(sqlite3.connect(file)) as connection, connection:
            connection.execute("UPDATE states SET settled = settled + 1")
        with JournalFile.open(file) as reading:
            found[stored.name[:2]] = len(reading.check_rows().faults)
    assert found == {f"v{number}": int(number >= 3) for number in range(1, VERSION + 1)}


async def test_what_lies_behind_an_agent_does_not_slow_its_start(tmp_path: pathlib.Path) -> None:
    """Counted in steps of SQLite's machine, which no load of this one changes."""
    steps: list[int] = []
    for events in (1_000, 50_000):
        file = tmp_path / f"{events}.db"
        async with on_disk(file):
            pass
        with closing(sqlite3.connect(file)) as connection, connection:
            rows = ((n, 1.0, "desk", "Recorded", 1, "{}", b"", b"h", 1) for n in range(1, events + 1))
            connection.executemany("INSERT INTO events VALUES (?,?,?,?,?,?,?,?,?)", rows)
            connection.execute("UPDATE meta SET seq = ?, hash = ?", (events, b"h"))
            connection.execute("INSERT INTO states VALUES ('desk','desk:Tally',1,'{}',?,?,1,NULL)", (events, events))
        steps.append(0)

        def connect(*args: Any, **options: Any) -> sqlite3.Connection:
            def count() -> None:
                steps[-1] += 1

            made: sqlite3.Connection = sqlite3.connect(*args, **options)
            made.set_progress_handler(count, 1)
            return made

        async with on_disk(file, connect=connect) as journal:
            held = await journal.recover(DESK)
            assert held.state is not None
            assert held.state.settled == events
    assert steps[0] > 100
    assert steps[1] <= 1.05 * steps[0]


@pytest.mark.parametrize("stored", STORED, ids=lambda file: file.name)
async def test_commands_that_were_left_in_it_are_found(stored: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """The only table of which no stored file has rows: who writes them is never the owner."""
    file = unpacked(stored, tmp_path)
    with closing(sqlite3.connect(file)) as connection, connection:
        row = "VALUES (?, ?, 5.0, ?, ?, 1)"
        connection.execute(f"INSERT INTO commands {row}", ("c-1", '{"v":1}', "waiting", ""))
        connection.execute(f"INSERT INTO commands {row}", ("c-2", '{"v":1}', "taken", ""))
        connection.execute(f"INSERT INTO commands {row}", ("c-3", '{"v":1}', "applied", "done"))
    async with on_disk(file) as journal:
        assert [(command.id, command.begun) for command in await journal.commands()] == [("c-1", False), ("c-2", True)]
    with JournalFile.open(file) as reading:
        assert reading.answer("c-3") == ("applied", "done")
        assert not reading.check_rows().faults
