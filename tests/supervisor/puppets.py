"""Agents that do what a test tells them, and trees of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import trio
import trio.testing
from attrs import evolve, field, frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import VOLATILE, MailboxSpec
from treewarden.agents.core.exit import Exit
from treewarden.agents.core.message import Request
from treewarden.agents.errors import TreeFailed
from treewarden.supervisor.core.event import Event
from treewarden.supervisor.core.policies import otp
from treewarden.supervisor.core.spec import NO_BACKOFF, ChildSpec, Spec, Strategy, SupervisorSpec
from treewarden.supervisor.journal.port import Journal
from treewarden.topologies.open import open_tree
from treewarden.topologies.running import Tree

IN_MEMORY = MailboxSpec(durability=VOLATILE)


@frozen
class Do:
    """Handle this by calling `work` with the agent."""

    work: Callable[[Puppet], Awaitable[Any]] = field(eq=False)


@frozen
class Add:
    amount: int


@frozen
class Total(Request[int]):
    pass


async def nothing(_: Puppet) -> None:
    """What most of them do most of the time."""


def fail(error: BaseException) -> Callable[[Puppet], Awaitable[None]]:
    async def work(_: Puppet) -> None:
        raise error

    return work


class Puppet(Agent[int]):
    """Counts what it is told, and writes down its starts and ends."""

    state = 0

    def __init__(
        self,
        log: list[str],
        starting: Callable[[Puppet], Awaitable[Any]] = nothing,
        stopping: Callable[[Puppet], Awaitable[Any]] = nothing,
    ) -> None:
        self.log = log
        self.starting = starting
        self.stopping = stopping

    async def on_start(self) -> Any:
        info = await self.starting(self)
        self.log.append(f"+{self.path}")
        return info

    async def on_stop(self, exit: Exit) -> None:
        self.log.append(f"-{self.path}")
        await self.stopping(self)

    @handles
    def add(self, message: Add) -> None:
        self.state += message.amount

    @handles
    def total(self, message: Total) -> int:
        return self.state

    @handles
    async def do(self, message: Do) -> None:
        await message.work(self)


def puppet(id: str, log: list[str] | None = None, *, args: dict[str, Any] | None = None, **fields: Any) -> ChildSpec:
    """The spec of a puppet, without backoff and with its mailbox in memory."""
    given: dict[str, Any] = {"mailbox": IN_MEMORY, "backoff": NO_BACKOFF, **fields}
    return ChildSpec(id=id, agent=Puppet, args={"log": [] if log is None else log, **(args or {})}, **given)


def under(*children: Spec, id: str = "tree", **fields: Any) -> SupervisorSpec:
    """A supervisor of these."""
    return SupervisorSpec(id=id, children=children, **fields)


def dynamic(template: Spec, id: str = "tree", **fields: Any) -> SupervisorSpec:
    return SupervisorSpec(id=id, children=(template,), strategy=Strategy.DYNAMIC, **fields)


def running(blueprint: SupervisorSpec, journal: Journal | None = None) -> AbstractAsyncContextManager[Tree]:
    """The tree, under `otp()` unless it says otherwise."""
    if blueprint.policy is None:
        blueprint = evolve(blueprint, policy=otp())
    return open_tree(blueprint, journal=journal, seed=0, wall=lambda: 0.0)


async def end_of(
    blueprint: SupervisorSpec, script: Callable[[Tree], Awaitable[Any]], journal: Journal | None = None
) -> TreeFailed:
    """Run the tree, and in it the script, which is its end."""
    try:
        async with running(blueprint, journal) as tree:
            await script(tree)
            await trio.sleep_forever()
    except TreeFailed as failed:
        return failed
    raise AssertionError("it did not fail")


async def quiet() -> None:
    """Wait until nobody can go on."""
    await trio.testing.wait_all_tasks_blocked()


async def tell(tree: Tree, path: str, work: Callable[[Puppet], Awaitable[Any]]) -> None:
    """Have the puppet at `path` do something, and see what comes of it."""
    await tree.ref(path).tell(Do(work))
    await quiet()


async def crash(tree: Tree, path: str, text: str = "crash") -> None:
    await tell(tree, path, fail(RuntimeError(text)))


def lives(tree: Tree) -> dict[str, int]:
    """The number of the current or last incarnation of every slot."""
    return {slot.path: slot.incarnation for slot in tree.snapshot()}


def states(tree: Tree) -> dict[str, str]:
    return {slot.path: str(slot.state) for slot in tree.snapshot()}


async def events(journal: Journal, *kinds: type[Event]) -> list[Event]:
    """The committed events of these kinds."""
    return [record.event for record in await journal.read(limit=10_000) if isinstance(record.event, kinds)]
