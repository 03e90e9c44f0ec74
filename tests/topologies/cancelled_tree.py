"""Trees for test_cancelled_anywhere.py, and who is at work in them: what was acknowledged, and what certainly was not
sent."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, TypeAlias

import trio
from attrs import Factory, define, frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import VOLATILE, MailboxSpec, Overflow
from treewarden.agents.core.message import Request
from treewarden.agents.core.path import Path
from treewarden.agents.errors import TreewardenError
from treewarden.supervisor.core.policies import otp
from treewarden.supervisor.core.spec import NO_BACKOFF, ChildSpec, Grace, Intensity, Strategy
from treewarden.supervisor.journal.memory import MemoryJournal
from treewarden.topologies.child import child
from treewarden.topologies.core.blueprint import Blueprint
from treewarden.topologies.gather import gather
from treewarden.topologies.partition import partitions
from treewarden.topologies.pool import pool
from treewarden.topologies.portal import open_portal
from treewarden.topologies.running import Tree
from treewarden.topologies.topic import subscriber, topic
from treewarden.topologies.tree import tree

__all__ = ["SCENES", "Noted", "Seen", "states_of"]

OFTEN = Intensity(1000, 1.0)
BOX = MailboxSpec(deliveries=50, capacity=4)
IN_MEMORY = MailboxSpec(durability=VOLATILE)
Numbers: TypeAlias = tuple[int, ...]


@frozen
class Job:
    number: int
    key: str = "k"


@frozen
class Hand:
    """A job for somebody else."""

    number: int
    to: str


@frozen
class Look(Request[int]):
    number: int


@frozen
class Seen(Request[Numbers]):
    """Ask which jobs were done."""


@define
class Noted:
    """What is known of each job from outside."""

    acknowledged: defaultdict[str, set[int]] = Factory(lambda: defaultdict[str, set[int]](set))
    """By the path that was told."""
    not_sent: set[int] = Factory(set[int])
    failed: set[int] = Factory(set[int])
    """Jobs over which somebody has died once."""

    async def tell(self, running: Tree, path: str, message: Job | Hand) -> None:
        try:
            with suppress(TreewardenError):
                await running.ref(path).tell(message)
                self.acknowledged[path].add(message.number)
        except trio.Cancelled:
            self.not_sent.add(message.number)
            raise


async def call(function: Callable[..., Awaitable[Any]], *args: Any) -> None:
    """What operators do; it may be refused."""
    with suppress(TreewardenError):
        await function(*args)


class Worker(Agent[Numbers]):
    state = ()

    def __init__(self, noted: Noted) -> None:
        self.noted = noted

    def die_once(self, number: int) -> None:
        if number % 4 == 1 and number not in self.noted.failed:
            self.noted.failed.add(number)
            raise ValueError(f"job {number}")

    @handles
    async def job(self, message: Job) -> None:
        if message.number % 3 == 0:
            await trio.sleep(0.01)
        self.die_once(message.number)
        self.state = (*self.state, message.number)

    @handles
    async def hand(self, message: Hand) -> None:
        await self.ref(message.to).tell(Job(message.number + 1000))
        if message.number % 2:
            await self.ref(message.to).ask(Look(message.number))
        self.die_once(message.number)
        self.state = (*self.state, message.number)

    @handles
    async def look(self, message: Look) -> int:
        await trio.sleep(0.001)
        return message.number

    @handles
    def seen(self, message: Seen) -> Numbers:
        return self.state


class Busy(Worker):
    """In memory, with something beside its handlers and something to do at its end."""

    async def on_start(self) -> None:
        self.after(0.005, Job(2))
        self.start_soon(trio.sleep_forever)

    async def on_stop(self, exit: object) -> None:
        await trio.sleep(0.001)


def durable(noted: Noted, id: str, **options: Any) -> ChildSpec:
    return child(Worker, id=id, args={"noted": noted}, mailbox=BOX, backoff=NO_BACKOFF, **options)


def busy(noted: Noted, id: str) -> ChildSpec:
    return child(Busy, id=id, args={"noted": noted}, mailbox=IN_MEMORY, backoff=NO_BACKOFF)


def crowd(noted: Noted) -> Blueprint:
    """Asks and tells between agents, a pool that shares its work, partitions, a group, and who sleeps early."""
    group = tree(durable(noted, "x"), durable(noted, "y"), id="s", strategy=Strategy.ONE_FOR_ALL, restarts=OFTEN)
    return tree(
        durable(noted, "a", hibernate_after=0.01),
        busy(noted, "v"),
        pool(durable(noted, "p"), size=2, route="shared"),
        partitions(tree(durable(noted, "book"), id="shelf", restarts=OFTEN), 2, key="key", entry="book"),
        group,
        restarts=OFTEN,
        policy=otp(),
    )


async def work_in_a_crowd(running: Tree, noted: Noted) -> None:
    async with trio.open_nursery() as nursery:
        for number in range(6):
            nursery.start_soon(noted.tell, running, "a", Hand(100 + number, "../s/x"))
            nursery.start_soon(noted.tell, running, "p", Job(200 + number))
            nursery.start_soon(noted.tell, running, "shelf", Job(300 + number, key=str(number)))
        nursery.start_soon(call, running.ref("p").ask, Look(1))
        await trio.sleep(0.005)
        for path in ("s/y", "v", "p/1", "shelf/0"):
            running.kill(path)
        nursery.start_soon(call, gather, [running.ref(path) for path in ("a", "v", "s/y")], Seen())
    await trio.sleep(0.05)
    await noted.tell(running, "a", Job(120))
    await call(running.drain, "s")
    await call(running.drain, "p")


def office(noted: Noted, *more: ChildSpec, grace: float = 5.0) -> Blueprint:
    """Whom operators change while they work."""
    low = tree(durable(noted, "c"), durable(noted, "d"), id="s", strategy=Strategy.REST_FOR_ONE, restarts=OFTEN)
    return tree(
        durable(noted, "a", shutdown=Grace(grace)),
        durable(noted, "b"),
        topic("../a", subscriber(durable(noted, "y"), overflow=Overflow.WAIT), id="t"),
        low,
        *more,
        restarts=OFTEN,
        policy=otp(),
    )


async def changes_in_an_office(running: Tree, noted: Noted) -> None:
    top, low = running.supervisor(), running.supervisor("s")
    async with trio.open_nursery() as nursery, open_portal(running) as portal:
        for number in range(6):
            nursery.start_soon(noted.tell, running, "a", Hand(400 + number, "../s/c"))
            nursery.start_soon(noted.tell, running, "s/c", Job(500 + number))
        nursery.start_soon(running.ref("t").tell, Job(600))
        nursery.start_soon(call, top.start_child, durable(noted, "new"))
        nursery.start_soon(call, top.terminate_child, "b")
        nursery.start_soon(call, low.start_child, busy(noted, "v"))
        nursery.start_soon(call, low.terminate_child, "d")
        portal.tell_soon("s/c", Job(700))
        await trio.sleep(0.002)
        nursery.start_soon(call, top.restart_child, "b")
        nursery.start_soon(call, low.restart_child, "d")
        nursery.start_soon(call, low.children)
        await trio.sleep(0.01)
        running.kill("s/c")
        nursery.start_soon(call, low.terminate_child, "v")
        nursery.start_soon(call, running.checkpoint, "a")
        nursery.start_soon(call, running.reload, office(noted, busy(noted, "e"), grace=1.0))
        for number in range(6):
            nursery.start_soon(noted.tell, running, "s/c", Job(520 + number))


SCENES: Mapping[str, tuple[Callable[[Noted], Blueprint], Callable[[Tree, Noted], Awaitable[None]]]] = {
    "crowd": (crowd, work_in_a_crowd),
    "office": (office, changes_in_an_office),
}


async def states_of(journal: MemoryJournal, paths: Iterable[Path]) -> dict[Path, Numbers]:
    """The jobs that each durable agent has done, as they are stored."""
    found: dict[Path, Numbers] = {}
    async with journal:
        for path in paths:
            state = (await journal.recover(path)).state
            if state is not None:
                found[path] = tuple(json.loads(state.body))
    return found
