"""One owner at a time: who is refused, and who takes over."""

from __future__ import annotations

import pathlib
import shutil
import sqlite3
from contextlib import closing
from typing import Any

import pytest
import trio
import trio.testing

from treewarden.agents.core.path import ROOT
from treewarden.agents.errors import EpochLost, JournalError, JournalOwned
from treewarden.supervisor.core.command import Command
from treewarden.supervisor.journal.holder import Fate
from treewarden.supervisor.journal.reading import JournalFile
from treewarden.supervisor.journal.sending import send
from treewarden.supervisor.testing import inline_run_sync

from ...journals import DESK, fact, settle, state
from .owners import Disk, Machine


@pytest.fixture
def disk(tmp_path: pathlib.Path) -> Disk:
    return Disk(tmp_path / "tree.db")


async def test_the_owner_is_named_in_the_file(disk: Disk) -> None:
    async with disk.owner(1):
        row = disk.sql("SELECT epoch, host, pid, boot, namespace, started, released FROM owner")
        assert row == [(1, "box", 1, "boot-1", "pid:[1]", "1", 0)]
        with JournalFile.open(disk.file, processes=Machine(9, {1: Fate.ALIVE})) as reading:
            assert reading.describe_holder().startswith("owned by process 1 on box (epoch 1, since ")
            assert reading.describe_holder().endswith("), lease for another 60 s")
            disk.end_lease()
            assert reading.describe_holder().startswith("held by process 1 on box (epoch 1, since ")
            assert "which lives and could not renew its lease: it ran out " in reading.describe_holder()
        with JournalFile.open(disk.file, processes=Machine(9, {})) as reading:
            assert reading.describe_holder().startswith("left by process 1 on box (epoch 1, since ")
    with JournalFile.open(disk.file) as reading:
        assert reading.describe_holder().startswith("closed in order by process 1 on box (epoch 1, since ")
        holder = reading.holder()
        assert holder is not None
        assert holder.released


@pytest.mark.parametrize("before", [0, 1])
async def test_a_file_without_the_log_of_its_owner_is_no_new_one_and_said_to_lack_it(
    disk: Disk, before: int, caplog: pytest.LogCaptureFixture
) -> None:
    """A copy made with `cp`, or the original after somebody has removed the log of a process that was killed."""
    for number in range(before):
        async with disk.owner(1) as first:
            await first.commit(settle(number, events=[fact(number)]))
    async with disk.owner(1) as first:
        await first.commit(settle(9, events=[fact(9)]))
        alone = Disk(disk.file.with_name("alone.db"))
        shutil.copy(disk.file, alone.file)
        tree = first.opened.tree
        async with alone.owner(2, fates={1: Fate.GONE}) as second:
            opened = second.opened
            assert (opened.tree, opened.head, opened.after_crash) == (tree, before, True)
    (said,) = [record.getMessage() for record in caplog.records]
    assert "alone.db was not closed in order, and no alone.db-wal lay beside it" in said
    assert "and so has a file that another program, such as sqlite3, has opened since its owner died" in said
    caplog.clear()
    async with disk.owner(1):
        shutil.copy(disk.file, alone.file)
        shutil.copy(f"{disk.file}-wal", f"{alone.file}-wal")
        async with alone.owner(2, fates={1: Fate.GONE}) as second:
            assert second.opened.after_crash
        async with alone.owner(3, visits=True):
            pass
        async with alone.owner(4) as last:
            assert not last.opened.after_crash
    async with disk.owner(1):
        pass
    assert not caplog.records, "with its log, or closed in order"


async def test_a_visitor_of_a_file_that_was_left_behind_takes_its_log_along(
    disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    async with disk.owner(1) as first:
        await first.commit(settle(1))
        left = Disk(disk.file.with_name("left.db"))
        for end in ("", "-wal"):
            shutil.copy(f"{disk.file}{end}", f"{left.file}{end}")
    async with left.owner(2, fates={1: Fate.GONE}, visits=True) as visitor:
        assert visitor.opened.after_crash
    with JournalFile.open(left.file, processes=Machine(9, {})) as reading:
        assert reading.describe_holder().startswith("left behind when process 2 on box (epoch 2, since ")
    async with left.owner(4, fates={1: Fate.GONE}) as last:
        assert last.opened.after_crash
    assert not caplog.records


async def test_whoever_leaves_a_command_leaves_the_log_of_an_owner_that_died(
    disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    """The last connection takes a log along, and the next owner could not tell that from one that was lost."""
    async with disk.owner(1) as first:
        await first.commit(settle(1, events=[fact(1)]))
        left = Disk(disk.file.with_name("left.db"))
        for end in ("", "-wal"):
            shutil.copy(f"{disk.file}{end}", f"{left.file}{end}")
    lives = Machine(2, {1: Fate.ALIVE})
    command = Command(what="compact", path=ROOT)
    found = await send(left.file, command, "c-1", within=0.05, processes=lives, run_sync=inline_run_sync)
    assert found.state == "withdrawn"
    async with left.owner(4, fates={1: Fate.GONE}) as last:
        assert (last.opened.head, last.opened.after_crash) == (1, True)
    assert not caplog.records


@pytest.mark.parametrize("fate", [Fate.ALIVE, Fate.UNKNOWN])
async def test_a_second_process_is_refused_by_name(disk: Disk, fate: Fate) -> None:
    async with disk.owner(1) as first:
        before = disk.sql("SELECT * FROM owner")
        with pytest.raises(
            JournalOwned, match=r"tree\.db is owned by process 1 on box \(epoch 1, since .*stop it first"
        ):
            async with disk.owner(2, fates={1: fate}):
                pass
        assert disk.sql("SELECT * FROM owner") == before
        await first.commit(settle(1))


async def test_who_lives_and_has_closed_the_file_is_replaced_at_once(disk: Disk) -> None:
    """It could not write that it has: its disk was full, for one. If it was wrong, its epoch is old."""

    async def replaced() -> None:
        async with disk.owner(1) as first, disk.owner(2, fates={1: Fate.ALIVE}, left=[1]) as second:
            assert second.opened.after_crash
            await second.commit(settle(1))
            with pytest.raises(JournalOwned):
                await disk.owner(3, fates={2: Fate.UNKNOWN}, left=[2]).__aenter__()
            await first.commit(settle(2))

    with pytest.raises(EpochLost):
        await replaced()
    with JournalFile.open(disk.file) as reading:
        assert reading.state(DESK) == state(1)


async def test_a_second_process_is_refused_while_the_first_one_writes(disk: Disk) -> None:
    """The answer waits for no lock."""
    async with disk.owner(1):
        with closing(sqlite3.connect(disk.file, isolation_level=None)) as writer:
            writer.execute("BEGIN IMMEDIATE")
            with pytest.raises(JournalOwned):
                async with disk.owner(2, fates={1: Fate.ALIVE}, patience=0):
                    pass
            writer.execute("ROLLBACK")


async def test_another_name_of_the_same_file_is_refused(disk: Disk) -> None:
    """The log of the owner lies beside the first name: a second owner would not see it."""
    other = disk.file.with_name("other.db")
    async with disk.owner(1) as journal:
        await journal.commit(settle(1))
        other.hardlink_to(disk.file)
        with pytest.raises(JournalError, match=r"other\.db is one of 2 hard links"):
            async with Disk(other).owner(2):
                pass
        await journal.commit(settle(2))
    other.unlink()
    async with disk.owner(2, fates={1: Fate.GONE}) as journal:
        assert (await journal.recover(DESK)).state == state(2)


async def test_this_process_is_told_that_it_is_itself(disk: Disk) -> None:
    async with disk.owner(1):
        with pytest.raises(JournalOwned, match="this process itself has it open"):
            async with disk.owner(1):
                pass


async def test_a_visitor_takes_the_file_from_nobody_who_lives(disk: Disk) -> None:
    """The clock went ahead, as where the machine slept: who writes something and goes would end a tree that runs."""
    async with disk.owner(1) as first:
        disk.end_lease()
        with pytest.raises(JournalOwned, match="is owned by process 1 on box"):
            async with disk.owner(2, fates={1: Fate.ALIVE}, visits=True):
                pass
        await first.commit(settle(1))
        disk.end_lease()
        async with disk.owner(3, fates={1: Fate.ALIVE}) as second:
            assert (await second.recover(DESK)).state == state(1)


async def test_an_owner_that_lives_and_keeps_no_lease_is_waited_for_as_long_as_one_takes_to_renew_it(
    disk: Disk, autojump_clock: trio.testing.MockClock
) -> None:
    """It would take no message of anybody before it goes on, and it need not be started."""
    async with disk.owner(1):
        disk.end_lease()
        lives, command = Machine(2, {1: Fate.ALIVE}), Command(what="compact", path=ROOT)
        said = r"nobody answers on .* \(held by .*, which lives and could not renew .*\): if that process is stopped"
        with pytest.raises(JournalError, match=said):
            await send(disk.file, command, "c-1", processes=lives, run_sync=inline_run_sync)
        assert trio.current_time() == pytest.approx(5, abs=0.1)


@pytest.mark.parametrize(("fate", "lapsed"), [(Fate.GONE, False), (Fate.ALIVE, True), (Fate.UNKNOWN, True)])
async def test_who_died_or_let_the_lease_run_out_is_replaced(disk: Disk, fate: Fate, lapsed: bool) -> None:
    """A process that is stopped is one that exists: it keeps the journal until its lease ends."""

    async def lose() -> None:
        async with disk.owner(1) as first:
            await first.commit(settle(1))
            if lapsed:
                disk.end_lease()
            async with disk.owner(2, fates={1: fate}) as second:
                assert (second.opened.epoch, second.opened.after_crash) == (2, True)
                assert (await second.recover(DESK)).state == state(1)
                await second.commit(settle(2))
                with pytest.raises(EpochLost, match="is owned by process 2 on box"):
                    await first.commit(settle(3))
                await trio.lowlevel.checkpoint()

    with pytest.raises(EpochLost):
        await lose()
    with JournalFile.open(disk.file) as reading:
        assert reading.states() == [state(2)]
        assert reading.describe_holder().startswith("closed in order by process 2")


async def test_an_orderly_end_is_no_crash(disk: Disk) -> None:
    for epoch in range(1, 4):
        async with disk.owner(epoch) as journal:
            assert (journal.opened.epoch, journal.opened.after_crash) == (epoch, False)
            assert journal.opened.holder == f"process {epoch} on box"


async def test_two_who_come_at_once_do_not_both_get_it(disk: Disk) -> None:
    """As processes do: each has looked, and seen nobody, before either of them has the lock."""
    owners: list[int] = []
    refused: list[int] = []
    gate = trio.Event()

    async def come(pid: int) -> None:
        try:
            async with disk.owner(pid, run_sync=trio.to_thread.run_sync, fates={1: Fate.ALIVE, 2: Fate.ALIVE}):
                owners.append(pid)
                await gate.wait()
        except JournalOwned:
            refused.append(pid)
            gate.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(come, 1)
        nursery.start_soon(come, 2)
    assert sorted(owners + refused) == [1, 2]
    assert len(owners) == 1


@pytest.mark.parametrize("lock", [["BEGIN IMMEDIATE"], ["BEGIN", "SELECT * FROM sqlite_schema"]])
async def test_a_new_file_that_somebody_is_making_a_journal_is_waited_for(disk: Disk, lock: list[str]) -> None:
    """SQLite does not wait where the log's mode is to change, however much patience it has."""
    with closing(sqlite3.connect(disk.file, isolation_level=None)) as other:

        def connect(*args: Any, **options: Any) -> sqlite3.Connection:
            connection = sqlite3.connect(*args, **options)
            connection.set_trace_callback(lambda sql: other.rollback() if sql == "BEGIN EXCLUSIVE" else None)
            return connection

        for statement in lock:
            other.execute(statement).fetchall()
        async with disk.owner(1, connect=connect, patience=0) as journal:
            assert journal.opened.epoch == 1


@pytest.mark.parametrize("kind", ["IMMEDIATE", "EXCLUSIVE"])
async def test_a_new_file_that_somebody_keeps_locked_is_refused(disk: Disk, kind: str) -> None:
    with closing(sqlite3.connect(disk.file, isolation_level=None)) as other:
        other.execute(f"BEGIN {kind}")
        with pytest.raises(JournalOwned, match=r"tree\.db is locked by a process: end that process"):
            async with disk.owner(1, patience=0):
                pass


async def test_who_was_stopped_while_writing_has_to_be_ended(disk: Disk) -> None:
    """Its lease ends, its lock does not."""
    async with disk.owner(1):
        disk.end_lease()
        with closing(sqlite3.connect(disk.file, isolation_level=None)) as stopped:
            stopped.execute("BEGIN IMMEDIATE")
            with pytest.raises(
                JournalOwned, match=r"is locked perhaps by process 1 on box \(epoch 1.*end that process"
            ):
                async with disk.owner(2, patience=0):
                    pass
            stopped.execute("ROLLBACK")


async def test_a_lock_on_a_file_that_nobody_owns_yet(disk: Disk) -> None:
    with closing(sqlite3.connect(disk.file, isolation_level=None)) as stranger:
        stranger.execute("PRAGMA journal_mode = WAL")
        stranger.execute("BEGIN IMMEDIATE")
        with pytest.raises(JournalOwned, match="is locked by a process"):
            async with disk.owner(2, patience=0):
                pass
        stranger.execute("ROLLBACK")
