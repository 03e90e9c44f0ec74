"""A chain of agents of which one kills the process: `python trace_victim.py FILE SEEN AT`.

Each handler writes the chain it is of, its place, and its trace to SEEN. At the place AT it is killed, before or after
it has told the next one; without AT it goes on until all of it is handled.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import trio
from attrs import frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.message import Request
from treewarden.topologies.child import child
from treewarden.topologies.open import open_tree
from treewarden.topologies.tree import tree

PLACES = ("a", "b", "c")
POINTS = tuple(f"{place}-{when}" for place in PLACES for when in ("begun", "told", "next"))


@frozen
class Go:
    of: int


@frozen
class Gone(Request[int]):
    pass


class Link(Agent[int]):
    state = 0

    def __init__(self, name: str, seen: str, point: str) -> None:
        self.name = name
        self.seen = Path(seen)
        self.point = point

    def die_at(self, when: str) -> None:
        if self.point == f"{self.name}-{when}":
            os.kill(os.getpid(), signal.SIGKILL)

    @handles
    async def go(self, message: Go) -> None:
        if self.state:
            self.die_at("next")  # what the first chain has told is on its way
        with self.seen.open("a") as file:
            file.write(f"{message.of} {self.name} {self.trace}\n")
            file.flush()
            os.fsync(file.fileno())
        self.die_at("begun")
        if self.name != PLACES[-1]:
            await self.ref(f"../{PLACES[PLACES.index(self.name) + 1]}").tell(message)
        self.die_at("told")
        self.state += 1

    @handles
    def gone(self, message: Gone) -> int:
        return self.state


async def work(file: str, seen: str, point: str) -> None:
    links = [child(Link, id=name, args={"name": name, "seen": seen, "point": point}) for name in PLACES]
    async with open_tree(tree(*links), journal=Path(file)) as running:
        if point:
            for of in (1, 2):
                await running.ref("a").tell(Go(of))
            await trio.sleep(60)
        for name in PLACES:
            await running.ref(name).ask(Gone(), within=60)


if __name__ == "__main__":
    trio.run(work, sys.argv[1], sys.argv[2], sys.argv[3])
