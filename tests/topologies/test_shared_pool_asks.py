"""A worker that asks its own pool: answered while somebody is free, refused when nobody can ever be."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from attrs import frozen
from trio.testing import MockClock, wait_all_tasks_blocked

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import MESSAGE, VOLATILE, Durability, MailboxSpec
from treewarden.agents.core.message import Request
from treewarden.agents.errors import AskCycle
from treewarden.topologies.child import child
from treewarden.topologies.core.blueprint import Blueprint
from treewarden.topologies.open import open_tree
from treewarden.topologies.pool import pool
from treewarden.topologies.tree import tree


@frozen
class Visit(Request[str]):
    """Go on along this route, after so many seconds."""

    route: tuple[str, ...] = ()
    after: float = 0.0


class Walker(Agent[None]):
    @handles
    async def visit(self, message: Visit) -> str:
        await trio.sleep(message.after)
        if not message.route:
            return "there"
        try:
            return await self.ref(message.route[0]).ask(Visit(message.route[1:]), within=60)
        except AskCycle as cycle:
            return str(cycle)


def shape(size: int, durability: Durability) -> Blueprint:
    mailbox = MailboxSpec(durability=durability)
    walkers = pool(child(Walker, id="walker", mailbox=mailbox), size=size, route="shared", id="pool")
    return tree(walkers, child(Walker, id="beside", mailbox=mailbox))


@pytest.fixture(params=[MESSAGE, VOLATILE], ids=["durable", "volatile"])
def durability(request: pytest.FixtureRequest) -> Durability:
    return request.param


@pytest.mark.parametrize("route", [("/pool",), ("/beside", "/pool")])
async def test_the_only_worker_asks_its_own_pool(
    route: tuple[str, ...], durability: Any, autojump_clock: MockClock
) -> None:
    async with open_tree(shape(1, durability)) as running:
        said = await running.ref("pool").ask(Visit(route))
        assert "asking would wait for itself: " in said
        assert "asks pool, and each of its 1 workers waits for a reply that only they could give; tell" in said
        assert trio.current_time() == 0
        assert await running.ref("pool").ask(Visit()) == "there"


async def test_while_another_is_free_or_will_be_it_is_answered(durability: Any, autojump_clock: MockClock) -> None:
    async with open_tree(shape(2, durability)) as running, trio.open_nursery() as nursery:
        assert await running.ref("pool").ask(Visit(("/pool",))) == "there"
        nursery.start_soon(running.ref("pool").ask, Visit(after=3))
        await wait_all_tasks_blocked()
        assert await running.ref("pool").ask(Visit(("/pool",))) == "there"
        assert trio.current_time() == 3


async def test_the_last_one_of_all_that_ask_is_refused_and_the_others_get_their_replies(
    durability: Any, autojump_clock: MockClock
) -> None:
    said: list[str] = []

    async with open_tree(shape(3, durability)) as running:

        async def ask(after: float) -> None:
            said.append(await running.ref("pool").ask(Visit(("/pool",), after), within=60))

        async with trio.open_nursery() as nursery:
            for after in (1, 2, 3):
                nursery.start_soon(ask, after)
        assert trio.current_time() == 3
    assert said[1:] == ["there", "there"]
    assert "each of its 3 workers waits" in said[0]


async def test_two_pools_that_wait_for_each_other_are_a_cycle_though_one_worker_is_free(
    durability: Any, autojump_clock: MockClock
) -> None:
    """It could answer anything but what the other one of its pool has in hand."""
    mailbox = MailboxSpec(durability=durability)
    walker = child(Walker, id="walker", mailbox=mailbox)
    pools = [pool(walker, size=2, route="shared", id="left"), pool(walker, size=1, route="shared", id="right")]
    async with open_tree(tree(*pools)) as running:
        said = await running.ref("right").ask(Visit(("/left", "/right")), within=1000)
        assert trio.current_time() == 0
        assert "left/0 asks right, and each of its 1 workers waits" in said


async def test_an_agent_is_stuck_with_the_pool_that_it_asks(durability: Any, autojump_clock: MockClock) -> None:
    said: list[str] = []

    async with open_tree(shape(2, durability)) as running:

        async def ask(place: str, route: tuple[str, ...], after: float) -> None:
            said.append(await running.ref(place).ask(Visit(route, after), within=1000))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, "pool", ("/beside",), 3)
            nursery.start_soon(ask, "pool", ("/beside",), 4)
            await wait_all_tasks_blocked()
            nursery.start_soon(ask, "beside", ("/pool",), 1)
        assert trio.current_time() == 4
    (refused,) = [text for text in said if "asking" in text]
    assert "asks beside, which waits for pool, and each of its 2 workers waits" in refused
