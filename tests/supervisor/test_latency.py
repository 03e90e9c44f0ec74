"""How long messages take, as those see it who sent them: the time in which they waited counts."""

from __future__ import annotations

from contextlib import suppress

import pytest
import trio
import trio.testing
from attrs import frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import MESSAGE, VOLATILE, Durability, MailboxSpec
from treewarden.agents.core.message import Priority, Request
from treewarden.agents.errors import AgentFailed, AskTimeout
from treewarden.supervisor.core.event import SignalNoted
from treewarden.supervisor.core.measures import LatencyLimit
from treewarden.supervisor.core.spec import BRUTAL_KILL
from treewarden.supervisor.journal.memory import MemoryJournal
from treewarden.topologies.child import child
from treewarden.topologies.open import open_tree
from treewarden.topologies.pool import pool
from treewarden.topologies.tree import tree

CLOCK = trio.testing.MockClock
SLOW = LatencyLimit(most=1.0, p=0.7, last=5)


@frozen
class Take(Request[None]):
    seconds: float
    raises: bool = False


@frozen
class TakeMore(Take):
    """Of a type that nobody handles by itself."""


class Desk(Agent[None]):
    state = None

    @handles
    async def take(self, message: Take) -> None:
        await trio.sleep(message.seconds)
        if message.raises:
            raise ValueError("told to")


class Front(Agent[None]):
    state = None

    @handles
    async def take(self, message: Take) -> None:
        if message.raises:
            await self.forward(self.ref("desk"))
        else:
            for _ in range(3):
                await self.ref("desk").tell(message)


async def said(journal: MemoryJournal) -> list[str]:
    events = [record.event for record in await journal.read(limit=10_000)]
    return [event.text for event in events if isinstance(event, SignalNoted) and event.kind == "latency"]


@pytest.mark.parametrize(
    ("durability", "message"), [(VOLATILE, Take(0.6)), (VOLATILE, TakeMore(0.6)), (MESSAGE, Take(0.6))]
)
@pytest.mark.parametrize("priority", [Priority.HIGH, Priority.NORMAL, Priority.LOW])
async def test_the_time_in_which_a_message_waited_counts(
    durability: Durability, priority: int, message: Take, autojump_clock: CLOCK
) -> None:
    journal = MemoryJournal()
    desk = child(Desk, limits=(SLOW,), mailbox=MailboxSpec(durability=durability))
    async with open_tree(tree(desk), journal=journal) as running:
        await running.ref("desk").ask(Take(0.0))
        async with trio.open_nursery() as nursery:  # the third of them takes 1.8 s, two thirds of it in the queue
            for _ in range(3):
                nursery.start_soon(lambda: running.ref("desk").tell(message, priority=priority))
        await trio.sleep(5)
        assert await said(journal) == ["p70 of 3 is 1.2 s from sent to handled (limit 1 s)"]


async def test_handlers_alone_are_measured_where_that_is_wanted(autojump_clock: CLOCK) -> None:
    journal = MemoryJournal()
    desk = child(Desk, limits=(LatencyLimit(most=1.0, p=0.5, last=5, of="handler"),))
    async with open_tree(tree(desk), journal=journal) as running:
        for _ in range(3):
            await running.ref("desk").tell(Take(0.6))
        await trio.sleep(5)
        assert await said(journal) == []
        await running.ref("desk").tell(Take(1.5))
        await running.ref("desk").tell(Take(1.5))
        await running.ref("desk").tell(Take(1.5))
        await trio.sleep(9)
        assert await said(journal) == ["p50 of 5 is 1.5 s in its handler (limit 1 s)"]


async def test_an_ask_that_nobody_waited_for_any_more_took_as_long_as_it_waited(autojump_clock: CLOCK) -> None:
    journal = MemoryJournal()
    async with open_tree(tree(child(Desk, limits=(SLOW,))), journal=journal) as running:
        await running.ref("desk").tell(Take(3.0))
        async with trio.open_nursery() as nursery:

            async def ask() -> None:
                with suppress(AskTimeout):
                    await running.ref("desk").ask(Take(0.0), within=1.5)

            for _ in range(3):
                nursery.start_soon(ask)
        await trio.sleep(5)
        assert await said(journal) == ["p70 of 1 is 3 s from sent to handled (limit 1 s)"]


async def test_of_a_message_that_is_handled_again_all_of_its_time_counts(autojump_clock: CLOCK) -> None:
    journal = MemoryJournal()
    desk = child(Desk, limits=(LatencyLimit(most=1.0, p=0.9, last=2),))
    async with open_tree(tree(desk), journal=journal, seed=1) as running:
        await running.ref("desk").tell(Take(0.6, raises=True))
        await trio.sleep(5)
        (text,) = await said(journal)
        assert float(text.split()[4]) > 1.2, "both attempts and what was waited in between"


async def test_messages_of_agents_and_those_that_are_handed_on(autojump_clock: CLOCK) -> None:
    journal = MemoryJournal()
    desk = child(Desk, limits=(SLOW,), mailbox=MailboxSpec(durability=VOLATILE))
    async with open_tree(tree(desk, Front), journal=journal) as running:
        await running.ref("front").tell(Take(0.6))
        with suppress(AgentFailed):
            await running.ref("front").ask(Take(0.0, raises=True))
        await trio.sleep(5)
        assert (await said(journal))[0] == "p70 of 2 is 1.2 s from sent to handled (limit 1 s)"


async def test_workers_that_share_a_queue(autojump_clock: CLOCK) -> None:
    journal = MemoryJournal()
    workers = pool(child(Desk, limits=(SLOW,)), size=1, route="shared")
    async with open_tree(tree(workers), journal=journal) as running:
        for _ in range(3):
            await running.ref("desk").tell(Take(0.6))
        await trio.sleep(5)
        assert (await said(journal))[0] == "p70 of 2 is 1.2 s from sent to handled (limit 1 s)"


async def test_a_message_of_a_process_before_has_waited_since_it_was_told(autojump_clock: CLOCK) -> None:
    journal = MemoryJournal()
    desk = tree(child(Desk, limits=(SLOW,), shutdown=BRUTAL_KILL))
    async with open_tree(desk, journal=journal, wall=lambda: 1000.0) as running:
        for seconds in (9.0, 0.0, 0.0):
            await running.ref("desk").tell(Take(seconds))
    async with open_tree(desk, journal=journal, wall=lambda: 1060.0):
        await trio.sleep(20)
    assert (await said(journal))[0].startswith("p70 of 1 is 69 s from sent to handled")
