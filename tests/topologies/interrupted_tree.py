"""A program for test_interrupted.py: a tree that says READY where it is to be interrupted."""

from __future__ import annotations

import sys
import time
from typing import Any

import trio
import trio.testing
from attrs import frozen

from treewarden.agents import Agent, Request, every, handles
from treewarden.agents.core.durability import VOLATILE, MailboxSpec
from treewarden.agents.core.exit import Exit, leaves
from treewarden.agents.core.path import Path
from treewarden.supervisor import NO_BACKOFF, Grace, Intensity, otp
from treewarden.topologies import child, open_tree, tree

MAILBOX = MailboxSpec(capacity=1000, durability=VOLATILE)


def say(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


async def say_ready() -> None:
    """Say so when nobody is at work: Ctrl-C comes out of the main task then, not out of whoever it hits."""
    await trio.testing.wait_all_tasks_blocked()
    say("READY")


async def take_time(seconds: float = 100) -> None:
    trio.lowlevel.spawn_system_task(say_ready)
    await trio.sleep(seconds)


@frozen
class Work:
    pass


@frozen
class Wait(Request[None]):
    pass


class Up(Agent[None]):
    async def on_start(self) -> None:
        say("+", self.path)

    async def on_stop(self, exit: Exit) -> None:
        say("-", self.path)

    @handles
    async def work(self, message: Work) -> None:
        await trio.sleep(0.01)


class Slow(Up):
    """Takes its time where it is told to."""

    where = ""

    async def on_start(self) -> None:
        say("+", self.path)
        if self.where == "on_start":
            await take_time()
        if self.where == "on_start, busy":
            self.be_busy()

    async def on_stop(self, exit: Exit) -> None:
        say("-", self.path)
        if self.where == "on_stop":
            await take_time()

    @handles
    async def wait(self, message: Wait) -> None:
        if self.where == "handler, busy":
            self.be_busy()
        if self.where == "handler, shielded":
            with trio.CancelScope(shield=True):
                await take_time(0.5)
        await take_time()

    def be_busy(self) -> None:
        say("READY")
        end = time.monotonic() + 100
        while time.monotonic() < end:
            pass


class Restless(Up):
    """Fails as fast as it can."""

    @every(0.01)
    def tick(self) -> None:
        raise RuntimeError("again")


async def hang(_: Path) -> None:
    await take_time()


def spec(where: str) -> Any:
    Slow.where = where.removeprefix("below: ")
    slow: Any = child(
        Slow, id="slow", mailbox=MAILBOX, start_within=100, shutdown=Grace(0.3 if "once" in sys.argv else 100)
    )
    if where == "on_start of a supervisor":
        slow = tree(child(Up, id="n"), id="s", on_start=hang, start_within=100)
    elif where.startswith("below: "):
        slow = tree(child(Up, id="n"), slow, child(Up, id="never"), id="s")
    elif where == "storm":
        slow = tree(
            *(child(Restless, id=f"r{n}", mailbox=MAILBOX, backoff=NO_BACKOFF) for n in range(10)),
            id="s",
            restarts=Intensity(1_000_000, 1),
        )
    return tree(child(Up, id="one", mailbox=MAILBOX), slow, child(Up, id="two"), policy=otp())


async def main(where: str) -> None:
    async with open_tree(spec(where)) as running:
        match where:
            case "block" | "storm":
                await trio.sleep(0.1)
                await take_time()
            case "drain":
                for _ in range(200):
                    running.ref("one").tell_nowait(Work())
                trio.lowlevel.spawn_system_task(say_ready)
                await running.drain("one", within=100)
            case "on_stop":
                return
            case _:
                await running.ref("slow").ask(Wait(), within=100)


if __name__ == "__main__":
    try:
        trio.run(main, sys.argv[1])
    except BaseException as error:
        say("RAISED", *(type(leaf).__name__ for leaf in leaves(error)))
        sys.exit(130)
