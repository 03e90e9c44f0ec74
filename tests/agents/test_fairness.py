"""Busy agents leave the loop to others."""

from __future__ import annotations

import time
from itertools import pairwise

import trio
from attrs import frozen
from trio.testing import MockClock

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import VOLATILE
from treewarden.agents.core.message import Request
from treewarden.agents.ports import Clock
from treewarden.topologies.open import open_tree
from treewarden.topologies.tree import tree

from .trees import Total, kept, opened, slot_of, volatile


@frozen
class Again:
    pass


@frozen
class Ping(Request[int]):
    pass


class Restless(Agent[None]):
    """Always tells itself the next message."""

    def __init__(self) -> None:
        self.count = 0

    async def on_start(self) -> None:
        self.me = self.ref(self.path)
        await self.me.tell(Again())

    @handles
    def again(self, message: Again) -> None:
        self.count += 1
        self.me.tell_nowait(Again())

    @handles
    def total(self, message: Total) -> int:
        return self.count


class Waiting(Restless):
    @handles
    async def again(self, message: Again) -> None:  # type: ignore[override]
        self.count += 1
        await self.me.tell(Again())


class Quiet(Agent[None]):
    @handles
    def ping(self, message: Ping) -> int:
        return 1


async def test_agents_that_never_run_dry_do_not_starve_the_others() -> None:
    """In real time, for the slices are. A tree of such agents ends in order, too."""
    busy = [volatile(each, id=f"{each.__name__.lower()}-{n}") for each in (Restless, Waiting) for n in range(5)]
    async with opened(*busy, volatile(Quiet)) as running:
        quiet = running.ref("quiet")
        begun = time.perf_counter()
        for _ in range(5):
            assert await quiet.ask(Ping(), within=60) == 1
            with trio.move_on_after(0.001):
                await trio.sleep_forever()
        assert time.perf_counter() - begun < 5
        counts = [await running.ref(spec.id).ask(Total(), within=60) for spec in busy]
        assert min(counts) > 0
        begun = time.perf_counter()
    assert time.perf_counter() - begun < 5


class Steps:
    """A clock that goes on by itself, a little with every look at it."""

    def __init__(self, step: float) -> None:
        self.step = step
        self.looks = 0

    def now(self) -> float:
        self.looks += 1
        return trio.current_time() + self.looks * self.step

    def wall(self) -> float:
        return self.now()


async def test_an_agent_yields_when_its_slice_is_over(autojump_clock: MockClock) -> None:
    """However many messages wait: it looks at the clock now and then, and a millisecond later lets others run."""
    turns: list[int] = []
    handled: list[int] = [0]

    class Counted(Agent[None]):
        @handles
        def again(self, message: Again) -> None:
            handled[0] += 1

    async def other() -> None:
        while handled[0] < 960:
            turns.append(handled[0])
            await trio.lowlevel.checkpoint()

    clock: Clock = Steps(0.0006)
    async with open_tree(tree(kept(Counted, VOLATILE, id="counted")), clock=clock) as running:
        slot = slot_of(running, "counted")
        slot.pause("held")
        for _ in range(960):
            slot.restock(Again())
        async with trio.open_nursery() as nursery:
            slot.resume("held")
            nursery.start_soon(other)
    assert max(after - before for before, after in pairwise(turns)) <= 128
    assert len(turns) > 15


async def test_time_that_stands_still_is_no_reason_not_to_yield(autojump_clock: MockClock) -> None:
    async with opened(volatile(Restless), volatile(Quiet)) as running:
        with trio.fail_after(1):
            assert await running.ref("quiet").ask(Ping()) == 1
