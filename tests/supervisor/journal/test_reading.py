"""Readers: of a live tree and a dead one, beside its owner, without a trace in the file."""

from __future__ import annotations

import os
import pathlib
import shutil
import sqlite3
import tempfile
from collections.abc import Generator
from contextlib import closing, contextmanager
from typing import Any

import pytest
import trio
import trio.testing

from treewarden.agents.core.path import Path
from treewarden.agents.errors import JournalDamaged, JournalError, UnknownKind
from treewarden.supervisor.core.chain import FaultKind, Head
from treewarden.supervisor.core.event import ChildStarted
from treewarden.supervisor.journal.port import Commit
from treewarden.supervisor.journal.reading import JournalFile, wait_for_records
from treewarden.supervisor.journal.rows import Waiting
from treewarden.supervisor.testing import inline_run_sync

from ...journals import DESK, WALL, checkpoint, dead, fact, message, on_disk, settle, state, timer

SHOP = Path("shop")
STARTED = ChildStarted(path=SHOP, incarnation=1)


@pytest.fixture
def file(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "tree.db"


async def filled(file: pathlib.Path) -> None:
    async with on_disk(file) as journal:
        await journal.commit(Commit(accepted=(message(1), message(2, SHOP, priority=0), message(3), message(4))))
        await journal.commit(settle(1, acked=[1], events=[fact(1), STARTED]))
        await journal.commit(Commit(dead=(dead(4),), timers=(timer("tick", 5.0),), checkpoints=(checkpoint(1, "a"),)))
        await journal.commit(settle(7, SHOP, events=[fact(2)]))


async def test_everything_that_is_held_can_be_seen(file: pathlib.Path) -> None:
    await filled(file)
    with JournalFile.open(str(file)) as reading:
        assert [record.event for record in reading.records()] == [fact(1), STARTED, fact(2)]
        assert [record.seq for record in reading.records(1, 1)] == [2]
        assert [record.seq for record in reading.records(path=DESK)] == [1, 3]
        assert [record.seq for record in reading.records(kinds=["ChildStarted"])] == [2]
        assert [record.seq for record in reading.records(1, path=DESK, kinds=("Recorded", "ChildStarted"))] == [3]
        assert reading.records(kinds=()) == []
        assert reading.states() == [state(1), state(7, SHOP)]
        assert [row.label.name for row in reading.checkpoints(DESK)] == ["a"]
        assert reading.mailboxes() == [Waiting(DESK, 1, WALL + 3), Waiting(SHOP, 1, WALL + 2)]
        assert reading.messages(DESK) == [message(3)]
        assert reading.dead_letters() == [dead(4)]
        assert reading.dead_letters(SHOP) == []
        assert reading.timers(DESK) == {"tick": 5.0}
        assert reading.head.seq == 3
        assert reading.verify().head == reading.head
        assert len(reading.tree) == 8


async def test_a_reader_sees_each_commit_of_a_live_owner(file: pathlib.Path) -> None:
    async with on_disk(file) as journal:
        with JournalFile.open(file) as reading:
            seen = reading.data_version()
            assert reading.data_version() == seen
            for number in range(1, 4):
                await journal.commit(settle(number, events=[fact(number)]))
                assert reading.head.seq == number
                assert reading.data_version() != seen
                seen = reading.data_version()
        assert await journal.commit(settle(4)) == 3


async def test_a_reader_does_not_keep_the_owner_waiting(file: pathlib.Path) -> None:
    async with on_disk(file, patience=0) as journal:
        await journal.commit(settle(1, events=[fact(1)]))
        with JournalFile.open(file) as reading, JournalFile.open(file) as other:
            for number in range(2, 20):
                assert reading.records()
                assert other.states()
                await journal.commit(settle(number))


@contextmanager
def left_by_a_crash(file: pathlib.Path) -> Generator[pathlib.Path]:
    """A copy of a live journal, as `kill -9` leaves it: commits in the log, nobody to bring them over."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        for name in (file.name, f"{file.name}-wal"):
            shutil.copy(file.with_name(name), folder)
            os.chmod(pathlib.Path(folder, name), 0o644)
        yield pathlib.Path(folder, file.name)


async def test_what_is_in_the_log_of_a_dead_owner_is_seen(file: pathlib.Path) -> None:
    async with on_disk(file) as journal:
        await journal.commit(settle(1, events=[fact(1)]))
        with left_by_a_crash(file) as copy, JournalFile.open(copy) as reading:
            assert reading.states() == [state(1)]
            assert reading.verify().sound
            assert "which lives and has it no longer open" in reading.describe_holder()


@contextmanager
def nobody() -> Generator[None]:
    """As a user who may write nowhere; root may, whatever the mode says."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


@pytest.mark.parametrize("through", ["its name", "a link"])
async def test_a_reader_changes_nothing(through: str, file: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """It does not even bring over what a dead owner left in the log."""
    async with on_disk(file) as journal:
        await journal.commit(settle(1, events=[fact(1)]))
        with left_by_a_crash(file) as copy:
            before = contents(copy)
            with JournalFile.open(copy if through == "its name" else link_to(copy, tmp_path / "link.db")) as reading:
                assert reading.records()
                assert reading.verify().sound
            assert contents(copy) == before


def link_to(file: pathlib.Path, link: pathlib.Path) -> pathlib.Path:
    """The log lies beside the file and not beside the link."""
    link.symlink_to(file)
    return link


async def test_a_reader_of_a_closed_file_leaves_nothing_beside_it(file: pathlib.Path) -> None:
    async with on_disk(file) as journal:
        await journal.commit(settle(1, events=[fact(1)]))
    before = folder(file)
    with JournalFile.open(file) as reading:
        assert reading.verify().sound
    assert folder(file) == before
    assert list(before) == [file.name]


def folder(file: pathlib.Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in file.parent.iterdir()}


def contents(file: pathlib.Path) -> list[bytes]:
    return [file.with_name(name).read_bytes() for name in (file.name, f"{file.name}-wal")]


async def test_a_folder_that_may_not_be_written_is_explained(file: pathlib.Path) -> None:
    async with on_disk(file) as journal:
        await journal.commit(settle(1))
        with left_by_a_crash(file) as copy:
            copy.parent.chmod(0o555)
            try:
                with nobody(), pytest.raises(JournalError, match=r"Copy tree\.db and tree\.db-wal to"):
                    JournalFile.open(copy)
            finally:
                copy.parent.chmod(0o755)


def test_a_file_that_is_missing_is_not_made(tmp_path: pathlib.Path) -> None:
    with pytest.raises(JournalError, match=r"there is no journal .*tree\.db"):
        JournalFile.open(tmp_path / "tree.db")
    assert list(tmp_path.iterdir()) == []


def test_an_empty_file_is_no_journal(file: pathlib.Path) -> None:
    file.touch()
    with pytest.raises(JournalError, match="no tree was ever started with it"):
        JournalFile.open(file)
    assert file.read_bytes() == b""


async def test_a_copy_without_its_log_is_not_said_to_be_new(file: pathlib.Path) -> None:
    with closing(sqlite3.connect(file)) as connection:  # as a first owner that has not written its first page yet
        connection.execute("PRAGMA journal_mode = WAL")
        copy = file.with_name("copy.db")
        shutil.copy(file, copy)
        with pytest.raises(
            JournalError, match=r"copy\.db holds nothing yet: .* in the log .*, copy\.db-wal, which belongs"
        ):
            JournalFile.open(copy)


async def test_a_name_may_hold_anything(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "100 % #1 tree?mode=rwc&x.db"
    await filled(file)
    with JournalFile.open(file) as reading:
        assert reading.head.seq == 3


# Following


async def test_following_a_live_tree(file: pathlib.Path, autojump_clock: trio.testing.MockClock) -> None:
    seen: list[int] = []
    times: list[float] = []
    calls: list[str] = []

    async def run_sync(call: Any, /, *args: Any, **_options: Any) -> Any:
        calls.append(call.__name__)
        return await inline_run_sync(call, *args)

    async with on_disk(file) as journal:
        await journal.commit(settle(1, events=[fact(1)]))
        with JournalFile.open(file) as reading:
            async with trio.open_nursery() as nursery:

                async def follow() -> None:
                    while True:
                        after = seen[-1] if seen else 0
                        records = await wait_for_records(reading, after, run_sync=run_sync, limit=2)
                        seen.extend(record.seq for record in records)
                        times.append(trio.current_time())

                nursery.start_soon(follow)
                await trio.sleep(10.1)
                await journal.commit(Commit(events=tuple((WALL, fact(n)) for n in range(5))))
                await trio.sleep(10)
                nursery.cancel_scope.cancel()
            assert reading.head.seq == 6
    assert seen == [1, 2, 3, 4, 5, 6]
    assert times[0] == 0.0
    assert times[1] == pytest.approx(10.2)
    assert times[-1] < 10.5
    assert calls.count("data_version") > 90
    assert calls.count("records") < 15, "an idle file is not read, but for its lease"


# Damage


def edit(file: pathlib.Path, *statements: str) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


async def test_the_chain_is_checked_in_the_file(file: pathlib.Path) -> None:
    async with on_disk(file) as journal:
        for number in range(1, 11):
            await journal.commit(settle(number, events=[fact(number)]))
    with JournalFile.open(file) as reading:
        head = reading.head
    edit(file, "UPDATE events SET body = replace(body, '3', '8') WHERE seq = 3", "DELETE FROM events WHERE seq = 6")
    edit(file, "UPDATE events SET body = CAST(x'7bff7d' AS TEXT) WHERE seq = 8")
    with JournalFile.open(file) as reading:
        assert [(fault.seq, fault.kind) for fault in reading.verify().faults] == [
            (3, FaultKind.CHANGED),
            (6, FaultKind.MISSING),
            (8, FaultKind.UNREADABLE),
        ]
    edit(
        file,
        "DELETE FROM events WHERE seq > 2",
        "UPDATE meta SET seq = 2, hash = (SELECT hash FROM events WHERE seq = 2)",
    )
    with JournalFile.open(file) as reading:
        assert reading.verify().sound, "whoever writes the file can also shorten it"
        assert [(fault.seq, fault.kind) for fault in reading.verify(head).faults] == [(3, FaultKind.CUT)]
        assert not reading.verify(Head(2, b"x" * 32)).sound


async def test_an_event_that_cannot_be_read_is_named(file: pathlib.Path) -> None:
    await filled(file)
    edit(file, "UPDATE events SET kind = 'ChildFlown' WHERE seq = 2", "UPDATE events SET body = '{' WHERE seq = 3")
    with JournalFile.open(file) as reading:
        assert len(reading.records(limit=1)) == 1
        with pytest.raises(UnknownKind, match=r"event 2: .*ChildFlown"):
            reading.records()
        with pytest.raises(JournalDamaged, match=r"event 3: .*not JSON"):
            reading.records(2)
