"""That something is well again says nothing against what is being tried, and may be what shows that it helped."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio
import trio.testing

from treewarden.agents.errors import ConfigurationError, RateLimited
from treewarden.supervisor.core.event import IncidentClosed, OutcomeObserved, SignalNoted
from treewarden.supervisor.core.ladder import ladder
from treewarden.supervisor.core.limits import QueueLimit
from treewarden.supervisor.core.named import NamedAction
from treewarden.supervisor.core.rule_table import Rule
from treewarden.supervisor.core.table import table
from treewarden.supervisor.journal.memory import MemoryJournal
from treewarden.supervisor.journal.port import Record
from treewarden.supervisor.performing import Occasion
from treewarden.topologies.running import Tree

from .puppets import IN_MEMORY, Puppet, crash, nothing, puppet, quiet, running, tell, under

CLOCK = trio.testing.MockClock


async def rest(_: Puppet) -> None:
    await trio.sleep(20)


async def told(journal: MemoryJournal) -> list[tuple[str, ...]]:
    """What was observed, and how incidents ended."""
    found: list[tuple[str, ...]] = []
    for record in await journal.read(limit=10_000):
        match record.event:
            case OutcomeObserved(kind=kind, action=action, outcome=outcome):
                found.append((kind, action, outcome))
            case IncidentClosed(outcome=outcome):
                found.append(("closed", outcome))
            case _:
                pass
    return found


def slow(tree: Tree, kind: str = "memory_slope") -> None:
    tree.signal("a", {"kind": kind, "severity": 0.4})


async def test_what_was_tried_against_a_crash_is_judged_though_a_meter_is_well_first(autojump_clock: CLOCK) -> None:
    journal = MemoryJournal()
    async with running(under(puppet("a", stable_after=30.0), policy=ladder()), journal) as tree:
        slow(tree)
        await quiet()
        await crash(tree, "a")
        await trio.sleep(5)
        tree.recovered("a", "memory_slope")
        await trio.sleep(20)
        assert await told(journal) == [("reported:memory_slope", "resume", "failed")], "it has not been stable yet"
        await trio.sleep(30)
        assert await told(journal) == [
            ("reported:memory_slope", "resume", "failed"),
            ("crash", "restart", "fixed"),
            ("closed", "fixed"),
        ]


async def test_what_was_tried_fails_if_it_fails_after_good_news(autojump_clock: CLOCK) -> None:
    journal = MemoryJournal()
    async with running(under(puppet("a", stable_after=30.0), policy=ladder()), journal) as tree:
        slow(tree)
        await quiet()
        await crash(tree, "a")
        await trio.sleep(5)
        tree.recovered("a", "memory_slope")
        await quiet()
        await crash(tree, "a")
        assert (await told(journal))[1:] == [("crash", "restart", "failed")]


async def test_good_news_about_one_thing_judges_what_was_done_about_that(autojump_clock: CLOCK) -> None:
    journal = MemoryJournal()
    async with running(under(puppet("a"), policy=ladder()), journal) as tree:
        slow(tree)
        await quiet()
        slow(tree, "latency")
        await quiet()
        tree.recovered("a", "memory_slope")
        await quiet()
        assert await told(journal) == [], "the latency is as it was"
        tree.recovered("a", "latency")
        await quiet()
        assert await told(journal) == [("reported:latency", "resume", "fixed"), ("closed", "fixed")]


async def test_a_mailbox_that_has_emptied_was_helped(autojump_clock: CLOCK) -> None:
    journal = MemoryJournal()
    desk = puppet("a", mailbox=IN_MEMORY, overload=QueueLimit(oldest=2))
    async with running(under(desk, policy=ladder()), journal) as tree:
        await tell(tree, "a", rest)
        await tell(tree, "a", nothing)
        await trio.sleep(60)
        assert await told(journal) == [("overloaded", "resume", "fixed"), ("closed", "fixed")]


async def test_what_was_reported_of_somebody_who_was_ended_does_not_stand_for_the_next_one(
    autojump_clock: CLOCK,
) -> None:
    journal = MemoryJournal()
    async with running(under(puppet("a"), policy=ladder()), journal) as tree:
        slow(tree, "latency")
        await quiet()
        await tree.supervisor().terminate_child("a")
        await tree.supervisor().restart_child("a")
        await crash(tree, "a")
        await trio.sleep(60)
        assert await told(journal) == [
            ("reported:latency", "resume", "unobserved"),
            ("closed", "unobserved"),
            ("crash", "restart", "fixed"),
            ("closed", "fixed"),
        ]


async def test_what_lasts_a_while_is_over_when_it_was_not_said_again(autojump_clock: CLOCK) -> None:
    """A probe that is silent when all is well never says so."""
    journal = MemoryJournal()
    async with running(under(puppet("a"), policy=ladder()), journal) as tree:
        for _ in range(3):
            tree.signal("a", {"kind": "hot", "severity": 0.4}, lasts=60)
            await trio.sleep(50)
        assert ("closed", "fixed") not in await told(journal)
        await trio.sleep(20)
        assert (await told(journal))[-1] == ("closed", "fixed")
        ends = [record.at async for record in _recovered(journal)]
        tree.signal("a", {"kind": "hot", "severity": 0.4}, lasts=60)
        tree.signal("a", {"kind": "hot", "severity": 0.4})
        await trio.sleep(1000)
        assert len(ends) == len([record.at async for record in _recovered(journal)]), "the last word counts"
        tree.recovered("a", "hot")
        await quiet()
        assert (await told(journal))[-1] == ("closed", "fixed")


async def test_what_ends_by_itself_says_in_which_time_it_was_not_heard_again(autojump_clock: CLOCK) -> None:
    journal = MemoryJournal()
    async with running(under(puppet("a"), policy=ladder()), journal) as tree:
        tree.signal("a", {"kind": "hot", "severity": 0.4}, lasts=60)
        await trio.sleep(30)
        tree.signal("a", {"kind": "hot", "severity": 0.4}, lasts=100)
        begun = trio.current_time()
        await trio.sleep(99)
        assert [record async for record in _recovered(journal)] == []
        await trio.sleep(2)
        (over,) = [record.event async for record in _recovered(journal)]
        assert trio.current_time() == begun + 101
        assert isinstance(over, SignalNoted)
        assert over.text == "recovered from hot: it was not signalled again within 100 s"


async def _recovered(journal: MemoryJournal) -> AsyncIterator[Record]:
    for record in await journal.read(limit=10_000):
        if isinstance(record.event, SignalNoted) and record.event.kind == "Recovered":
            yield record


@pytest.mark.parametrize("lasts", [0, -1.0, math.nan, True, "60"])
async def test_what_is_no_time_is_refused(lasts: Any, autojump_clock: CLOCK) -> None:
    journal = MemoryJournal()
    async with running(under(puppet("a")), journal) as tree:
        with pytest.raises(ConfigurationError, match=r"a: lasts is .*; give seconds, more than 0"):
            tree.signal("a", {"kind": "hot", "severity": 0.4}, lasts=lasts)
        await quiet()
        assert not [record async for record in _recovered(journal)]


async def gives_up(_: Occasion) -> None:
    raise OSError("nobody answers")


async def limited(agent: Puppet) -> None:
    if not agent.log.count("limited"):
        agent.log.append("limited")
        raise RateLimited(after=3.0)


async def test_what_was_reported_outlives_an_action_against_it_that_failed(autojump_clock: CLOCK) -> None:
    journal = MemoryJournal()
    policy = table([Rule("reported:hot", "perform:call")])
    desk = puppet("a", actions={"call": NamedAction(gives_up)})
    async with running(under(desk, policy=policy), journal) as tree:
        slow(tree, "hot")
        await trio.sleep(60)
        assert await told(journal) == [("reported:hot", "call", "failed")], "it is as hot as before"
        tree.recovered("a", "hot")
        await trio.sleep(60)
        assert (await told(journal))[1:] == [("action_failed:call", "resume", "fixed"), ("closed", "fixed")]


async def test_what_was_reported_outlives_a_rate_limit(autojump_clock: CLOCK) -> None:
    journal = MemoryJournal()
    async with running(under(puppet("a"), policy=ladder()), journal) as tree:
        slow(tree, "hot")
        await quiet()
        await tell(tree, "a", limited)
        await trio.sleep(60)
        assert ("closed", "fixed") not in await told(journal), "it is as hot as before"
        tree.recovered("a", "hot")
        await trio.sleep(60)
        assert (await told(journal))[-1] == ("closed", "fixed")


async def test_good_news_about_one_thing_ends_nothing_while_another_stands(autojump_clock: CLOCK) -> None:
    journal = MemoryJournal()
    async with running(under(puppet("a"), policy=ladder()), journal) as tree:
        slow(tree)
        slow(tree, "latency")
        await quiet()
        tree.recovered("a", "memory_slope")
        await trio.sleep(60)
        assert await told(journal) == [], "the latency is as it was"
