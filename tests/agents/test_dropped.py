"""What a full mailbox on disk drops: whoever told it hears no earlier of it than there is a trace of it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import MailboxSpec, Overflow
from treewarden.agents.errors import CommitFailed, DurabilityError
from treewarden.supervisor.core.event import DeadLettered
from treewarden.supervisor.journal.port import Commit
from treewarden.topologies.child import child
from treewarden.topologies.running import Tree
from treewarden.topologies.topic import subscriber, topic

from .trees import Add, Bad, Counter, Disk, events, opened, slot_of

SPEC = MailboxSpec(capacity=1, overflow=Overflow.DROP_NEWEST)
TO = pytest.mark.parametrize("to", ["all/counter", "all"], ids=["agent", "topic"])


def full(commit: Commit) -> bool:
    error = CommitFailed("the disk is full")
    error.refuses_all = True
    raise error


@asynccontextmanager
async def held(disk: Disk) -> AsyncGenerator[Tree]:
    """With a mailbox that is full, and that nothing is taken out of."""
    counter = subscriber(child(Counter, mailbox=SPEC), overflow=Overflow.DROP_NEWEST)
    async with opened(topic(counter, id="all"), journal=disk) as running:
        slot_of(running, "all/counter").pause("held")
        await running.ref("all/counter").tell(Add(1))
        yield running


@TO
async def test_a_tell_returns_when_its_dead_letter_is_on_disk(to: str, autojump_clock: MockClock) -> None:
    disk = Disk()
    async with held(disk) as running, trio.open_nursery() as nursery:
        disk.slow = True
        nursery.start_soon(running.ref(to).tell, Add(2))
        await wait_all_tasks_blocked()
        assert nursery.child_tasks
        disk.slow = False
        disk.go()
        await wait_all_tasks_blocked()
        assert not nursery.child_tasks
        (dead,) = await disk.dead_letters()
        assert (dead.path, dead.body) == ("all/counter", '{"amount":2}')


@TO
async def test_it_waits_for_a_full_disk(to: str, autojump_clock: MockClock) -> None:
    disk = Disk()
    async with held(disk) as running, trio.open_nursery() as nursery:
        disk.broken = full
        nursery.start_soon(running.ref(to).tell, Add(2))
        await trio.sleep(5)
        assert nursery.child_tasks
        with pytest.raises(DurabilityError, match="all/counter: the journal cannot commit since"):
            await running.ref(to).tell(Add(3), within=3)
        with trio.move_on_after(1) as limit:
            await running.ref(to).tell(Add(4))
        assert limit.cancelled_caught
        disk.broken = lambda _commit: False
        await trio.sleep(1)
        assert not nursery.child_tasks
        letters = await disk.dead_letters()
        assert [dead.body for dead in letters] == [f'{{"amount":{n}}}' for n in (4, 3, 2)]
        assert len({dead.id for dead in letters} - {""}) == 3, "by which each of them can be put back"


@TO
async def test_a_disk_that_works_again_before_it_is_looked_at_is_no_answer(to: str, autojump_clock: MockClock) -> None:
    """The dead letter fails, what was sent behind it does not: it is on disk when the journal was given it again."""
    disk, refused = Disk(), list[Commit]()

    def first_dead_letter(commit: Commit) -> bool:
        return bool(commit.dead and not refused and not refused.append(commit) and full(commit))

    async with held(disk) as running, trio.open_nursery() as nursery:
        disk.broken, disk.slow = first_dead_letter, True
        nursery.start_soon(partial(running.ref(to).tell, Add(2), within=1))
        await wait_all_tasks_blocked()
        disk.go()
        await wait_all_tasks_blocked()
        assert refused
        assert nursery.child_tasks
        while nursery.child_tasks:
            disk.go()
            await wait_all_tasks_blocked()
        disk.slow = False
        (dead,) = await disk.dead_letters()
        assert dead.body == '{"amount":2}'


class Teller(Agent[None]):
    """Tells what it is told to tell, and fails over it: each time, or the first time only."""

    failed = 0

    def __init__(self, to: str) -> None:
        self.to = to

    @handles
    async def add(self, message: Add) -> None:
        await self.ref(self.to).tell(message)
        if Teller.failed < 1:
            Teller.failed += 1
            raise ValueError("once")

    @handles
    async def bad(self, message: Bad) -> None:
        await self.ref(self.to).tell(Add(9))
        raise ValueError(message.text)


@TO
async def test_what_a_handler_told_and_never_left_is_not_given_up(to: str, autojump_clock: MockClock) -> None:
    """To put such a dead letter back would have had it handled though nobody had told it, or twice."""
    Teller.failed = 0
    disk, counter = Disk(), subscriber(child(Counter, mailbox=SPEC), overflow=Overflow.DROP_NEWEST)
    blueprint = topic(counter, id="all"), child(Teller, args={"to": to})
    async with opened(*blueprint, journal=disk) as running:
        slot_of(running, "all/counter").pause("held")
        await running.ref("all/counter").tell(Add(1))
        await running.ref("teller").tell(Bad())
        await running.ref("teller").tell(Add(2))
        await running.drain("teller")
        ours = [dead for dead in await disk.dead_letters() if dead.path == "all/counter"]
        assert [dead.body for dead in ours] == ['{"amount":2}']
        assert [each.message for each in await events(disk, DeadLettered) if each.path == "all/counter"] == [ours[0].id]
