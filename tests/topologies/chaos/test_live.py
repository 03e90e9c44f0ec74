"""Chaos in a live tree: whom it strikes, what of it is told, and everything that ends it."""

from __future__ import annotations

import pathlib
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from attrs import evolve, frozen
from trio.testing import MockClock

from treewarden.agents.agent import Agent, every, handles
from treewarden.agents.core.message import Request
from treewarden.agents.core.path import Path
from treewarden.agents.process import Call, process
from treewarden.supervisor.core.decision import Policy
from treewarden.supervisor.core.event import ChaosBegan, ChaosEnded, ChildEnded, Decided, Event, FaultInjected
from treewarden.supervisor.core.ladder import ladder
from treewarden.supervisor.core.policies import kubernetes, otp
from treewarden.supervisor.core.spec import NO_BACKOFF, Intensity
from treewarden.supervisor.journal.memory import MemoryJournal
from treewarden.supervisor.views.incidents import Incidents, fold
from treewarden.topologies.chaos.live import LiveChaos, Promise
from treewarden.topologies.child import Child, child
from treewarden.topologies.core.blueprint import Blueprint
from treewarden.topologies.core.live import parse_order
from treewarden.topologies.open import open_tree
from treewarden.topologies.running import Tree
from treewarden.topologies.tree import tree

MANY = Intensity(100_000, 1.0)


@frozen
class Ticks:
    n: int = 0


@frozen
class Asked(Request[float]): ...


class Clock(Agent[Ticks]):
    state = Ticks()

    @every(0.5)
    async def tick(self) -> None:
        self.state = evolve(self.state, n=self.state.n + 1)

    @handles
    async def asked(self, _: Asked) -> float:
        return trio.current_time()


class Broken(Clock):
    """Starts once."""

    lives = 0

    async def on_start(self) -> None:
        Broken.lives += 1
        if Broken.lives > 1:
            raise RuntimeError("cannot begin again")


def shape(*more: Child, policy: Policy | None = None) -> Blueprint:
    desk = tree(child(Clock, id="inner", backoff=NO_BACKOFF), id="desk", restarts=MANY)
    clocks = [child(Clock, id=id, backoff=NO_BACKOFF) for id in "abc"]
    return tree(*clocks, desk, *more, restarts=MANY, policy=policy or otp())


@asynccontextmanager
async def under(
    order: str, blueprint: Any = None, promise: Promise | None = None, journal: Any = None
) -> AsyncGenerator[tuple[Tree, LiveChaos]]:
    chaos = LiveChaos(parse_order(order), "ann", promise)
    asked = chaos.prepared(blueprint if blueprint is not None else shape())
    async with open_tree(asked, journal=journal, wall=trio.current_time) as running, trio.open_nursery() as nursery:
        nursery.start_soon(chaos.run, running)
        yield running, chaos
        chaos.stop("the test is over")


async def told(journal: MemoryJournal, kind: Any) -> list[Any]:
    return [record.event for record in await journal.read(limit=100_000) if isinstance(record.event, kind)]


async def test_it_kills_within_its_radius_and_tells_all_of_it(autojump_clock: MockClock) -> None:
    journal = MemoryJournal()
    async with under("seed=7,kill=2/s,blast=[ab],blast=desk*,max=2,for=30s", journal=journal) as (running, chaos):
        await trio.sleep(40)
        assert chaos.reason == "the time that it was to last is over"
        lives = {str(slot.path): slot.incarnation for slot in running.snapshot()}
    faults = await told(journal, FaultInjected)
    assert {str(each.path) for each in faults} == {"a", "b", "desk/inner"}
    assert len(faults) == chaos.faults > 20
    assert lives["c"] == lives["desk"] == 1
    for path in ("a", "b", "desk/inner"):
        assert lives[path] == 1 + sum(each.path == path for each in faults)
    (began,), (ended,) = await told(journal, ChaosBegan), await told(journal, ChaosEnded)
    assert (began.by, parse_order(began.order)) == ("ann", chaos.order)
    assert (ended.faults, ended.skipped, ended.broken) == (chaos.faults, chaos.skipped, False)
    first, second, *_ = await told(journal, FaultInjected | ChildEnded)
    assert isinstance(first, FaultInjected)
    assert isinstance(second, ChildEnded)


async def test_no_more_than_asked_for_are_down_at_once(autojump_clock: MockClock) -> None:
    class Late(Clock):
        async def on_start(self) -> None:
            await trio.sleep(5)

    below = [tree(child(Late, id="late", backoff=NO_BACKOFF, start_within=10.0), id=id, restarts=MANY) for id in "xyz"]
    async with under("seed=3,kill=5/s,max=2,for=60s", tree(*below, policy=otp())) as (running, chaos):
        most = 0
        with trio.move_on_after(60):
            while True:
                await trio.sleep(0.1)
                most = max(most, sum(slot.state.value != "up" for slot in running.snapshot()))
        assert most == 2
        assert chaos.skipped > 100


async def test_the_same_seed_strikes_the_same_at_the_same_time(autojump_clock: MockClock) -> None:
    rows: list[list[Event]] = []
    for _ in range(2):
        journal = MemoryJournal()
        async with under("seed=11,kill=1/s,slow=1/s,for=20s", journal=journal):
            await trio.sleep(21)
        rows.append(await told(journal, FaultInjected))
    assert rows[0] == rows[1]
    assert {each.fault for each in rows[0] if isinstance(each, FaultInjected)} == {"kill", "slow"}


async def test_a_restart_is_left_to_others(autojump_clock: MockClock) -> None:
    few = tree(child(Clock, id="a", backoff=NO_BACKOFF), restarts=Intensity(3, 60.0), policy=otp())
    async with under("seed=7,kill=5/s,for=50s", few) as (running, chaos):
        await trio.sleep(55)
        assert chaos.faults == 2
        assert running.snapshot()[0].incarnation == 3


async def test_handlers_hang_and_the_button_lets_them_go_on(autojump_clock: MockClock) -> None:
    async with under("seed=7,hang=2/s,blast=a,for=1h,hangs=1000s", shape()) as (running, chaos):
        while not chaos.faults:  # noqa: ASYNC110  # nothing else tells
            await trio.sleep(0.1)
        before = trio.current_time()
        async with trio.open_nursery() as nursery:
            answers: list[float] = []

            async def ask() -> None:
                answers.append(await running.ref("a").ask(Asked(), within=60.0))

            nursery.start_soon(ask)
            await trio.sleep(20)
            assert not answers
            assert running.calm is not None
            assert running.calm("ann") == "chaos is over after 1 fault"
        assert answers == [pytest.approx(before + 20, abs=0.01)]
        assert running.calm("bob") == "chaos was over already: ann asked for it"
        assert chaos.reason == "ann asked for it"


async def test_slow_handlers_are_slow(autojump_clock: MockClock) -> None:
    async with under("seed=7,slow=20/s,blast=a,for=1h,slows=3s") as (running, chaos):
        while not chaos.faults:  # noqa: ASYNC110
            await trio.sleep(0.1)
        before = trio.current_time()
        assert 2 < await running.ref("a").ask(Asked(), within=60.0) - before < 7


async def test_a_slot_that_does_not_come_back_ends_it(autojump_clock: MockClock) -> None:
    Broken.lives = 0
    weak = child(Broken, id="weak", backoff=NO_BACKOFF)
    async with under("seed=7,kill=1/s,blast=weak,for=1h,recover=3s", shape(weak, policy=kubernetes())) as (_, chaos):
        with trio.move_on_after(600):
            while not chaos.reason:  # noqa: ASYNC110
                await trio.sleep(0.1)
        assert chaos.broken
        assert chaos.faults == 1
        assert chaos.reason.startswith("weak is not well 3 s after kill: ")


@pytest.mark.parametrize(("said", "reason"), [
    (False, "it does not hold"), ("three are missing", "three are missing"), (KeyError("x"), "raised KeyError"),
])  # fmt: skip
async def test_a_promise_that_does_not_hold_ends_it(said: Any, reason: str, autojump_clock: MockClock) -> None:
    calls: list[Tree] = []

    def holds(running: Tree) -> object:
        calls.append(running)
        if len(calls) < 20:
            return True
        if isinstance(said, Exception):
            raise said
        return said

    async with under("seed=7,kill=1/s,for=1h", promise=holds) as (running, chaos):
        await trio.sleep(10)
        assert chaos.broken
        assert reason in chaos.reason
        struck = chaos.faults
        await trio.sleep(100)
        assert chaos.faults == struck
        assert calls[0] is running


async def test_a_fault_stands_at_the_head_of_the_incident_that_came_of_it(autojump_clock: MockClock) -> None:
    journal = MemoryJournal()
    async with under("seed=7,kill=1/s,blast=a,for=3s", shape(policy=ladder()), journal=journal):
        await trio.sleep(20)
    incidents = fold(Incidents(), await journal.read(limit=100_000))
    first = next(iter(incidents.stories.values()))
    assert first.path == Path("a")
    assert [type(line.event) for line in first.lines[:2]] == [FaultInjected, Decided]


def test_processes_are_killed_and_stopped_for_real(monkeypatch: pytest.MonkeyPatch) -> None:
    here = pathlib.Path(__file__).parents[2] / "agents"
    monkeypatch.setattr(sys, "path", [str(here), *sys.path])
    journal = MemoryJournal()

    async def main() -> None:
        blueprint = tree(child(process("in_process:pid", id="p"), backoff=NO_BACKOFF), restarts=MANY, policy=otp())
        order = "seed=7,kill=8/s,hang=8/s,for=1h,hangs=0.1s"
        async with under(order, blueprint, journal=journal) as (running, _):
            with trio.fail_after(60):
                while len({each.fault for each in await told(journal, FaultInjected)}) < 2:  # noqa: ASYNC110
                    await trio.sleep(0.05)
                assert running.calm is not None
                running.calm("ann")
                killed = {each.pid for each in await told(journal, FaultInjected) if each.fault == "kill"}
                while (pid := running.process_of("p")) is None or pid in killed:  # noqa: ASYNC110
                    await trio.sleep(0.01)
                assert await running.ref("p").ask(Call(), within=30.0) == pid

    trio.run(main)
    faults = trio.run(told, journal, FaultInjected)
    assert all(each.pid is not None for each in faults)
    ended = [each for each in trio.run(told, journal, ChildEnded) if each.failure is not None]
    assert any(signal.SIGKILL.name in each.failure.text for each in ended)
