"""A dead letter is the message that was given up: whoever puts it back sends the same."""

from __future__ import annotations

from typing import ClassVar

import pytest
import trio
from attrs import frozen
from trio.testing import MockClock

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import MESSAGE, Checkpointed, MailboxSpec
from treewarden.supervisor.core.event import DeadLettered
from treewarden.supervisor.core.spec import NO_BACKOFF, Backoff, Intensity
from treewarden.topologies.child import child

from .effects_desk import Processes
from .effects_desk import processes as processes
from .trees import Disk, happened, kept, opened

LONG = "x" * 100_000


@frozen
class Order:
    __version__: ClassVar[int] = 3
    text: str


@frozen
class Pass:
    text: str


class Clerk(Agent[None]):
    @handles
    def order(self, message: Order) -> None:
        raise ValueError("unlucky")


class Counting(Agent[None]):
    """Fails, and remembers what over."""

    def __init__(self, seen: list[str]) -> None:
        self.seen = seen

    @handles
    def order(self, message: Order) -> None:
        self.seen.append(message.text)
        raise ValueError("unlucky")


class Desk(Agent[None]):
    @handles
    async def pass_on(self, message: Pass) -> None:
        await self.ref("clerk").tell(Order(message.text))


@pytest.mark.parametrize("text", ["short", LONG], ids=["short", "long"])
async def test_a_dead_letter_is_what_was_told(text: str, autojump_clock: MockClock) -> None:
    journal = Disk()
    clerk = kept(Clerk, MESSAGE, backoff=NO_BACKOFF)
    async with opened(clerk, kept(Desk, MESSAGE), journal=journal, restarts=Intensity(9, 5.0)) as running:
        await running.ref("desk").tell(Pass(text))
        (event,) = await happened(running, DeadLettered)
        await running.ref("clerk").tell(Order("from outside"), priority=1)
        await happened(running, DeadLettered, 2)
        await trio.sleep(1)
        second, first = await journal.dead_letters(running.ref("clerk").path)
        assert (first.sender, first.version, first.body) == ("desk", 3, f'{{"text":"{text}"}}')
        assert (second.sender, second.version, second.body) == (None, 3, '{"text":"from outside"}')
        assert first.id == event.message
        assert first.id
        assert first.id != second.id
        assert first.kind == second.kind == event.kind
        assert (first.priority, second.priority) == (2, 1)


async def test_the_next_process_calls_nothing_so_that_waited_in_memory(
    processes: Processes, autojump_clock: MockClock
) -> None:
    """A mailbox in memory has no rows; what is given up of it is called by a number all the same."""
    for text in ("first", "second"):
        clerk = kept(Clerk, Checkpointed(messages=1), backoff=NO_BACKOFF)
        async with opened(clerk, kept(Clerk, MESSAGE, id="other"), journal=processes()) as running:
            await running.ref("clerk").tell(Order(text))
            await running.ref("other").tell(Order(text))
            await trio.sleep(60)
            letters = await running.dead_letters()
    assert len({each.id for each in letters}) == len(letters) == 4


async def test_an_attempt_that_failed_counts_in_the_next_process(
    processes: Processes, autojump_clock: MockClock
) -> None:
    """Else one that is stopped between two attempts, time and again, tries a message for ever."""
    seen = list[str]()
    mailbox, backoff = MailboxSpec(deliveries=3), Backoff(first=60.0, most=60.0, jitter=0.0)
    clerk = child(Counting, id="clerk", args={"seen": seen}, mailbox=mailbox, backoff=backoff)
    async with opened(clerk, journal=processes()) as running:
        await running.ref("clerk").tell(Order("a"))
        await trio.sleep(90)
        assert len(seen) == 2
    async with opened(clerk, journal=processes()) as running:
        (event,) = await happened(running, DeadLettered)
        assert event.reason.startswith("its handler failed 3 times")
        assert len(seen) == 3
