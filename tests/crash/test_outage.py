"""A whole tree on a disk that takes nothing for a while: nobody fails, nothing is lost, and it goes on by itself."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import apsw
import pytest
import trio
from attrs import evolve, frozen
from trio.testing import MockClock

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import Checkpointed, MailboxSpec
from treewarden.agents.core.lifecycle import SlotState
from treewarden.agents.core.message import Request
from treewarden.agents.errors import AskTimeout, DurabilityError
from treewarden.supervisor.core.event import (
    ChildEnded,
    DeadLettered,
    Event,
    JournalFailed,
    JournalRecovered,
    MessageReturned,
    Recorded,
)
from treewarden.supervisor.core.spec import RestartPolicy
from treewarden.supervisor.journal.sqlite import SqliteJournal
from treewarden.topologies.child import Child, child
from treewarden.topologies.open import open_tree
from treewarden.topologies.running import Tree
from treewarden.topologies.tree import tree

from ..journals import WALL
from .explorer.adapter import Database
from .explorer.vfs import Disk, Vfs, mounted
from .explorer.workload import Processes, journal_on

SLOW = 2
"""It takes a second to add this."""


@frozen
class Add:
    amount: int


@frozen
class Total(Request[int]): ...


@frozen
class Handled:
    amount: int


@frozen
class Tally:
    total: int = 0


class Counter(Agent[Tally]):
    """Adds up, and writes down what it has handled, also in a list that outlives it."""

    state = Tally()

    def __init__(self, log: list[int]) -> None:
        self.log = log

    @handles
    async def add(self, message: Add) -> None:
        self.log.append(message.amount)
        if message.amount == 13:
            raise ValueError("unlucky")
        await trio.sleep(1.0 if message.amount == SLOW else 0.0)
        self.state = evolve(self.state, total=self.state.total + message.amount)
        self.record(Handled(message.amount))

    @handles
    async def total(self, _: Total) -> int:
        return self.state.total


@pytest.fixture
def vfs() -> Iterator[Vfs]:
    with mounted() as vfs:
        vfs.disk = Disk(wall=lambda: WALL + trio.current_time())
        yield vfs


def full(call: str) -> int:
    return apsw.SQLITE_FULL if call == "write" else 0


@asynccontextmanager
async def on(vfs: Vfs, *children: Child, owner: int = 1) -> AsyncGenerator[tuple[Tree, SqliteJournal]]:
    journal = journal_on(Database(vfs=vfs.name), Processes(owner))
    async with open_tree(tree(*children), journal=journal, wall=lambda: WALL + trio.current_time()) as running:
        yield running, journal


async def events(journal: SqliteJournal) -> list[Event]:
    return [record.event for record in await journal.read(limit=10_000)]


def handled(found: list[Event]) -> list[Any]:
    return [event.facts["amount"] for event in found if isinstance(event, Recorded)]


@pytest.mark.parametrize("restart", RestartPolicy)
async def test_who_works_while_the_disk_is_full_goes_on_when_it_is_not(
    vfs: Vfs, restart: RestartPolicy, autojump_clock: MockClock
) -> None:
    log: list[int] = []
    async with on(vfs, child(Counter, args={"log": log}, restart=restart)) as (running, journal):
        counter = running.ref("counter")
        await counter.tell(Add(1))
        assert await counter.ask(Total()) == 1
        for amount in (SLOW, 4):
            await counter.tell(Add(amount))
        await trio.sleep(0.5)
        vfs.disk.fault = full  # while the first is in hand
        await trio.sleep(60)
        assert log in ([1, SLOW], [1, SLOW, 4]), "nothing is handled in vain again and again"
        with pytest.raises(AskTimeout):
            await counter.ask(Total())
        ran = list(log)
        vfs.disk.fault = None
        assert await counter.ask(Total(), within=60) == 7
        assert log == [*ran, SLOW, 4]
        found = await events(journal)
        assert handled(found) == [1, 2, 4]
        assert not [event for event in found if isinstance(event, (DeadLettered, MessageReturned))]


async def test_a_tell_waits_for_the_disk(vfs: Vfs, autojump_clock: MockClock) -> None:
    log: list[int] = []
    async with on(vfs, child(Counter, args={"log": log})) as (running, journal), trio.open_nursery() as nursery:
        counter = running.ref("counter")
        assert await counter.ask(Total()) == 0
        vfs.disk.fault = full
        for amount in (1, 2, 4):
            nursery.start_soon(counter.tell, Add(amount))
        await trio.sleep(10)
        assert log == []
        begun = trio.current_time()
        with pytest.raises(
            DurabilityError,
            match=r"cannot commit since 15 s, so the message was not sent: /tree.db: .*SQLITE_FULL; see",
        ) as caught:
            await counter.tell(Add(100), within=5)
        assert caught.value.retry_safe
        assert trio.current_time() - begun == pytest.approx(5)
        with trio.move_on_after(1) as limit:
            await counter.tell(Add(1000))
        assert limit.cancelled_caught
        with pytest.raises(AskTimeout):
            await counter.ask(Total(), within=1)
        vfs.disk.fault = None
        await trio.sleep(3)
        assert sorted(log) == [1, 2, 4]
        assert await counter.ask(Total()) == 7
        assert counter.statistics().reserved == 0
        assert sorted(handled(await events(journal))) == [1, 2, 4]


async def test_what_is_decided_meanwhile_is_appended_late_and_marked(vfs: Vfs, autojump_clock: MockClock) -> None:
    """The disk fills up while a handler runs that raises: its restart is decided and done all the same."""
    log: list[int] = []
    async with on(vfs, child(Counter, args={"log": log})) as (running, journal):
        counter = running.ref("counter")
        await counter.tell(Add(1))
        await counter.ask(Total())
        begin = journal.head
        await counter.tell(Add(13))
        vfs.disk.fault = full
        await trio.sleep(5)
        assert log == [1, 13]
        assert [each.state for each in running.snapshot() if each.path == counter.path] == [SlotState.UP]
        assert journal.head == begin
        vfs.disk.fault = None
        await trio.sleep(20)
        assert log == [1, 13, 13], "the count of its deliveries was not forgotten"
        records = [record for record in await journal.read(limit=1000) if record.seq > begin]
        kinds = [type(record.event).__name__ for record in records]
        first, last = kinds.index("JournalFailed"), kinds.index("JournalRecovered")
        failed, recovered = records[first].event, records[last].event
        assert isinstance(failed, JournalFailed)
        assert isinstance(recovered, JournalRecovered)
        assert recovered.late_events == last - first
        assert {"ChildEnded", "Decided", "MessageReturned", "ChildStarted"} <= set(kinds[first:last])
        assert all(record.at < records[last].at - 3 for record in records[first:last])
        assert 4 < recovered.after < 6
        assert recovered.lost_events == 0
        (dead,) = await running.dead_letters()
        assert "failed 2 times" in dead.reason
    async with on(vfs, child(Counter, args={"log": log}), owner=2) as (running, _):
        assert await running.ref("counter").ask(Total()) == 1


async def test_a_checkpoint_that_cannot_be_written_is_tried_again(vfs: Vfs, autojump_clock: MockClock) -> None:
    log: list[int] = []
    cache = child(Counter, args={"log": log}, mailbox=MailboxSpec(durability=Checkpointed(messages=2)))
    async with on(vfs, cache) as (running, journal):
        counter = running.ref("counter")
        assert await counter.ask(Total()) == 0
        vfs.disk.fault = full
        for amount in (1, 2, 4, 8):
            await counter.tell(Add(amount))
        assert await counter.ask(Total()) == 15, "it works on in memory"
        await trio.sleep(10)
        vfs.disk.fault = None
        await trio.sleep(3)
        assert log == [1, 2, 4, 8]
        found = await events(journal)
        assert not [event for event in found if isinstance(event, ChildEnded)]
        assert handled(found) == [1, 2, 4, 8]
        held = await journal.recover(counter.path)
        assert held.state is not None
        assert held.state.body == '{"total":15}'
