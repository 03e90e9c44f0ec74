"""One message that fails at one worker after the other is no sign that what they share is down."""

from __future__ import annotations

import trio
from attrs import frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import MailboxSpec
from treewarden.supervisor.core.event import DependencyChanged
from treewarden.supervisor.core.spec import Intensity
from treewarden.topologies.child import child
from treewarden.topologies.open import open_tree
from treewarden.topologies.pool import pool
from treewarden.topologies.tree import tree

MANY = 300


@frozen
class Page:
    number: int


class Reader(Agent[None]):
    def __init__(self, garbled: frozenset[int], done: list[int]) -> None:
        self.garbled, self.done = garbled, done

    @handles
    async def page(self, message: Page) -> None:
        await trio.sleep(0.1)
        if message.number in self.garbled:
            raise ValueError(f"page {message.number} is garbled")
        self.done.append(message.number)


async def broken_over(garbled: frozenset[int], done: list[int]) -> int:
    """How often the service was left alone while a pool of six has 300 pages; whoever could be read is in `done`."""
    reader = child(
        Reader,
        args={"garbled": garbled, "done": done},
        uses=("model",),
        mailbox=MailboxSpec(deliveries=9, capacity=MANY),
    )
    readers = pool(reader, size=6, route="shared", id="readers", restarts=Intensity(100, within=5))
    broken = 0
    async with open_tree(tree(readers), seed=0) as running:
        for number in range(MANY):
            await running.ref("readers").tell(Page(number))
        await running.drain("readers", within=30)
        head = running.head
        async with running.events() as events:
            async for record in events:
                broken += isinstance(record.event, DependencyChanged)
                if record.seq >= head:
                    break
    return broken


async def test_one_message_that_fails_at_all_workers_has_nobody_wait(autojump_clock: trio.abc.Clock) -> None:
    done: list[int] = []
    assert await broken_over(frozenset({7}), done) == 0
    assert sorted(done) == [number for number in range(MANY) if number != 7]


async def test_messages_that_all_fail_alike_are_what_is_down_for_all(autojump_clock: trio.abc.Clock) -> None:
    assert await broken_over(frozenset(range(MANY)), []) > 0
