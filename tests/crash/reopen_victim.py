"""The process that is killed: `python reopen_victim.py FILE`, and the one that looks afterwards: `... FILE report`.

It opens three hundred agents, prints what each has, tells it numbers that go on from there, and prints each that was
acknowledged. The other one prints, as JSON, what each has when it has handled what was left for it.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import trio
from attrs import frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.message import Request
from treewarden.topologies.core.blueprint import Blueprint
from treewarden.topologies.open import open_tree
from treewarden.topologies.pool import pool
from treewarden.topologies.running import Tree
from treewarden.topologies.tree import tree

MANY = 150


@frozen
class Put:
    n: int


@frozen
class Seen:
    last: int = 0
    misplaced: int = 0


@frozen
class Look(Request[Seen]): ...


class Keeper(Agent[Seen]):
    """Has no task before its first message. Numbers have to come in order, and each of them once."""

    state = Seen()

    @handles
    async def put(self, message: Put) -> None:
        self.state = Seen(message.n, self.state.misplaced + (message.n != self.state.last + 1))

    @handles
    async def look(self, _: Look) -> Seen:
        return self.state


class Starter(Keeper):
    """Has a task from the beginning."""

    async def on_start(self) -> None: ...


def many() -> Blueprint:
    return tree(pool(Keeper, MANY, id="asleep"), pool(Starter, MANY, id="awake"))


PATHS = [f"{pool}/{number}" for pool in ("asleep", "awake") for number in range(MANY)]


async def feed(tree: Tree, paths: list[str]) -> None:
    """Two of each at a time, so that messages wait."""
    last = dict[str, int]()
    for path in paths:
        last[path] = (await tree.ref(path).ask(Look(), within=60)).last
        os.write(1, f"{path} has {last[path]}\n".encode())
    while True:
        for path in paths:
            for _ in range(2):
                last[path] += 1
                await tree.ref(path).tell(Put(last[path]))
                os.write(1, f"{path} {last[path]}\n".encode())


async def work(file: str) -> None:
    os.write(1, b"opening\n")
    async with open_tree(many(), journal=Path(file)) as tree, trio.open_nursery() as nursery:
        os.write(1, b"ready\n")
        for place in range(20):
            nursery.start_soon(feed, tree, PATHS[place::20])


async def report(file: str) -> None:
    found: dict[str, tuple[int, int]] = {}
    async with open_tree(many(), journal=Path(file)) as tree:
        for path in PATHS:
            seen = await tree.ref(path).ask(Look(), within=60)
            found[path] = (seen.last, seen.misplaced)
    os.write(1, json.dumps(found).encode())


if __name__ == "__main__":
    trio.run(report if "report" in sys.argv else work, sys.argv[1])
