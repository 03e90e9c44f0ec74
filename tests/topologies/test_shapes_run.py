"""Pools and pipelines in a tree that runs: who gets which message, and what a failure takes along."""

from __future__ import annotations

import pytest
import trio
import trio.testing
from attrs import frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import VOLATILE, MailboxSpec
from treewarden.agents.core.message import Request
from treewarden.agents.errors import AgentStopped, MailboxFull, NoSuchSlot
from treewarden.supervisor.core.spec import Intensity
from treewarden.topologies.child import child
from treewarden.topologies.open import open_tree
from treewarden.topologies.pipeline import pipeline
from treewarden.topologies.pool import pool
from treewarden.topologies.running import Tree
from treewarden.topologies.tree import tree

SMALL = MailboxSpec(capacity=2, durability=VOLATILE)


@frozen
class Item:
    n: int
    key: str = ""


@frozen
class Got(Request[tuple[int, ...]]):
    """Ask for what has arrived."""


class Keeper(Agent[tuple[int, ...]]):
    """Keeps the numbers that it is told; 13 is its death."""

    state = ()

    @handles
    async def item(self, message: Item) -> None:
        if message.n == 13:
            raise RuntimeError("thirteen")
        self.state = (*self.state, message.n)

    @handles
    def got(self, message: Got) -> tuple[int, ...]:
        return self.state


class Doubler(Agent[None]):
    """A stage: what its handler returns goes on."""

    @handles
    async def item(self, message: Item) -> Item:
        return Item(message.n * 2)


class Slow(Agent[int]):
    """A stage that holds things up until it is let go."""

    state = 0
    gate: trio.Event

    @handles
    async def item(self, message: Item) -> None:
        await Slow.gate.wait()
        self.state += 1


async def workers(running: Tree, count: int) -> list[tuple[int, ...]]:
    return [await running.ref(f"keeper/{n}").ask(Got()) for n in range(count)]


async def test_round_robin_gives_each_worker_the_same(autojump_clock: trio.testing.MockClock) -> None:
    async with open_tree(tree(pool(Keeper, size=3, route="round_robin"))) as running:
        for n in range(6):
            await running.ref("keeper").tell(Item(n))
        assert await workers(running, 3) == [(0, 3), (1, 4), (2, 5)]


async def test_a_key_stays_with_its_worker(autojump_clock: trio.testing.MockClock) -> None:
    async with open_tree(tree(pool(Keeper, size=4, route="by_key", key="key"))) as running:
        for n in range(40):
            await running.ref("keeper").tell(Item(n, key=f"k{n % 5}"))
        found = await workers(running, 4)
        for key in range(5):
            assert sum(any(n % 5 == key for n in got) for got in found) == 1


async def test_broadcast_reaches_everybody(autojump_clock: trio.testing.MockClock) -> None:
    async with open_tree(tree(pool(Keeper, size=3, route="broadcast"))) as running:
        await running.ref("keeper").tell(Item(7))
        assert await workers(running, 3) == [(7,), (7,), (7,)]


async def test_the_least_loaded_gets_the_next(autojump_clock: trio.testing.MockClock) -> None:
    Slow.gate = trio.Event()
    async with open_tree(tree(pool(Slow, size=2, route="least_loaded"))) as running:
        for n in range(6):
            await running.ref("slow").tell(Item(n))
        depths = [running.ref(f"slow/{n}").statistics().depth for n in range(2)]
        assert abs(depths[0] - depths[1]) <= 1
        Slow.gate.set()


async def test_a_worker_that_dies_leaves_the_others_alone(autojump_clock: trio.testing.MockClock) -> None:
    spec = tree(pool(Keeper, size=2, route="round_robin"), restarts=Intensity(10, within=60))
    async with open_tree(spec) as running:
        await running.ref("keeper").tell(Item(13))
        await running.ref("keeper").tell(Item(1))
        await trio.sleep(60)
        lives = {str(slot.path): slot.incarnation for slot in running.snapshot()}
        assert lives["keeper/0"] == 3, "thirteen ends it twice and is then set aside"
        assert lives["keeper/1"] == 1
        assert await running.ref("keeper/1").ask(Got()) == (1,)


async def test_a_pipeline_passes_results_on_in_order(autojump_clock: trio.testing.MockClock) -> None:
    stages = (child(Doubler, id="first"), child(Doubler, id="second"), Keeper)
    async with open_tree(tree(pipeline(*stages, id="line"))) as running:
        for n in range(5):
            await running.ref("line/first").tell(Item(n))
        await trio.sleep(1)
        assert await running.ref("line/keeper").ask(Got()) == (0, 4, 8, 12, 16)


async def test_whoever_tells_a_supervisor_is_told_whom_to_tell(autojump_clock: trio.testing.MockClock) -> None:
    shape = tree(
        pipeline(Doubler, pool(Doubler, size=2, id="more"), Keeper, id="line"), pool(Keeper, size=8, id="many")
    )
    async with open_tree(shape) as running:
        for path in ("line", "/"):
            with pytest.raises(NoSuchSlot, match="is a supervisor, which takes no messages; tell one"):
                running.ref(path)
        with pytest.raises(NoSuchSlot, match=r": line/doubler, line/keeper, line/more, line/more/0, line/more/1$"):
            running.ref("line")
        with pytest.raises(NoSuchSlot, match=r": many, (.*, ){7}…$"):
            running.ref("/")


async def test_a_slow_stage_holds_up_the_source(autojump_clock: trio.testing.MockClock) -> None:
    Slow.gate = trio.Event()
    line = pipeline(child(Doubler, id="first", mailbox=SMALL), child(Slow, mailbox=SMALL), id="line")
    async with open_tree(tree(line)) as running:
        source = running.ref("line/first")
        with trio.move_on_after(1) as limit:
            for n in range(100):
                await source.tell(Item(n), within=10)
        assert limit.cancelled_caught, "one in each hand, two in each mailbox, and the sender waits"
        with pytest.raises(MailboxFull):
            source.tell_nowait(Item(0))
        Slow.gate.set()
        await trio.sleep(1)
        assert running.ref("line/first").statistics().depth == 0


async def test_a_pool_whose_workers_have_all_ended_says_so(autojump_clock: trio.testing.MockClock) -> None:
    async with open_tree(tree(pool(Keeper, size=2, id="pool"))) as running:
        await running.supervisor("pool").terminate_child("0")
        await running.ref("pool").tell(Item(1))
        await running.supervisor("pool").terminate_child("1")
        with pytest.raises(
            AgentStopped, match="pool: each worker of the pool has ended, the last one so: pool/1: it was"
        ):
            await running.ref("pool").tell(Item(2))
        await running.supervisor("pool").restart_child("0")
        await running.ref("pool").tell(Item(3))
        assert await running.ref("pool").ask(Got()) == (3,)
