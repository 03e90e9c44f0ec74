"""What becomes of a publication that waits: for subscribers that end meanwhile, and for a disk that takes nothing."""

from __future__ import annotations

import math

import pytest
import trio
import trio.testing

from treewarden.agents.core.durability import MailboxSpec, Overflow
from treewarden.agents.errors import AgentStopped, DeliveryError, DurabilityError
from treewarden.supervisor.core.event import ChildEnded
from treewarden.topologies.child import child
from treewarden.topologies.core.blueprint import Blueprint
from treewarden.topologies.open import open_tree
from treewarden.topologies.running import Tree
from treewarden.topologies.topic import subscriber, topic
from treewarden.topologies.tree import tree

from ..journals import FullDisk
from .readers import CLOCK, SMALL, Market, Price, Publish, Reader, Slow, got


@pytest.fixture(autouse=True)
def _gate() -> None:
    Slow.gate = trio.Event()


def waited_for(*others: type[Reader]) -> Blueprint:
    """A topic, one of whose subscribers is waited for and takes nothing: three have been told, so it is full."""
    return tree(topic(subscriber(child(Slow, mailbox=SMALL), overflow=Overflow.WAIT), *others, id="prices"))


async def fill(running: Tree) -> None:
    for n in range(3):
        await running.ref("prices").tell(Price(n))
        await trio.testing.wait_all_tasks_blocked()


async def test_who_is_drained_while_it_is_full_is_left_out(autojump_clock: CLOCK) -> None:
    async with open_tree(waited_for(Reader)) as running, trio.open_nursery() as nursery:
        await fill(running)
        nursery.start_soon(running.drain, "prices/slow")
        await trio.testing.wait_all_tasks_blocked()
        begun = trio.current_time()
        await running.ref("prices").tell(Price(3))
        assert trio.current_time() == begun
        assert await got(running, "prices/reader") == (0, 1, 2, 3)
        Slow.gate.set()


async def test_who_ends_while_it_is_waited_for_is_left_out(autojump_clock: CLOCK) -> None:
    async with open_tree(waited_for(Reader)) as running, trio.open_nursery() as nursery:
        await fill(running)
        nursery.start_soon(running.ref("prices").tell, Price(3))
        await trio.testing.wait_all_tasks_blocked()
        await running.supervisor("prices").terminate_child("slow")
        await trio.testing.wait_all_tasks_blocked()
        assert not nursery.child_tasks
        assert await got(running, "prices/reader") == (0, 1, 2, 3)


async def test_who_publishes_while_the_tree_ends_is_told_so(autojump_clock: CLOCK) -> None:
    caught: list[BaseException] = []

    async def publish(running: Tree) -> None:
        try:
            await running.ref("prices").tell(Price(3))
        except AgentStopped as error:
            caught.append(error)

    async with trio.open_nursery() as nursery, open_tree(waited_for()) as running:
        await fill(running)
        nursery.start_soon(publish, running)
        await trio.testing.wait_all_tasks_blocked()
        running.force()
    assert len(caught) == 1


async def test_a_publication_waits_for_a_full_disk_as_a_tell_does(autojump_clock: CLOCK) -> None:
    disk = FullDisk()
    prices = topic(child(Reader, id="a"), child(Reader, id="b"), child(Reader, id="memory", mailbox=SMALL), id="prices")
    async with open_tree(tree(prices), journal=disk) as running, trio.open_nursery() as nursery:
        disk.full = True
        for n in (1, 2):
            nursery.start_soon(running.ref("prices").tell, Price(n))
            await trio.testing.wait_all_tasks_blocked()
        await trio.sleep(5)
        assert len(nursery.child_tasks) == 2
        assert await got(running, "prices/memory") == (1, 2)
        disk.full = False
        await trio.sleep(1)
        assert not nursery.child_tasks
        assert await got(running, "prices/a") == await got(running, "prices/b")
        assert sorted(await got(running, "prices/a")) == [1, 2]
        assert running.ref("prices").statistics().reserved == 0


async def test_who_has_room_in_memory_again_does_not_wait_for_the_disk(autojump_clock: CLOCK) -> None:
    disk = FullDisk()
    async with open_tree(waited_for(Reader), journal=disk) as running, trio.open_nursery() as nursery:
        await fill(running)
        disk.full = True
        nursery.start_soon(running.ref("prices").tell, Price(3))
        await trio.testing.wait_all_tasks_blocked()
        Slow.gate.set()
        await trio.sleep(5)
        assert await got(running, "prices/slow") == (0, 1, 2, 3)
        assert nursery.child_tasks
        disk.full = False
        await trio.sleep(1)
        assert not nursery.child_tasks
        assert await got(running, "prices/reader") == (0, 1, 2, 3)


async def test_a_disk_that_stays_full_is_told_of_and_the_room_is_free(autojump_clock: CLOCK) -> None:
    disk = FullDisk()
    async with open_tree(
        tree(topic(Reader, child(Reader, id="memory", mailbox=SMALL), id="prices")), journal=disk
    ) as running:
        disk.full = True
        with pytest.raises(DeliveryError, match=r"1 of 2 subscribers got it, and .* prices/reader: the journal cannot"):
            await running.ref("prices").tell(Price(1), within=3)
        assert running.ref("prices").statistics().reserved == 0
        disk.full = False
        await running.ref("prices").tell(Price(2))
        assert await got(running, "prices/reader") == (2,)
        assert await got(running, "prices/memory") == (1, 2)
    async with open_tree(tree(topic(Reader, id="prices")), journal=(disk := FullDisk())) as running:
        disk.full = True
        with pytest.raises(DurabilityError, match="prices/reader: the journal cannot commit since"):
            await running.ref("prices").tell(Price(1), within=3)
        with trio.move_on_after(1):
            await running.ref("prices").tell(Price(2))
        assert running.ref("prices").statistics().reserved == 0
        disk.full = False


@pytest.mark.parametrize("to", ["prices/reader", "prices"])
async def test_who_waits_for_a_full_disk_is_told_that_the_tree_has_ended(autojump_clock: CLOCK, to: str) -> None:
    caught: list[AgentStopped] = []

    async def send(running: Tree, n: int) -> None:
        try:
            await running.ref(to).tell(Price(n), within=math.inf)
        except AgentStopped as error:
            caught.append(error)

    disk = FullDisk()
    full = subscriber(child(Reader, mailbox=MailboxSpec(capacity=1, overflow=Overflow.DROP_NEWEST)))
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery, open_tree(tree(topic(full, id="prices")), journal=disk) as running:
            disk.full = True
            for n in (1, 2):  # one has room, the other one is dropped
                nursery.start_soon(send, running, n)
                await trio.testing.wait_all_tasks_blocked()
            await trio.sleep(1)
            assert not caught
            running.force()
    assert len(caught) == 2
    assert all("the tree has ended" in str(error) and error.retry_safe for error in caught)


async def test_an_agent_in_memory_that_publishes_does_not_fail_of_a_full_disk(autojump_clock: CLOCK) -> None:
    disk = FullDisk()
    market = child(Market, args={"at": "../prices"}, mailbox=SMALL)
    async with open_tree(tree(topic(Reader, id="prices"), market), journal=disk) as running:
        disk.full = True
        await running.ref("market").tell(Publish(1))
        await trio.sleep(5)
        disk.full = False
        await trio.sleep(1)
        assert await got(running, "prices/reader") == (1, 2)
        assert not [record for record in await disk.read(0) if isinstance(record.event, ChildEnded)]
