"""Agents that subscribe to topics, as several tests have them."""

from __future__ import annotations

import trio
import trio.testing
from attrs import frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import VOLATILE, MailboxSpec
from treewarden.agents.core.message import Request
from treewarden.supervisor.core.event import DeadLettered
from treewarden.supervisor.journal.memory import MemoryJournal
from treewarden.topologies.child import child
from treewarden.topologies.running import Tree

CLOCK = trio.testing.MockClock
SMALL = MailboxSpec(capacity=2, durability=VOLATILE)


@frozen
class Price:
    n: int


@frozen
class News:
    text: str = ""


@frozen
class Got(Request[tuple[int, ...]]):
    pass


@frozen
class Publish:
    first: int
    fail: bool = False


class Reader(Agent[tuple[int, ...]]):
    """Keeps the prices that it is told; 13 is its death."""

    state = ()

    @handles
    async def price(self, message: Price) -> None:
        if message.n == 13:
            raise RuntimeError("thirteen")
        self.state = (*self.state, message.n)

    @handles
    def got(self, message: Got) -> tuple[int, ...]:
        return self.state


class Slow(Reader):
    """Takes nothing until it is let go."""

    gate: trio.Event

    @handles
    async def price(self, message: Price) -> None:
        await Slow.gate.wait()
        self.state = (*self.state, message.n)


class Market(Agent[None]):
    """Publishes from a handler, twice; one that fails has published nothing if it is durable."""

    def __init__(self, at: str) -> None:
        self.at = at

    @handles
    async def publish(self, message: Publish) -> None:
        await self.ref(self.at).tell(Price(message.first))
        await self.ref(self.at).tell(Price(message.first + 1))
        if message.fail:
            raise RuntimeError("no market today")


class Joiner(Reader):
    async def on_start(self) -> None:
        self.ref("../prices").subscribe(self.path)


def volatile(agent: type[Agent[tuple[int, ...]]], id: str, capacity: int = 64) -> object:
    return child(agent, id=id, mailbox=MailboxSpec(capacity=capacity, durability=VOLATILE))


async def got(running: Tree, path: str) -> tuple[int, ...]:
    return await running.ref(path).ask(Got())


async def dead(journal: MemoryJournal) -> list[str]:
    records = await journal.read(0)
    return [record.event.path for record in records if isinstance(record.event, DeadLettered)]
