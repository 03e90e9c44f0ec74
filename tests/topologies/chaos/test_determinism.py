"""trio's order of tasks under a seed: the same for ever, as far as this trio goes, and as it was before afterwards."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest
import trio
import trio.testing

from treewarden.agents.agent import Agent
from treewarden.topologies import child, open_tree, tree
from treewarden.topologies.chaos import determinism
from treewarden.topologies.chaos.determinism import (
    Workers,
    lean_instruments,
    missing_names,
    ordered_by,
    simulated_clock,
    sleep,
    sleep_until,
)
from treewarden.topologies.chaos.escapes import escapes_told


def order_of(seed: int, clock: Callable[[], trio.abc.Clock] = simulated_clock) -> str:
    """Who comes when, of twenty tasks that give way, sleep and wait for each other."""
    seen: list[str] = []

    async def one(number: int, opened: trio.Event) -> None:
        for step in range(5):
            await trio.sleep(0.1 * (number % 3))
            seen.append(f"{number}.{step}")
            await trio.lowlevel.checkpoint()
        opened.set()

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            opened = trio.Event()
            for number in range(20):
                nursery.start_soon(one, number, opened)
            await opened.wait()

    with ordered_by(seed):
        trio.run(main, clock=clock())
    return hashlib.blake2b(" ".join(seen).encode(), digest_size=8).hexdigest()


def test_a_seed_is_an_order() -> None:
    """If this fails after a new trio, its scheduler has changed: every seed that is written down means another run."""
    assert order_of(1) == "7d93193e57554bf8"
    assert order_of(1) == order_of(1)
    assert len({order_of(seed) for seed in range(20)}) == 20


def test_time_is_that_of_trios_own_clock() -> None:
    def own() -> trio.abc.Clock:
        return trio.testing.MockClock(autojump_threshold=0)

    assert [order_of(seed) for seed in range(10)] == [order_of(seed, own) for seed in range(10)]


def test_a_trio_that_runs_in_another_way_has_its_own_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(determinism, "_LOOP", "trio._core._gone")
    assert "current_time" not in vars(simulated_clock())


def test_a_trio_without_these_names_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    assert missing_names() == ()
    monkeypatch.setattr(determinism, "_SWITCH", "_GONE")
    assert missing_names() == ("trio._core._run._GONE",)
    told: list[str] = []
    with escapes_told(told.append, Workers()):
        assert len({order_of(1) for _ in range(2)}) >= 1
    assert told == ["this trio has no trio._core._run._GONE"]


def test_everything_is_as_it_was_afterwards() -> None:
    loop: Any = determinism._module("trio._core._run")  # pyright: ignore[reportPrivateUsage]
    before = (loop._r, loop._ALLOW_DETERMINISTIC_SCHEDULING)
    order_of(1)
    assert (loop._r, loop._ALLOW_DETERMINISTIC_SCHEDULING) == before


def test_a_batch_is_told_before_its_steps() -> None:
    told: list[list[str]] = []

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            for name in "abc":
                nursery.start_soon(trio.lowlevel.checkpoint, name=name)

    with ordered_by(1, lambda batch: told.append([task.name for task in batch])):
        trio.run(main)
    assert ["a", "b", "c"] in [sorted(batch) for batch in told]
    assert [] not in told


def test_a_sleep_of_the_kit_ends_when_one_of_trios_does_and_can_be_cancelled() -> None:
    ends: list[tuple[str, float]] = []

    async def one(name: str, wait: Callable[[float], Awaitable[object]], seconds: float) -> None:
        await wait(seconds)
        ends.append((name, trio.current_time()))

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one, "ours", sleep, 2.0)
            nursery.start_soon(one, "trio's", trio.sleep, 1.0)
            nursery.start_soon(one, "past", sleep_until, -1.0)
            with trio.move_on_after(0.5) as limit:
                await sleep(1.5)
            assert limit.cancelled_caught
            assert trio.current_time() == 0.5
            cast("Any", trio.lowlevel.current_clock()).jump(1.0)  # as when the machine sleeps
        assert trio.current_time() == 2.0

    trio.run(main, clock=simulated_clock())
    assert ends == [("past", 0.0), ("trio's", 1.5), ("ours", 2.0)]
    trio.run(sleep, 0.0)  # under any other clock it is trio's own


def test_a_tree_looks_after_its_agents_by_the_sleep_of_the_clock() -> None:
    """At its times, and without a cancellation for each: a simulated day has many looks."""

    async def main() -> list[float]:
        clock, seen = cast("Any", trio.lowlevel.current_clock()), set[float]()
        async with open_tree(tree(child(Agent, id="idle", progress_within=2.0))):
            for _ in range(30):
                await trio.sleep(0.1)
                seen |= {alarm.at for alarm in getattr(clock, "alarms", ()) if alarm.task is not None}
        return sorted(seen)

    assert trio.run(main, clock=simulated_clock(jumps=False)) == [0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5]
    assert trio.run(main, clock=simulated_clock()) == [], "whoever is jumped over hears of it at once"


def test_instruments_that_are_added_later_still_hear_of_steps() -> None:
    steps: list[str] = []

    class Heard(trio.abc.Instrument):
        def before_task_step(self, task: trio.lowlevel.Task) -> None:
            steps.append(task.name)

    async def main() -> None:
        lean_instruments()
        heard = Heard()
        trio.lowlevel.add_instrument(heard)
        await trio.lowlevel.checkpoint()
        trio.lowlevel.remove_instrument(heard)
        await trio.lowlevel.checkpoint()

    trio.run(main)
    assert len([name for name in steps if "main" in name]) == 1


def test_time_stands_still_while_a_thread_works() -> None:
    def work() -> None:
        hashlib.pbkdf2_hmac("sha256", b"work", b"that lets others run", 20_000)
        trio.from_thread.run_sync(lambda: None)

    async def beside(workers: Workers) -> float:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep, 3600.0)
            with trio.fail_after(1.0):
                await trio.to_thread.run_sync(work)
            nursery.cancel_scope.cancel()
        return trio.current_time()

    workers = Workers()
    with escapes_told(lambda _: None, workers):
        assert trio.run(beside, workers, clock=simulated_clock(workers)) == 0.0


def test_a_thread_that_does_not_come_back_holds_the_clock_for_a_while_only() -> None:
    now = [100.0]

    def wait(seconds: float) -> None:
        now[0] += seconds

    workers = Workers(lambda: now[0], wait)
    assert not workers.hold()
    workers.out.add("one")
    held = 0
    while workers.hold():
        held += 1
    assert now[0] == pytest.approx(110.0, abs=0.01)
    assert held > 1000
    workers.out.clear()
    assert not workers.hold()
    workers.out.add("another")
    assert workers.hold()
