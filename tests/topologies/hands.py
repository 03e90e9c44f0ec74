"""A pool of hands that share a queue, as several tests have it."""

from __future__ import annotations

from typing import Any

import trio
import trio.testing
from attrs import frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import VOLATILE, MailboxSpec
from treewarden.agents.core.message import Request
from treewarden.supervisor.core.policies import otp
from treewarden.supervisor.core.spec import NO_BACKOFF, ChildSpec, Intensity
from treewarden.topologies.child import child
from treewarden.topologies.core.blueprint import Blueprint
from treewarden.topologies.pool import pool
from treewarden.topologies.running import Tree
from treewarden.topologies.tree import tree

CLOCK = trio.testing.MockClock
MEMORY = MailboxSpec(durability=VOLATILE)


@frozen
class Job:
    n: int
    seconds: float = 0.0
    fails: bool = False


@frozen
class Who(Request[str]):
    seconds: float = 0.0
    fails: bool = False


@frozen
class More:
    n: int


class Log:
    """What was begun and what was done, by whom."""

    def __init__(self) -> None:
        self.begun: list[tuple[str, int]] = []
        self.done: list[tuple[str, int]] = []

    @property
    def numbers(self) -> list[int]:
        return [n for _, n in self.done]


class Hand(Agent[int]):
    """Takes its time over a job, and may fail at it."""

    state = 0

    def __init__(self, log: Log) -> None:
        self.log = log

    @handles
    async def job(self, message: Job) -> None:
        self.log.begun.append((self.path.name, message.n))
        await trio.sleep(message.seconds)
        if message.fails:
            raise RuntimeError("no")
        self.state += 1
        self.log.done.append((self.path.name, message.n))

    @handles
    async def who(self, message: Who) -> str:
        await trio.sleep(message.seconds)
        if message.fails:
            raise RuntimeError("no")
        return self.path.name

    @handles
    async def more(self, message: More) -> None:
        for n in range(message.n):
            await self.ref("..").tell(Job(n))


def hands(log: Log, size: int = 3, mailbox: MailboxSpec = MEMORY, **options: Any) -> Blueprint:
    limits = {"restarts": Intensity(1000, 1), "policy": otp()}
    return tree(pool(worker(log, mailbox), size=size, route="shared", **{**limits, **options}), **limits)  # type: ignore[arg-type]


def worker(log: Log, mailbox: MailboxSpec = MEMORY) -> ChildSpec:
    return child(Hand, args={"log": log}, mailbox=mailbox, backoff=NO_BACKOFF)


async def tell(running: Tree, *jobs: Job) -> None:
    for job in jobs:
        await running.ref("hand").tell(job)
