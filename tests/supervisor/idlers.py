"""Agents that have nothing to do, and ways to wait until they sleep."""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from typing import Any

import trio
from attrs import frozen
from trio.lowlevel import Task, checkpoint

from treewarden.agents.agent import Agent, every, handles
from treewarden.agents.core.durability import VOLATILE, Durability, MailboxSpec
from treewarden.agents.core.exit import Exit
from treewarden.agents.core.message import Request
from treewarden.supervisor import NO_BACKOFF, ChildSpec, Intensity, otp
from treewarden.topologies import Tree, child, open_tree, tree

__all__ = [
    "AFTER",
    "MARK",
    "Both",
    "Call",
    "Do",
    "Keeps",
    "Later",
    "Plain",
    "Runs",
    "Starts",
    "Stops",
    "Ticks",
    "Where",
    "asleep",
    "one",
    "opened",
    "rest",
    "slot_of",
]

MARK: contextvars.ContextVar[str] = contextvars.ContextVar("mark", default="")
AFTER = 4.0


@frozen
class Do:
    """Something that the test has thought of."""

    what: Callable[[Any], Any]


@frozen
class Call(Request[Any]):
    """The same, for its result."""

    what: Callable[[Any], Any]


@frozen
class Where(Request[Task]):
    """In which task do you live?"""


@frozen
class Later:
    """What it sets for itself."""


class Plain(Agent[int]):
    state = 0

    def __init__(self, log: list[Any] | None = None) -> None:
        self.log: list[Any] = [] if log is None else log
        self.own = 0

    @handles
    async def do(self, message: Do) -> None:
        self.state += 1
        done = message.what(self)
        if done is not None:
            await done

    @handles
    def call(self, message: Call) -> Any:
        return message.what(self)

    @handles
    def later(self, message: Later) -> None:
        self.log.append(("later", trio.current_time()))

    @handles
    async def where(self, message: Where) -> Task:
        await checkpoint()  # what awaits nothing may run in the task of whoever asks
        return trio.lowlevel.current_task()


class Starts(Plain):
    async def on_start(self) -> None:
        MARK.set("from on_start")
        self.log.append("started")


class Stops(Plain):
    async def on_stop(self, exit: Exit) -> None:
        await trio.lowlevel.checkpoint()
        self.log.append(exit)


class Both(Starts, Stops): ...


class Runs(Plain):
    async def run(self) -> None:
        await trio.sleep_forever()


class Keeps(Plain):
    keeps_task = True


class Ticks(Plain):
    @every(30)
    async def tick(self) -> None:
        self.log.append(("tick", trio.current_time()))


def one(
    agent: type[Agent[Any]] = Plain, durability: Durability = VOLATILE, after: float = AFTER, **options: Any
) -> ChildSpec:
    mailbox = MailboxSpec(durability=durability)
    return child(agent, id="a", mailbox=mailbox, backoff=NO_BACKOFF, hibernate_after=after, **options)


def opened(*specs: ChildSpec, **options: Any) -> Any:
    return open_tree(tree(*specs, policy=otp(), restarts=Intensity(100, 5.0)), seed=1, **options)


def slot_of(running: Tree, path: str = "a") -> Any:
    ref = running.ref(path)
    return ref._find(ref.path)  # pyright: ignore[reportPrivateUsage]


async def rest(seconds: float, _: Any) -> None:
    await trio.sleep(seconds)


async def asleep(running: Tree, path: str = "a") -> None:
    """Wait until it has no task. Fails if it keeps it."""
    slot = slot_of(running, path)
    with trio.fail_after(5 * AFTER):
        while slot.rouse is None:  # noqa: ASYNC110
            await trio.sleep(0.25)
