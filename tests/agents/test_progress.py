"""What counts as work in hand that brings forth nothing: only what has to wait can be looked at while it is in hand."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import trio
from attrs import frozen
from trio.testing import MockClock

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import MESSAGE, VOLATILE, Durability, MailboxSpec, Overflow
from treewarden.agents.core.exit import Exit
from treewarden.supervisor.core.event import SignalNoted
from treewarden.supervisor.journal.memory import MemoryJournal
from treewarden.topologies.child import Child, child
from treewarden.topologies.pipeline import pipeline
from treewarden.topologies.topic import subscriber, topic

from .trees import Add, events, kept, opened


@frozen
class Take:
    """Seconds that its handler takes."""

    seconds: float


class Worker(Agent[None]):
    def __init__(self, ends_within: float = 0.0) -> None:
        self.ends_within = ends_within

    @handles
    def add(self, message: Add) -> None:
        if not message.amount:
            raise ValueError("unlucky")

    @handles
    async def take(self, message: Take) -> None:
        await trio.sleep(message.seconds)

    async def on_stop(self, exit: Exit) -> None:
        await trio.sleep(self.ends_within)


async def stalls(journal: MemoryJournal) -> list[str]:
    return [noted.path for noted in await events(journal, SignalNoted) if noted.kind == "Stalled"]


@pytest.mark.parametrize("durability", [VOLATILE, MESSAGE])
@pytest.mark.parametrize(("seconds", "expected"), [(4.0, []), (8.0, ["worker"])])
async def test_it_counts_from_when_the_work_was_taken(
    durability: Durability, seconds: float, expected: list[str], autojump_clock: MockClock
) -> None:
    journal = MemoryJournal()
    async with opened(kept(Worker, durability, progress_within=5.0), journal=journal) as running:
        await running.ref("worker").tell(Add(1))
        await trio.sleep(100)
        for _ in range(3):
            await running.ref("worker").tell(Add(1))
        await running.ref("worker").tell(Take(seconds))
        await trio.sleep(10)
        assert await stalls(journal) == expected


@pytest.mark.parametrize("last", [lambda: Add(0), lambda: Take(-1.0)])
async def test_the_end_of_one_that_failed_is_no_hang(last: Callable[[], object], autojump_clock: MockClock) -> None:
    """`on_stop` has a limit of its own, and the message that failed was in hand for no time."""
    journal = MemoryJournal()
    async with opened(
        kept(Worker, VOLATILE, progress_within=5.0, args={"ends_within": 4.0}), journal=journal
    ) as running:
        await running.ref("worker").tell(Add(1))
        await trio.sleep(100)
        await running.ref("worker").tell(last())
        await trio.sleep(10)
        assert await stalls(journal) == []


SMALL = MailboxSpec(capacity=1)


class Stage(Agent[int]):
    """Hands on what it is told: as its result, or by telling somebody, and then takes `rest` seconds."""

    state = 0

    def __init__(self, to: str = "", rest: float = 0.0) -> None:
        self.to, self.rest = to, rest

    @handles
    async def add(self, message: Add) -> Add | None:
        if not self.to:
            return message
        await self.ref(self.to).tell(message, within=math.inf)
        await trio.sleep(self.rest)
        return None


def line(to: str, rest: float, durability: Durability) -> tuple[Child, ...]:
    """A sink that is full, and who hands on to it."""
    sink = child(Stage, id="sink", mailbox=SMALL)
    first = kept(Stage, durability, id="first", progress_within=5.0, args={"to": to, "rest": rest})
    if not to:
        return (pipeline(first, sink, id="line"),)
    return sink, topic(subscriber("../sink", overflow=Overflow.WAIT), id="news"), first


@pytest.mark.parametrize("durability", [VOLATILE, MESSAGE], ids=["volatile", "message"])
@pytest.mark.parametrize("to", ["", "sink", "news"], ids=["result", "tell", "publish"])
async def test_who_waits_for_room_does_not_hang(to: str, durability: Durability, autojump_clock: MockClock) -> None:
    """It could do nothing else: ended over it, it would give up message after message while its sink rests."""
    journal, above = MemoryJournal(), "" if to else "line/"
    async with opened(*line(to, 0.0, durability), journal=journal) as running:
        running.hold(f"{above}sink", text="for a while")
        for n in range(1, 4):
            await running.ref(f"{above}first").tell(Add(n))
        await trio.sleep(100)
        assert await stalls(journal) == []
        running.resume(f"{above}sink")
        await trio.sleep(20)
        assert running.ref(f"{above}sink").statistics().depth == 0
        assert [each.handled for each in running.snapshot() if each.path == f"{above}sink"] == [3]


async def test_who_had_to_wait_for_room_hangs_after_that(autojump_clock: MockClock) -> None:
    journal = MemoryJournal()
    async with opened(*line("sink", 1000.0, MESSAGE), journal=journal) as running:
        running.hold("sink")
        await running.ref("sink").tell(Add(1))
        await running.ref("first").tell(Add(2))
        await trio.sleep(100)
        running.resume("sink")
        await trio.sleep(4)
        assert await stalls(journal) == []
        await trio.sleep(4)
        assert await stalls(journal) == ["first"]
