"""A write-ahead log that somebody cuts off or overwrites while it is in use: it is noticed, and goes no further."""

from __future__ import annotations

import os
import pathlib
import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from treewarden.agents.errors import EpochLost, JournalError
from treewarden.supervisor.journal import log
from treewarden.supervisor.journal.reading import JournalFile
from treewarden.supervisor.journal.sqlite import SqliteJournal

from ...journals import DESK, WALL, Told, on_disk, settle, state


def cut_off(_: pathlib.Path, now: pathlib.Path) -> None:
    os.truncate(now, 0)


def cut_short(_: pathlib.Path, now: pathlib.Path) -> None:
    os.truncate(now, len(now.read_bytes().rstrip(b"\0")) // 2)  # half of what is written; zeros are room for more


def overwrite(earlier: pathlib.Path, now: pathlib.Path) -> None:
    inode = now.stat().st_ino
    shutil.copyfile(earlier, now)
    assert now.stat().st_ino == inode


def flip_a_bit(_: pathlib.Path, now: pathlib.Path) -> None:
    with now.open("r+b") as file:
        file.seek(17)
        file.write(b"!")


FRAME = 24 + 4096
HARM: dict[str, tuple[Callable[[pathlib.Path, pathlib.Path], None], bool, tuple[int, ...]]] = {
    "cut off": (cut_off, False, (10,)),
    "cut short": (cut_short, False, (19, 20, 21, 22, 23, 24, 25)),
    "an older one over it": (overwrite, False, (20,)),
    "an older one over it, which had begun anew since": (overwrite, True, (20, 30)),
    "its beginning flipped": (flip_a_bit, False, (10,)),
}


async def settle_each(journal: SqliteJournal, first: int, last: int) -> None:
    """One look at the log, and more, between any two of them."""
    for number in range(first, last + 1):
        await journal.commit(settle(number))
        await trio.sleep(1)


@pytest.mark.parametrize("harm", HARM)
async def test_nothing_more_is_acknowledged_and_the_file_stays_whole(
    harm: str, tmp_path: pathlib.Path, autojump_clock: MockClock
) -> None:
    """It holds what is left of the log, as after a power cut, and nothing of what is there now."""
    file, now, earlier = (tmp_path / name for name in ("tree.db", "tree.db-wal", "earlier"))
    do, anew, held = HARM[harm]
    told = Told()

    async def work() -> None:
        async with on_disk(file, lease=1000.0) as journal:
            await settle_each(journal, 1, 10)
            await journal.compact()
            await settle_each(journal, 11, 20)
            shutil.copyfile(now, earlier)
            if anew:
                await journal.compact()
            await settle_each(journal, 21, 30)
            do(earlier, now)
            await trio.sleep(0.25)
            journal.submit(settle(31), told.of("31"))
            await trio.sleep(1)

    with pytest.raises(JournalError, match=r"tree\.db-wal was cut off or overwritten while it was in use"):
        await work()
    assert told.failed == ["31"]
    with JournalFile.open(file) as reading:
        assert not reading.check_rows().faults
    async with on_disk(file) as journal:
        found = (await journal.recover(DESK)).state
        assert found in [state(number) for number in held]
        await journal.commit(settle(32))


def frames_in(now: pathlib.Path) -> int:
    return -(-(len(now.read_bytes().rstrip(b"\0")) - 32) // FRAME)


@pytest.mark.parametrize("kept", range(1, 6))
async def test_one_that_is_cut_short_right_before_the_end_is_not_copied(
    kept: int, tmp_path: pathlib.Path, autojump_clock: MockClock
) -> None:
    """Whoever closes the file last copies the log into it, with a hole if nobody has looked."""
    file, now = tmp_path / "tree.db", tmp_path / "tree.db-wal"

    async def work() -> None:
        async with on_disk(file, lease=1000.0) as journal:
            await settle_each(journal, 1, 9)
            before = frames_in(now)
            for number in range(10, 20):
                await journal.commit(settle(number))  # at once: nobody looks
            os.truncate(now, 32 + FRAME * (before + (frames_in(now) - before) * kept // 6))

    with pytest.raises(JournalError, match=r"tree\.db-wal was cut off or overwritten while it was in use"):
        await work()
    with JournalFile.open(file) as reading:
        assert not reading.check_rows().faults
    async with on_disk(file) as journal:
        found = (await journal.recover(DESK)).state
        assert found in [state(number) for number in range(9, 20)]


def connected(file: pathlib.Path) -> sqlite3.Connection:
    return sqlite3.connect(file, isolation_level=None)


@pytest.mark.parametrize("seed", range(10))
async def test_what_others_may_do_with_it_is_no_harm(
    seed: int, tmp_path: pathlib.Path, autojump_clock: MockClock
) -> None:
    """They read, write commands, copy the log into the file, and empty it or have it begun anew."""
    file, rng = tmp_path / "tree.db", random.Random(seed)
    modes = ("PASSIVE", "FULL", "RESTART", "TRUNCATE")
    async with on_disk(file) as journal:
        with closing(connected(file)) as same:
            for number in range(1, 60):
                await journal.commit(settle(number))
                await trio.sleep(rng.choice([0, 0.1, 0.3]))
                with closing(connected(file)) as new:
                    other = rng.choice([same, new])
                    match rng.randrange(6):
                        case 0:
                            other.execute(f"PRAGMA wal_checkpoint({rng.choice(modes)})").fetchall()
                        case 1:
                            command = (f"c{number}", WALL)
                            other.execute("INSERT INTO commands VALUES (?, '{}', ?, 'applied', '', 1)", command)
                        case 2:
                            await journal.compact()
                        case _:
                            pass
        assert (await journal.recover(DESK)).state == state(59)


async def test_one_empties_it_and_another_begins_it(tmp_path: pathlib.Path, autojump_clock: MockClock) -> None:
    """Whoever begins it has not counted how often that was done, and takes any salts."""
    file = tmp_path / "tree.db"
    async with on_disk(file) as journal:
        for number in range(1, 20):
            await journal.commit(settle(number))
            with closing(connected(file)) as one:
                one.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            with closing(connected(file)) as another:
                another.execute("INSERT INTO commands VALUES (?, '{}', 0, 'applied', '', 1)", (f"c{number}",))
            await trio.sleep(0.3)
        assert (await journal.recover(DESK)).state == state(19)


async def test_it_is_looked_at_in_the_millisecond_of_a_renewal(
    tmp_path: pathlib.Path, autojump_clock: MockClock
) -> None:
    """A renewal that leaves the lease as it was writes nothing, and what was not written cannot be found."""

    def still(_: object) -> float:
        return 2_460_000.5

    def frozen(*args: Any, **options: Any) -> sqlite3.Connection:
        connection = sqlite3.connect(*args, **options)
        connection.create_function("julianday", 1, still)
        return connection

    file = tmp_path / "tree.db"
    async with on_disk(file, connect=frozen, lease=0.6) as journal:
        for number in range(1, 5):
            with closing(connected(file)) as one:
                one.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            with closing(connected(file)) as another:
                another.execute("INSERT INTO commands VALUES (?, '{}', 0, 'applied', '', 1)", (f"c{number}",))
            await trio.sleep(0.3)
            await journal.commit(settle(number))
        assert (await journal.recover(DESK)).state == state(4)


@pytest.fixture
def owner(tmp_path: pathlib.Path) -> Iterator[sqlite3.Connection]:
    with closing(connected(tmp_path / "tree.db")) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA journal_size_limit = 400000")
        connection.execute("CREATE TABLE rows (data)")
        yield connection


@pytest.fixture
def looked(owner: sqlite3.Connection, tmp_path: pathlib.Path) -> Iterator[log.Log]:
    found = log.Log(str(tmp_path / "tree.db-wal"))
    yield found
    found.close()


def insert(connection: sqlite3.Connection) -> None:
    connection.execute("INSERT INTO rows VALUES (1)")


def empty(file: pathlib.Path) -> None:
    with closing(connected(file)) as one:
        one.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def roll_back_much(connection: sqlite3.Connection) -> None:
    """What SQLite has no room for in memory is in the log then, and stays there."""
    connection.execute("PRAGMA cache_size = 10")
    connection.execute("BEGIN")
    connection.executemany("INSERT INTO rows VALUES (?)", [(bytes(4000),)] * 300)
    connection.execute("ROLLBACK")


@pytest.mark.parametrize("begun", [True, False])
def test_others_that_empty_it_each_time_do_no_harm(
    begun: bool, owner: sqlite3.Connection, looked: log.Log, tmp_path: pathlib.Path
) -> None:
    """A copier that never rests: what is committed is in the file then, and not in the log any more."""

    def anew() -> None:
        empty(tmp_path / "tree.db")
        if begun:
            with closing(connected(tmp_path / "tree.db")) as another:
                insert(another)

    def commit() -> None:
        insert(owner)
        anew()

    for _ in range(5):
        anew()
        assert looked.is_as_written(commit)


@pytest.mark.parametrize("unsynced", [False, True])
def test_what_was_rolled_back_lies_behind_its_end(
    unsynced: bool, owner: sqlite3.Connection, looked: log.Log, tmp_path: pathlib.Path
) -> None:
    """Another one has begun it anew with any salts, so what is written is looked for: not behind what nobody committed,
    which even looks like a transaction to its end if only its sync was refused."""
    empty(tmp_path / "tree.db")
    insert(owner)
    roll_back_much(owner)
    if unsynced:
        call_the_last_frame_an_end(tmp_path / "tree.db-wal")
    assert looked.is_as_written(lambda: insert(owner))
    assert looked.is_as_written(never, written=False)


def test_the_place_of_what_nobody_committed_may_be_taken_by_what_is_rolled_back(
    owner: sqlite3.Connection, looked: log.Log, tmp_path: pathlib.Path
) -> None:
    """Another process was killed in its COMMIT, and its last frame looks like the end of a transaction. Whoever is next
    writes over it; SQLite gives no salts to what it would have to give new checksums at the end, which did not come."""
    insert(owner)
    roll_back_much(owner)
    call_the_last_frame_an_end(tmp_path / "tree.db-wal")
    assert looked.is_as_written(lambda: insert(owner))
    owner.execute("BEGIN")
    owner.executemany("INSERT INTO rows VALUES (?)", [(bytes(4000),)] * 30)
    owner.execute("UPDATE rows SET data = zeroblob(4001)")
    owner.executemany("INSERT INTO rows VALUES (?)", [(bytes(4000),)] * 600)
    owner.execute("ROLLBACK")
    assert looked.is_as_written(lambda: insert(owner))
    insert(owner)
    assert looked.is_as_written(never)


def call_the_last_frame_an_end(file: pathlib.Path) -> None:
    with file.open("r+b") as written:
        written.seek(-(24 + 4096) + 4, os.SEEK_END)
        written.write((500).to_bytes(4, "big"))


def never() -> None:
    raise AssertionError("it is plain that it goes on")


def test_what_was_rolled_back_may_be_cut_off(owner: sqlite3.Connection, looked: log.Log) -> None:
    """The mark was in it: SQLite keeps no more of a log that has begun anew than the limit says."""
    owner.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
    roll_back_much(owner)
    assert looked.is_as_written(lambda: insert(owner))
    insert(owner)
    assert looked.is_as_written(lambda: insert(owner))


async def test_a_full_disk_says_nothing_about_it(
    tmp_path: pathlib.Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be found out now is looked at again."""
    refusing = True

    def renew(looked: log.Log, commit: Callable[[], object], written: bool) -> bool:
        if refusing:
            raise sqlite3.OperationalError("database or disk is full")
        return looks(looked, commit, written)

    looks = log.Log.is_as_written
    monkeypatch.setattr(log.Log, "is_as_written", renew)
    async with on_disk(tmp_path / "tree.db") as journal:
        await settle_each(journal, 1, 3)
        refusing = False
        await settle_each(journal, 4, 5)


async def test_who_has_lost_the_file_in_a_look_acknowledges_nothing(
    tmp_path: pathlib.Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look may have to commit something, and that finds out who owns the file."""
    taken = False

    def take_over(looked: log.Log, commit: Callable[[], object], written: bool) -> bool:
        if taken:
            with closing(sqlite3.connect(tmp_path / "tree.db")) as other:
                other.execute("UPDATE meta SET epoch = epoch + 1")
                other.commit()
            commit()
        return True

    monkeypatch.setattr(log.Log, "is_as_written", take_over)
    told = Told()

    async def own() -> None:
        nonlocal taken
        async with on_disk(tmp_path / "tree.db") as journal:
            await settle_each(journal, 1, 2)
            taken = True
            journal.submit(settle(3), told.of("3"))
            await trio.sleep(60)

    with pytest.raises(EpochLost):
        await own()
    assert told.failed == ["3"]


def test_one_that_is_cut_in_what_came_last_goes_on_behind_a_hole(
    owner: sqlite3.Connection, looked: log.Log, tmp_path: pathlib.Path
) -> None:
    """What is there is as it was at each look; but what is written next is not next to it."""
    for _ in range(2):
        for _ in range(20):
            insert(owner)
        assert looked.is_as_written(never)
    for _ in range(20):
        insert(owner)
    now = tmp_path / "tree.db-wal"
    os.truncate(now, now.stat().st_size - 3 * FRAME)
    assert looked.is_as_written(never)
    assert looked.is_as_written(never, written=False)
    insert(owner)
    assert not looked.is_as_written(lambda: insert(owner))


def test_what_comes_in_the_place_of_what_was_rolled_back_is_no_hole(owner: sqlite3.Connection, looked: log.Log) -> None:
    insert(owner)
    assert looked.is_as_written(never)
    roll_back_much(owner)
    assert looked.is_as_written(never, written=False)
    for _ in range(3):
        insert(owner)
        assert looked.is_as_written(never)
