"""How an owner keeps its lease, and what becomes of one whose lease another one has."""

from __future__ import annotations

import pathlib
import sqlite3
from contextlib import closing
from typing import Any

import pytest
import trio
import trio.testing

from treewarden.agents.errors import CommitFailed, EpochLost
from treewarden.supervisor.journal.port import Commit
from treewarden.supervisor.journal.reading import JournalFile

from ...journals import WALL, Told, fact, settle
from .owners import Disk


@pytest.fixture
def disk(tmp_path: pathlib.Path) -> Disk:
    return Disk(tmp_path / "tree.db")


async def test_a_zombie_appends_nothing_and_everything_in_it_ends(disk: Disk) -> None:
    told = Told()
    before: list[tuple[Any, ...]] = []

    async def lose() -> None:
        async with disk.owner(1) as first:
            await first.commit(settle(1, events=[fact(1)]))
            disk.end_lease()
            async with disk.owner(2) as second:
                await second.commit(settle(2, events=[fact(2)]))
            before.extend(disk.sql("SELECT * FROM meta, owner, states"))
            first.submit(settle(3, events=[fact(3)]), told.of("zombie"))
            first.submit(Commit(events=((WALL, fact(4)),)), told.of("its supervisor"))
            await trio.sleep_forever()

    with pytest.raises(EpochLost, match=r"the lease of this process, process 1 on box \(epoch 1\), ran out"):
        await lose()
    assert told.failed == ["zombie", "its supervisor"]
    assert all(isinstance(error, EpochLost) for _, error in told.news)
    assert disk.sql("SELECT * FROM meta, owner, states") == before
    with JournalFile.open(disk.file) as reading:
        assert [(record.epoch, record.event) for record in reading.records()] == [(1, fact(1)), (2, fact(2))]
        assert reading.verify().sound


async def test_a_zombie_learns_it_also_when_it_has_nothing_to_write(
    disk: Disk, autojump_clock: trio.testing.MockClock
) -> None:

    async def lose() -> None:
        async with disk.owner(1, lease=9.0):
            disk.end_lease()
            async with disk.owner(2):
                pass
            await trio.sleep_forever()

    with pytest.raises(EpochLost):
        await lose()
    assert trio.current_time() == pytest.approx(3.0)


async def test_a_lease_that_ran_out_is_prolonged_while_nobody_took_it(disk: Disk) -> None:
    async with disk.owner(1) as journal:
        disk.end_lease()
        await journal.commit(settle(1))
        assert journal.opened.epoch == 1


async def test_the_lease_is_prolonged_also_while_nothing_happens(
    disk: Disk, autojump_clock: trio.testing.MockClock
) -> None:
    async with disk.owner(1, lease=9.0):
        for _ in range(5):
            disk.end_lease()
            await trio.sleep(3.01)
            assert disk.lease_until > 1, "prolonged before a third of the lease had passed"


async def test_the_lease_is_prolonged_also_while_much_happens(
    disk: Disk, autojump_clock: trio.testing.MockClock
) -> None:
    async with disk.owner(1, lease=9.0) as journal:
        disk.end_lease()
        for number in range(1, 40):
            await journal.commit(settle(number))
            await trio.sleep(0.1)
        assert disk.lease_until > 1


async def test_a_lease_that_could_not_be_prolonged_is_tried_again_soon(
    disk: Disk, autojump_clock: trio.testing.MockClock
) -> None:
    async with disk.owner(1, lease=9.0, patience=0) as journal:
        with closing(sqlite3.connect(disk.file, isolation_level=None)) as writer:
            writer.execute("BEGIN IMMEDIATE")
            writer.execute("UPDATE owner SET lease_until = 1")
            await trio.sleep(4.0)
            with pytest.raises(CommitFailed, match="locked"):
                await journal.commit(settle(1))
            writer.execute("COMMIT")
        await trio.sleep(0.5)
        assert disk.lease_until > 1


async def test_an_error_of_ones_own_is_not_hidden_by_a_lost_epoch(disk: Disk) -> None:

    async def lose() -> None:
        async with disk.owner(1) as first:
            disk.end_lease()
            async with disk.owner(2):
                pass
            first.submit(settle(1), Told().of("x"))
            try:
                await trio.sleep_forever()
            finally:
                raise KeyError("x")

    with pytest.raises(EpochLost) as raised:
        await lose()
    assert isinstance(raised.value.__context__, KeyError)
