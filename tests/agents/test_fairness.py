"""Busy agents leave the loop to others."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
import trio
from attrs import frozen
from trio.testing import MockClock

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import VOLATILE
from treewarden.agents.core.message import Request
from treewarden.agents.ports import Clock
from treewarden.agents.ref import Ref
from treewarden.agents.slice import Rounds, Slice
from treewarden.topologies.open import open_tree
from treewarden.topologies.tree import tree

from .steps import Steps
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


class Spent:
    """A clock that only work moves."""

    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time

    def wall(self) -> float:
        return self.time


@pytest.mark.parametrize(
    ("takes", "longest"),
    [
        (2e-6, 0.0085),  # two rounds, for the loop turns the order round; each as long as 50 slices, rounded up
        (1e-4, 0.02),  # two rounds of one message each, and a few each when all wake; it would be 160 with 16 each
    ],
)
async def test_many_that_never_run_dry_share_the_time_between_two_turns_of_the_others(
    takes: float, longest: float, autojump_clock: MockClock
) -> None:
    """However many there are, however long a message takes, also when all wake at once; and none of them gets more than
    another."""
    clock, over = Spent(), False
    counts = [0] * 50

    class Busy(Agent[None]):
        def __init__(self, number: int) -> None:
            self.number = number

        @handles
        def again(self, message: Again) -> None:
            counts[self.number] += 1
            clock.time += takes
            if not over:
                self.ref(self.path).tell_nowait(message)

    children = (kept(Busy, VOLATILE, id=f"busy-{n}", args={"number": n}) for n in range(len(counts)))
    async with open_tree(tree(*children), clock=clock) as running:
        for n in range(len(counts)):
            for _ in range(2):
                running.ref(f"busy-{n}").tell_nowait(Again())
        turns: list[float] = []
        for _ in range(60):
            turns.append(clock.time)
            await trio.lowlevel.checkpoint()
        over = True
    gaps = [after - before for before, after in pairwise(turns)]
    assert max(gaps) < longest
    assert min(counts) > 0.5 * max(counts)


async def test_one_that_never_runs_dry_has_its_millisecond(autojump_clock: MockClock) -> None:
    clock = Spent()
    rounds = Rounds(clock.now)
    mine = Slice(rounds)
    assert not mine.is_over()
    clock.time += 0.0011
    assert mine.is_over()
    await mine.give_way()
    clock.time += 0.0009
    assert not mine.is_over()
    clock.time += 0.0002
    assert mine.is_over()


async def test_those_that_wake_together_do_not_each_take_a_whole_slice(autojump_clock: MockClock) -> None:
    clock = Spent()
    rounds = Rounds(clock.now)
    crowd = [Slice(rounds) for _ in range(10)]
    taken: list[float] = []

    async def work(mine: Slice) -> None:
        began = clock.time
        while True:
            clock.time += 0.0001
            if mine.is_over():
                break
        taken.append(clock.time - began)
        await mine.give_way()

    async with trio.open_nursery() as nursery:
        for each in crowd:
            nursery.start_soon(work, each)
    assert len([each for each in taken if each > 0.00015]) <= 3
    assert sum(taken) < 0.005


@pytest.mark.parametrize("asks", [True, False], ids=["ask", "tell"])
async def test_many_senders_share_the_time_between_two_turns_of_the_others(asks: bool, mock_clock: MockClock) -> None:
    """However long their messages take: each of fifty had a millisecond of its own."""

    class Slow(Agent[None]):
        async def on_start(self) -> None:
            """It has a task from the beginning."""

        @handles
        def ping(self, message: Ping) -> int:
            mock_clock.jump(1e-4)
            return 1

    async with opened(*(volatile(Slow, id=f"slow-{n}") for n in range(50))) as running:

        async def send(ref: Ref) -> None:
            while True:
                if asks:
                    await ref.ask(Ping())
                else:
                    await ref.tell(Ping())

        async with trio.open_nursery() as nursery:
            await trio.testing.wait_all_tasks_blocked()
            for n in range(50):
                nursery.start_soon(send, running.ref(f"slow-{n}"))
            turns: list[float] = []
            for _ in range(40):
                turns.append(trio.current_time())
                await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
    gaps = [after - before for before, after in pairwise(turns)][4:]
    assert max(gaps) < 0.0175
    assert sum(gaps) > 0.05


async def test_how_long_a_handler_waits_says_nothing_about_how_often_to_look(autojump_clock: MockClock) -> None:
    clock = Spent()
    mine = Slice(Rounds(clock.now))
    mine.is_over()
    for _ in range(4):
        mine.is_over()
    often = len(mine.between)
    clock.time += 10
    mine.awaited = True
    mine.is_over()
    assert len(mine.between) == often
    clock.time += 10
    mine.is_over()
    assert len(mine.between) == 1
