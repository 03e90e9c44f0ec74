"""A large message from outside is made ready for the disk in slices: others have turns, and it comes whole or not."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import apsw
import pytest
import trio
import trio.testing
from attrs import frozen

from treewarden.agents import Agent, MailboxSpec, Request, handles
from treewarden.agents.errors import AgentStopped, ConfigurationError
from treewarden.supervisor.core.event import DeadLettered
from treewarden.topologies import child, open_tree, tree
from treewarden.topologies.running import Tree

from ..agents.trees import Disk, events, slot_of
from ..crash.explorer.adapter import Database
from ..crash.explorer.vfs import Disk as Sectors
from ..crash.explorer.vfs import Vfs, mounted
from ..crash.explorer.workload import Processes, journal_on
from ..journals import WALL
from .clerks import short_slices, turns

__all__ = ["short_slices"]

pytestmark = pytest.mark.usefixtures("short_slices")

LINES = tuple((n,) * 7 for n in range(50))
SURELY = 200
"""Turns in which it is ready, and on its way."""


@pytest.fixture
def vfs() -> Iterator[Vfs]:
    with mounted() as vfs:
        vfs.disk = Sectors(wall=lambda: WALL + trio.current_time())
        yield vfs


def full(call: str) -> int:
    return apsw.SQLITE_FULL if call == "write" else 0


@frozen
class Parcel:
    lines: tuple[tuple[int, ...], ...] = ()


@frozen
class Total(Request[int]):
    pass


class Desk(Agent[int]):
    state = 0

    @handles
    def parcel(self, message: Parcel) -> None:
        self.state += sum(map(sum, message.lines))

    @handles
    def total(self, _: Total) -> int:
        return self.state


TOTAL = sum(map(sum, LINES))


@asynccontextmanager
async def opened(journal: Disk | Path) -> AsyncGenerator[Tree]:
    async with open_tree(tree(child(Desk, id="desk", mailbox=MailboxSpec(capacity=2))), journal=journal) as running:
        await running.ref("desk").ask(Total())
        yield running


async def test_others_have_turns_meanwhile() -> None:
    seen = 0

    async def look() -> None:
        nonlocal seen
        while True:
            await trio.lowlevel.checkpoint()
            seen += 1

    async with opened(Disk()) as running, trio.open_nursery() as nursery:
        nursery.start_soon(look)
        await turns(2)
        before = seen
        await running.ref("desk").tell(Parcel(LINES))
        assert seen - before >= len(LINES) // 2
        assert await running.ref("desk").ask(Total()) == TOTAL
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("after", [0, 1, 2, 5, 20, 40, SURELY])
async def test_cancelled_it_was_sent_or_not_and_keeps_no_room(after: int) -> None:
    journal, sent = Disk(), list[bool]()

    async def tell(running: Tree, scope: trio.CancelScope) -> None:
        with scope:
            await running.ref("desk").tell(Parcel(LINES))
            sent.append(True)

    async with opened(journal) as running:
        async with trio.open_nursery() as nursery:
            scope = trio.CancelScope()
            nursery.start_soon(tell, running, scope)
            await turns(after)
            scope.cancel()
        assert running.ref("desk").statistics().reserved == 0
        assert await running.ref("desk").ask(Total()) == TOTAL * len(sent)
        accepted = [row for commit in journal.seen for row in commit.accepted]
        assert len(accepted) == len(sent)
    if after in (1, SURELY):
        assert sent == [True] * (after == SURELY)


async def test_it_is_stored_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "tree.db"
    async with opened(file) as running:
        running.hold("desk")
        await running.ref("desk").tell(Parcel(LINES))
    async with open_tree(tree(child(Desk, id="desk")), journal=file) as running:
        running.resume("desk")
        assert await running.ref("desk").ask(Total()) == TOTAL


async def test_one_that_cannot_be_stored_is_refused_and_keeps_no_room() -> None:
    wrong: Any = (*LINES, ("no number",))
    async with opened(Disk()) as running:
        with pytest.raises(ConfigurationError, match=r"desk: .*Parcel\.lines\[50\]\[0\] cannot be stored"):
            await running.ref("desk").tell(Parcel(wrong))
        assert running.ref("desk").statistics().reserved == 0


async def test_who_ends_meanwhile_leaves_a_dead_letter() -> None:
    journal = Disk()
    async with opened(journal) as running, trio.open_nursery() as nursery:
        nursery.start_soon(running.ref("desk").tell, Parcel(LINES))
        await turns(5)
        slot = slot_of(running, "desk")
        for item in slot.close(AgentStopped("desk: it is over", path=slot.path)):
            raise AssertionError(item)
        await turns(SURELY)
        (letter,) = await events(journal, DeadLettered)
        assert letter.reason == "the slot ended before the message arrived"
        assert slot.reserved == 0


async def test_a_disk_that_takes_nothing_at_first_gets_all_of_it(
    vfs: Vfs, autojump_clock: trio.testing.MockClock
) -> None:
    lines = tuple((10**60,) * 7 for _ in range(200))
    mailbox = MailboxSpec(capacity=2)
    journal = journal_on(Database(vfs=vfs.name), Processes(1))
    shape = tree(child(Desk, id="desk", mailbox=mailbox))
    async with open_tree(shape, journal=journal, wall=lambda: WALL + trio.current_time()) as running:
        assert await running.ref("desk").ask(Total()) == 0
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(running.ref("desk").tell, Parcel(lines), within=600))
            await turns(2)
            vfs.disk.fault = full
            await trio.sleep(60)
            assert running.ref("desk").statistics().reserved == 1
            vfs.disk.fault = None
        assert await running.ref("desk").ask(Total(), within=60) == sum(map(sum, lines))
