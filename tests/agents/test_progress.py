"""What counts as work in hand that brings forth nothing: only what has to wait can be looked at while it is in hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio
from attrs import frozen
from trio.testing import MockClock

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import MESSAGE, VOLATILE, Durability
from treewarden.agents.core.exit import Exit
from treewarden.supervisor.core.event import SignalNoted
from treewarden.supervisor.journal.memory import MemoryJournal

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
