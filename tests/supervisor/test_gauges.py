"""Agents with limits in a tree: what is measured of them becomes a signal, and the policy answers it."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any

import pytest
import trio
import trio.testing
from attrs import frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import MESSAGE, VOLATILE, Durability, MailboxSpec
from treewarden.agents.core.message import Request
from treewarden.agents.errors import AgentFailed, ConfigurationError
from treewarden.agents.testing import run_handler
from treewarden.agents.worker import Job, worker
from treewarden.supervisor.core.event import Decided, IncidentClosed, SignalNoted
from treewarden.supervisor.core.measures import BudgetLimit, LatencyLimit, Limit, MemoryLimit
from treewarden.supervisor.core.rule_table import Rule
from treewarden.supervisor.core.table import table
from treewarden.supervisor.gauges import rss_of
from treewarden.supervisor.journal.memory import MemoryJournal
from treewarden.topologies.child import child
from treewarden.topologies.core.blueprint import Blueprint
from treewarden.topologies.open import open_tree
from treewarden.topologies.tree import tree

CLOCK = trio.testing.MockClock


@frozen
class Measure(Request[int]):
    what: str
    value: Any
    times: int = 1


class Desk(Agent[None]):
    state = None

    @handles
    async def measure(self, message: Measure) -> int:
        for _ in range(message.times):
            self.measured(message.what, message.value)
        return message.times


def tree_of(*limits: Limit, rules: tuple[Rule, ...] = ()) -> Blueprint:
    policy = table(rules) if rules else None
    return tree(child(Desk, limits=limits), policy=policy)


async def told(journal: MemoryJournal) -> tuple[list[str], list[str]]:
    """The signals, and what was decided about them."""
    events = [record.event for record in await journal.read(limit=10_000)]
    noted = [event.text or event.kind for event in events if isinstance(event, SignalNoted)]
    return noted, [event.action for event in events if isinstance(event, Decided)]


async def test_a_leak_is_recycled_and_the_next_life_begins_anew(autojump_clock: CLOCK) -> None:
    journal, bytes_in_use = MemoryJournal(), 0.0

    def meter() -> float:
        nonlocal bytes_in_use
        bytes_in_use += 3000.0
        return bytes_in_use

    limit = MemoryLimit(grows=1000.0, meter=meter, within=20.0, every=2.0)
    async with open_tree(tree_of(limit, rules=(Rule("reported:memory_slope", "recycle"),)), journal=journal) as running:
        await trio.sleep(9)
        assert await told(journal) == ([], []), "half of the window has not been seen"
        await trio.sleep(4)
        noted, decided = await told(journal)
        assert decided == ["recycle"]
        assert noted == ["+1500 bytes per second over 10 s"]
        (status,) = running.snapshot()
        assert status.incarnation == 2
        await trio.sleep(9)
        assert len((await told(journal))[0]) == 1, "it measures the new life, not the one before"


async def test_the_next_life_says_that_what_the_one_before_exceeded_is_over(autojump_clock: CLOCK) -> None:
    """Else the incident is open for ever, and nothing is learned of what has helped."""
    journal, in_use = MemoryJournal(), iter([500.0, 500.0, 90.0])
    limit = MemoryLimit(most=100.0, meter=lambda: next(in_use, 50.0), every=1.0)
    async with open_tree(tree_of(limit, rules=(Rule("reported:memory", "recycle"),)), journal=journal) as running:
        await trio.sleep(20)
        assert await told(journal) == (
            ["500 bytes", "500 bytes", "recovered from memory: 50 bytes"],
            ["recycle", "recycle", "resume"],
        )
        (status,) = running.snapshot()
        assert status.incarnation == 3
    ends = [event for record in await journal.read(limit=10_000) if isinstance(event := record.event, IncidentClosed)]
    assert [event.outcome for event in ends] == ["fixed"]


async def test_a_limit_that_is_taken_away_is_exceeded_no_more(autojump_clock: CLOCK) -> None:
    journal = MemoryJournal()
    limit = MemoryLimit(most=100.0, meter=lambda: 500.0, every=1.0)
    rules = (Rule("reported:memory", "resume"),)
    async with open_tree(tree_of(limit, rules=rules), journal=journal) as running:
        await trio.sleep(5)
        await running.reload(tree_of(rules=rules))
        await trio.sleep(60)
    ends = [event for record in await journal.read(limit=10_000) if isinstance(event := record.event, IncidentClosed)]
    assert [event.outcome for event in ends] == ["fixed"]


async def test_a_meter_that_fails_is_told_once_and_harms_nobody(autojump_clock: CLOCK) -> None:
    journal, readings = MemoryJournal(), iter([ValueError("no such counter"), -1.0, 5.0, 500.0, 500.0])

    def meter() -> float:
        reading = next(readings, 500.0)
        if isinstance(reading, Exception):
            raise reading
        return reading

    async with open_tree(tree_of(MemoryLimit(most=100.0, meter=meter, every=1.0)), journal=journal) as running:
        await trio.sleep(20)
        noted, _ = await told(journal)
        assert [text.partition(":")[0] for text in noted] == [
            "the meter of its memory failed",
            "recovered from meter_failed",
            "500 bytes",
        ]
        assert await running.ref("desk").ask(Measure("memory", 1.0)) == 1


async def test_slow_calls_are_a_signal_when_they_are_measured(autojump_clock: CLOCK) -> None:
    journal = MemoryJournal()
    limit = LatencyLimit(most=0.5, last=10, of="said")
    async with open_tree(tree_of(limit, rules=(Rule("reported:latency", "throttle"),)), journal=journal) as running:
        desk = running.ref("desk")
        await desk.ask(Measure("latency", 0.1, times=10))
        await desk.ask(Measure("other", 9.0, times=10))
        await running.supervisor().count()
        assert await told(journal) == ([], []), "no limit is about the other one"
        await desk.ask(Measure("latency", 0.9, times=3))
        await running.supervisor().count()
        assert await told(journal) == (["p95 of 10 is 0.9 s as it says (limit 0.5 s)"], ["throttle"])


async def test_what_was_spent_outlives_a_life(autojump_clock: CLOCK) -> None:
    journal = MemoryJournal()
    limit = BudgetLimit(most=10.0, within=600.0)
    async with open_tree(tree_of(limit), journal=journal) as running:
        desk = running.ref("desk")
        await desk.ask(Measure("cost", 6.0))
        running.kill("desk")
        await trio.sleep(1)
        await desk.ask(Measure("cost", 5.0))
        await running.supervisor().count()
        assert [text for text in (await told(journal))[0] if "spent" in text] == ["11 spent in 600 s (limit 10)"]
        await trio.sleep(700)
        assert (await told(journal))[0][-1] == "recovered from budget: 0 spent in 600 s (limit 10)"


async def test_a_worker_says_what_it_measures(autojump_clock: CLOCK) -> None:
    async def poll(job: Job) -> None:
        job.measured("cost", 3.0)

    journal = MemoryJournal()
    spec = child(worker(poll, every=10), limits=(BudgetLimit(most=5.0),))
    async with open_tree(tree(spec), journal=journal):
        await trio.sleep(25)
        assert any("spent in" in text for text in (await told(journal))[0])


@pytest.mark.parametrize("value", [-1.0, float("nan"), True, "much", None])
async def test_what_is_no_reading_is_refused_where_it_is_said(value: Any) -> None:
    run = await run_handler(Desk(), Measure("latency", value))
    assert isinstance(run.error, ConfigurationError)
    assert "a reading is a number, 0 or more" in str(run.error)
    run = await run_handler(Desk(), Measure("latency", 0.5))
    assert (run.error, run.measured) == (None, [("latency", 0.5)])


def test_the_memory_of_a_process_is_read_where_the_system_tells() -> None:
    if os.path.exists("/proc/self/statm"):
        found = rss_of(os.getpid())
        assert found is not None
        assert found > 1e6
    assert rss_of(2**30) is None


# -- how long handlers take


@frozen
class Take(Request[float]):
    seconds: float
    raises: bool = False


@frozen
class TakeLonger(Take): ...


class Slow(Agent[None]):
    state = None

    @handles
    async def take(self, message: Take) -> float:
        await trio.sleep(message.seconds)
        if message.raises:
            raise ValueError("told to")
        return message.seconds


@pytest.mark.parametrize("message", [Take(0.9), TakeLonger(0.9), Take(0.9, raises=True)])
@pytest.mark.parametrize("durability", [VOLATILE, MESSAGE])
async def test_how_long_handlers_take_is_measured_without_a_word_of_theirs(
    message: Take, durability: Durability, autojump_clock: CLOCK
) -> None:
    journal = MemoryJournal()
    limit = LatencyLimit(most=0.5, last=5, of="handler")
    slow = child(Slow, limits=(limit,), mailbox=MailboxSpec(durability=durability))
    async with open_tree(tree(slow), journal=journal) as running:
        ref = running.ref("slow")
        for _ in range(3):
            assert await ref.ask(Take(0.1)) == 0.1
        assert await told(journal) == ([], [])
        with suppress(AgentFailed):
            await ref.ask(message)
        await running.supervisor().count()
        assert (await told(journal))[0][0] == "p95 of 4 is 0.9 s in its handler (limit 0.5 s)"


async def test_what_it_says_itself_counts_where_that_is_wanted(autojump_clock: CLOCK) -> None:
    journal = MemoryJournal()
    async with open_tree(tree_of(LatencyLimit(most=0.5, last=5)), journal=journal) as running:
        await running.ref("desk").ask(Measure("latency", 9.0, times=5))
        await running.supervisor().count()
        assert await told(journal) == ([], [])


async def test_nobody_else_is_timed(autojump_clock: CLOCK) -> None:
    async with open_tree(tree(child(Slow, id="a"), child(Slow, id="b", limits=(LatencyLimit(most=1.0),)))) as running:
        for id, timed in (("a", False), ("b", True)):
            await running.ref(id).ask(Take(0.0))
            slot = running._common.registry.get(running.ref(id).path)  # pyright: ignore[reportPrivateUsage]
            assert slot is not None
            assert slot.agent is not None
            assert (slot.agent.life.handlers is Slow.handlers) is not timed
