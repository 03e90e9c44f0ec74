"""The wall clock jumps by an hour, both ways: it may cost an owner its lease, and never gives a file two writers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import trio
import trio.testing

from treewarden.agents.errors import EpochLost, JournalOwned
from treewarden.supervisor.journal.holder import Fate

from ..journals import WALL, fact, settle
from .explorer.adapter import Database
from .explorer.checks import Found, look
from .explorer.vfs import Disk, Vfs, mounted
from .explorer.workload import LEASE, Processes, journal_on

HOUR = 3600.0


@pytest.fixture
def vfs() -> Iterator[Vfs]:
    with mounted() as vfs:
        yield vfs


def jump(vfs: Vfs, seconds: float) -> None:
    vfs.disk.wall = lambda: WALL + trio.current_time() + seconds


async def owned_by_another(database: Database, number: int) -> int:
    """Take the file as a process on another machine would, and write something. Raises `JournalOwned`."""
    async with journal_on(database, Processes(number, Fate.UNKNOWN)) as journal:
        await journal.commit(settle(99, events=[fact(99)]))
        return journal.opened.epoch


@pytest.mark.parametrize("seconds", [HOUR, -HOUR])
async def test_an_owner_that_nobody_replaces_works_on(
    vfs: Vfs, seconds: float, autojump_clock: trio.testing.MockClock
) -> None:
    vfs.disk = Disk()
    jump(vfs, 0)
    database = Database(vfs=vfs.name)
    async with journal_on(database, Processes(1)) as journal:
        await journal.commit(settle(1, events=[fact(1)]))
        jump(vfs, seconds)
        await journal.commit(settle(2, events=[fact(2)]))
        await trio.sleep(LEASE)  # it has renewed its lease meanwhile, by the clock as it is now
        with pytest.raises(JournalOwned):
            await owned_by_another(database, 2)
        await trio.sleep(LEASE)
        await journal.commit(settle(3, events=[fact(3)]))
    jump(vfs, 0)
    assert await owned_by_another(database, 3) == 2, "it was given back, whatever the clock says"


async def test_a_jump_ahead_may_cost_the_owner_its_lease_and_nothing_else(
    vfs: Vfs, autojump_clock: trio.testing.MockClock
) -> None:
    vfs.disk = Disk()
    jump(vfs, 0)
    database = Database(vfs=vfs.name)

    async def owner() -> None:
        async with journal_on(database, Processes(1)) as journal:
            await journal.commit(settle(1, events=[fact(1)]))
            jump(vfs, HOUR)
            assert await owned_by_another(database, 2) == 2
            await journal.commit(settle(2, events=[fact(2)]))

    with pytest.raises(EpochLost, match="Nothing was written"):
        await owner()
    with mounted("other") as other:
        found = look(other, vfs.disk.files)
    assert isinstance(found, Found)
    assert [row[6] for row in found.tables["events"]] == [1, 2], "one event of each, and of the first nothing after"


async def test_a_jump_back_makes_others_wait_and_lets_nobody_in(
    vfs: Vfs, autojump_clock: trio.testing.MockClock
) -> None:
    vfs.disk = Disk()
    jump(vfs, 0)
    database = Database(vfs=vfs.name)
    async with journal_on(database, Processes(1)) as journal:
        jump(vfs, -HOUR)
        for number in range(2, 5):
            with pytest.raises(JournalOwned):
                await owned_by_another(database, number)
            await trio.sleep(LEASE / 2)
        await journal.commit(settle(1, events=[fact(1)]))
