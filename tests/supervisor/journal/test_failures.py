"""The disk refuses: what is not kept is said not to be kept, what is kept is not said twice, and work goes on after."""

from __future__ import annotations

import pathlib
import sqlite3
from contextlib import closing
from typing import Any

import pytest
import trio
import trio.testing

from treewarden.agents.core.path import Path
from treewarden.agents.errors import CommitFailed, JournalDamaged, JournalError, JournalOwned
from treewarden.supervisor.journal.port import Commit
from treewarden.supervisor.journal.reading import JournalFile
from treewarden.supervisor.journal.sqlite import SqliteJournal

from ...journals import DESK, Told, fact, on_disk, settle, state
from ...limits import no_file_grows_beyond


class Faulty(sqlite3.Connection):
    """A connection whose statements fail as told: before they do anything, or after they did it."""

    before: str = ""
    after: str = ""
    reading: bool = True

    def execute(self, sql: str, /, *parameters: Any) -> sqlite3.Cursor:
        if self.before and sql.startswith(self.before):
            raise sqlite3.OperationalError("disk I/O error")
        if not self.reading and sql.startswith("SELECT"):
            raise sqlite3.OperationalError("disk I/O error")
        cursor = super().execute(sql, *parameters)
        if self.after and sql.startswith(self.after):
            raise sqlite3.OperationalError("disk I/O error in a checkpoint")
        return cursor


class Faults:
    """Makes connections, and reaches the last of them."""

    def __init__(self) -> None:
        self.connections: list[Faulty] = []
        self.refuse = False

    def connect(self, *args: Any, **options: Any) -> sqlite3.Connection:
        if self.refuse:
            raise sqlite3.OperationalError("unable to open database file")
        self.connections.append(sqlite3.connect(*args, factory=Faulty, **options))
        return self.connections[-1]

    @property
    def last(self) -> Faulty:
        return self.connections[-1]


@pytest.fixture
def faults() -> Faults:
    return Faults()


@pytest.fixture
def file(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "tree.db"


def stored(file: pathlib.Path) -> list[int]:
    with JournalFile.open(file) as reading:
        assert reading.verify().sound
        return [row.settled for row in reading.states()]


async def test_a_commit_that_raised_and_was_kept_is_acknowledged(file: pathlib.Path, faults: Faults) -> None:
    """An automatic checkpoint of the log may fail after the commit stands."""
    async with on_disk(file, connect=faults.connect) as journal:
        faults.last.after = "COMMIT"
        assert await journal.commit(settle(1, events=[fact(1)])) == 1
        faults.last.after = ""
        assert await journal.commit(settle(2, events=[fact(2)])) == 2
        assert len(await journal.read()) == 2
    assert stored(file) == [2]


async def test_a_commit_that_raised_and_was_not_kept_is_not(file: pathlib.Path, faults: Faults) -> None:
    async with on_disk(file, connect=faults.connect) as journal:
        faults.last.before = "COMMIT"
        with pytest.raises(CommitFailed, match="disk I/O error"):
            await journal.commit(settle(1, events=[fact(1)]))
        assert journal.head == 0
        faults.last.before = ""
        assert (await journal.recover(DESK)).state is None
        assert await journal.commit(settle(1, events=[fact(1)])) == 1
    assert stored(file) == [1]


@pytest.mark.parametrize("statement", ["BEGIN", "UPDATE meta"])
async def test_a_transaction_that_did_not_begin_left_nothing(
    file: pathlib.Path, faults: Faults, statement: str
) -> None:
    async with on_disk(file, connect=faults.connect) as journal:
        faults.last.before = statement
        with pytest.raises(CommitFailed):
            await journal.commit(settle(1))
        faults.last.before = ""
        await journal.commit(settle(1))
    assert stored(file) == [1]


async def test_a_rollback_that_fails_costs_the_connection_only(file: pathlib.Path, faults: Faults) -> None:
    async with on_disk(file, connect=faults.connect) as journal:
        faults.last.before = "COMMIT"
        broken = faults.last
        original = broken.execute

        def execute(sql: str, /, *parameters: Any) -> sqlite3.Cursor:
            if sql == "ROLLBACK":
                raise sqlite3.OperationalError("disk I/O error")
            return original(sql, *parameters)

        broken.execute = execute
        with pytest.raises(CommitFailed):
            await journal.commit(settle(1))
        await journal.commit(settle(1))
        assert len(faults.connections) == 2
    assert stored(file) == [1]


async def test_an_outcome_that_nobody_can_know_ends_everything(file: pathlib.Path, faults: Faults) -> None:
    told = Told()

    async def lose() -> None:
        async with on_disk(file, connect=faults.connect) as journal:
            faults.last.after, faults.last.reading = "COMMIT", False
            faults.refuse = True
            journal.submit(settle(1, events=[fact(1)]), told.of("in doubt"))
            await trio.sleep_forever()

    with pytest.raises(JournalError, match="nobody can say whether it was kept"):
        await lose()
    assert told.failed == ["in doubt"]
    faults.refuse = False
    assert stored(file) == [1]  # this time it was


async def test_a_read_back_that_fails_once_is_tried_again(file: pathlib.Path, faults: Faults) -> None:
    async with on_disk(file, connect=faults.connect) as journal:
        faults.last.after, faults.last.reading = "COMMIT", False
        await journal.commit(settle(1))
        assert len(faults.connections) == 2
    assert stored(file) == [1]


async def test_when_the_disk_refuses_everything_queued_falls(file: pathlib.Path, faults: Faults) -> None:
    """What was queued meanwhile was made by those who did not know."""
    told = Told()
    gate = trio.Event()
    gate.set()

    async def hold(call: Any, /, *args: Any, **_options: Any) -> Any:
        found = call(*args)
        await gate.wait()
        return found

    async with on_disk(file, connect=faults.connect, run_sync=hold) as journal:
        faults.last.before = "COMMIT"
        gate = trio.Event()
        journal.submit(settle(1), told.of("in hand"))
        await trio.testing.wait_all_tasks_blocked()
        faults.last.before = ""
        journal.submit(settle(2), told.of("behind it"))
        journal.submit(Commit(states=(state(1, Path("other")),)), told.of("of another"))
        why: list[str] = []
        journal.submit(Commit(events=((0.0, fact(1)),)), lambda error: why.append(str(error)))
        gate.set()
        await trio.testing.wait_all_tasks_blocked()
        assert told.failed == ["in hand", "behind it", "of another"]
        assert why == [f"{file}: nothing of it was kept: disk I/O error"]  # and not that it rests on another
        assert [isinstance(error, CommitFailed) and error.refuses_all for _, error in told.news] == [True] * 3
        faults.last.before = "COMMIT"
        gate = trio.Event()
        for name in ("a fact in hand", "a fact behind it"):
            journal.submit(Commit(events=((0.0, fact(1)),)), told.of(name))
            await trio.testing.wait_all_tasks_blocked()
            faults.last.before = ""
        gate.set()
        await trio.testing.wait_all_tasks_blocked()
        assert told.failed[3:] == ["a fact in hand", "a fact behind it"]
        await journal.commit(settle(1))
    assert stored(file) == [1]


async def test_a_full_disk_fails_commits_until_there_is_room(file: pathlib.Path, faults: Faults) -> None:
    async with on_disk(file, connect=faults.connect) as journal:
        await journal.commit(settle(1))
        (pages,) = faults.last.execute("PRAGMA page_count").fetchone()
        faults.last.execute(f"PRAGMA max_page_count = {pages}")
        kept, failed = await fill(journal)
        assert failed is not None
        assert "full" in str(failed)
        assert (await journal.recover(DESK)).state == state(1 + kept)
        faults.last.execute("PRAGMA max_page_count = 1000000")
        await journal.commit(settle(2 + kept))
    assert stored(file) == [2 + kept]


async def test_a_write_error_fails_commits_until_it_is_gone(file: pathlib.Path) -> None:
    """A real one, from the system: the log may not grow any more."""
    async with on_disk(file) as journal:
        await journal.commit(settle(1))
        size = file.with_name("tree.db-wal").stat().st_size
        with no_file_grows_beyond(size + 50_000):
            kept, failed = await fill(journal)
            assert failed is not None
            assert "disk I/O error" in str(failed)
            assert (await journal.recover(DESK)).state == state(1 + kept)
        await journal.commit(settle(2 + kept))
    assert stored(file) == [2 + kept]


async def fill(journal: SqliteJournal) -> tuple[int, CommitFailed | None]:
    """Settle until one is not kept: how many were, and what the first that was not is told."""
    for number in range(200):
        facts = tuple(fact(n) for n in range(100))
        try:
            await journal.commit(settle(2 + number, events=facts))
        except CommitFailed as error:
            return number, error
    return 200, None


async def test_another_ones_lock_fails_commits_while_it_lasts(file: pathlib.Path) -> None:
    async with on_disk(file, patience=0) as journal:
        with closing(sqlite3.connect(file, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(CommitFailed, match="locked"):
                await journal.commit(settle(1))
            other.execute("ROLLBACK")
        await journal.commit(settle(1))
    assert stored(file) == [1]


async def test_a_release_that_fails_is_no_error(file: pathlib.Path, faults: Faults) -> None:
    """What the file holds is sound. Its next owner sees that it was not closed."""
    async with on_disk(file, connect=faults.connect) as journal:
        await journal.commit(settle(1))
        faults.last.before = "COMMIT"
    assert stored(file) == [1]
    with JournalFile.open(file) as reading:
        holder = reading.holder()
        assert holder is not None
        assert not holder.released
        assert reading.describe_holder().endswith("which lives and has it no longer open")
    async with on_disk(file) as journal:  # at once: the lease lasts for another 10 s, and this process lives
        assert journal.opened.after_crash
        with pytest.raises(JournalOwned):
            await on_disk(file).__aenter__()
        await journal.commit(settle(2))


async def test_a_read_that_fails_says_so(file: pathlib.Path, faults: Faults) -> None:
    async with on_disk(file, connect=faults.connect) as journal:
        faults.last.reading = False
        with pytest.raises(JournalError, match="cannot be read: disk I/O error"):
            await journal.recover(DESK)
        faults.last.reading = True
        await journal.recover(DESK)


def scribble(file: pathlib.Path) -> None:
    """Overwrite every page but the first."""
    with file.open("r+b") as raw:
        raw.seek(4096)
        raw.write(b"\x5a" * (file.stat().st_size - 4096))


async def test_pages_that_are_damaged_are_called_damaged(file: pathlib.Path) -> None:
    async with on_disk(file) as journal:
        await journal.commit(settle(1, events=[fact(1)]))
    scribble(file)
    with pytest.raises(JournalDamaged):
        async with on_disk(file):
            pass
    with pytest.raises(JournalDamaged), JournalFile.open(file) as reading:
        reading.records()
