"""The intake of an agent that is slower than those who send to it."""

from __future__ import annotations

import math
from pathlib import Path

import trio
import trio.testing
from attrs import frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import VOLATILE, MailboxSpec
from treewarden.agents.core.limiter import IntakeLimit
from treewarden.agents.errors import RateLimited
from treewarden.supervisor.core.action import Throttle
from treewarden.supervisor.core.event import IntakeChanged
from treewarden.supervisor.core.spec import ChildSpec
from treewarden.topologies.child import child
from treewarden.topologies.open import open_tree
from treewarden.topologies.running import Tree
from treewarden.topologies.tree import tree

from ..journals import on_disk
from .test_performing import of_kind, so_far
from .test_remedies_tree import Does

CLOCK = trio.testing.MockClock
LIMIT = IntakeLimit(oldest=4.0, least=4)


@frozen
class Work:
    seconds: float = 0.25


class Desk(Agent[None]):
    state = None

    @handles
    async def work(self, message: Work) -> None:
        if math.isinf(message.seconds):
            raise RateLimited(5.0)
        await trio.sleep(message.seconds)


def desk(intake: IntakeLimit | None = LIMIT) -> ChildSpec:
    return child(Desk, id="desk", mailbox=MailboxSpec(capacity=64, durability=VOLATILE), intake=intake)


async def send(running: Tree, seconds: float = 0.25) -> None:
    while True:
        await running.ref("desk").tell(Work(seconds), within=math.inf)


async def test_under_constant_load_it_comes_to_rest_where_nobody_waits_too_long(autojump_clock: CLOCK) -> None:
    async with open_tree(tree(desk())) as running, trio.open_nursery() as nursery:
        for _ in range(100):
            nursery.start_soon(send, running)
        await trio.sleep(60)
        seen = set[int]()
        for _ in range(120):
            await trio.sleep(1)
            seen.add(running.ref("desk").statistics().capacity)
        assert len(seen) == 1, "it swings"
        (capacity,) = seen
        assert capacity * 0.25 < 4.0 <= 2 * capacity * 0.25 + 0.5
        told = of_kind(await so_far(running), IntakeChanged)
        assert [fact.of for fact in told] == [64] * len(told)
        assert told[0].why == "messages wait too long"
        assert [fact.admits for fact in told][:2] == [32, 16]
        nursery.cancel_scope.cancel()


async def test_it_opens_again_step_by_step_when_the_load_is_gone(autojump_clock: CLOCK) -> None:
    async with open_tree(tree(desk())) as running:
        with trio.move_on_after(30):
            async with trio.open_nursery() as nursery:
                for _ in range(100):
                    nursery.start_soon(send, running)
        low = running.ref("desk").statistics().capacity
        assert low < 32
        await trio.sleep(20)
        assert low < running.ref("desk").statistics().capacity < 64
        await trio.sleep(120)
        assert running.ref("desk").statistics().capacity == 64
        last = of_kind(await so_far(running), IntakeChanged)[-1]
        assert (last.admits, last.of, last.why) == (64, 64, "none waits too long any more")


async def test_a_throttle_closes_it_by_half_and_work_goes_on(autojump_clock: CLOCK) -> None:
    async with open_tree(tree(desk(), policy=Does(Throttle(30.0)))) as running:
        running.signal("desk", {"kind": "slow", "severity": 0.9})
        await trio.sleep(0.5)
        assert running.ref("desk").statistics().capacity == 32
        assert running.ref("desk").statistics().paused == ()
        await trio.sleep(29)
        assert running.ref("desk").statistics().capacity == 32, "it is held for the seconds of the throttle"
        await trio.sleep(5)
        assert 32 < running.ref("desk").statistics().capacity < 40


async def test_after_a_429_nobody_calls_and_fewer_are_admitted(autojump_clock: CLOCK) -> None:
    async with open_tree(tree(desk())) as running:
        await running.ref("desk").tell(Work(math.inf))
        await trio.sleep(1)
        statistics = running.ref("desk").statistics()
        assert (statistics.capacity, statistics.paused) == (32, ("throttled",))


async def test_a_new_life_keeps_what_the_last_one_learnt(autojump_clock: CLOCK) -> None:
    async with open_tree(tree(desk())) as running, trio.open_nursery() as nursery:
        for _ in range(100):
            nursery.start_soon(send, running)
        await trio.sleep(60)
        before = running.ref("desk").statistics().capacity
        running.kill("desk")
        await trio.sleep(1)
        assert running.ref("desk").statistics().capacity == before < 32
        nursery.cancel_scope.cancel()


async def test_a_process_that_finds_a_backlog_begins_slowly(autojump_clock: CLOCK, tmp_path: Path) -> None:
    spec = tree(child(Desk, id="desk", intake=LIMIT))
    async with open_tree(spec, journal=on_disk(tmp_path / "tree.db")) as running:
        await trio.sleep(1)
        assert running.ref("desk").statistics().capacity == 64
        for _ in range(40):
            await running.ref("desk").tell(Work(3.0))
    async with open_tree(spec, journal=on_disk(tmp_path / "tree.db")) as running:
        await trio.sleep(2.5)
        assert running.ref("desk").statistics().depth > 32
        assert running.ref("desk").statistics().capacity == 32


async def test_without_a_limit_it_admits_what_it_holds(autojump_clock: CLOCK) -> None:
    async with open_tree(tree(desk(None))) as running, trio.open_nursery() as nursery:
        for _ in range(100):
            nursery.start_soon(send, running)
        await trio.sleep(60)
        assert running.ref("desk").statistics().capacity == 64
        nursery.cancel_scope.cancel()
