"""A desk whose handlers sleep: `python waits_victim.py FILE HOW WALL`. Its clock begins at WALL: days are short.

HOW: `park` has a hundred messages parked, and a plain one kills it; `first` and `after` are killed by a message of
theirs, that plain one or one that has slept; `go on` prints what it handles, and what is left.
"""

from __future__ import annotations

import math
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
from treewarden.topologies.running import Tree
from treewarden.topologies.tree import tree

COUNT = 100


@frozen
class Remind:
    number: int
    at: float


@frozen
class Note:
    pass


@frozen
class Which(Request[tuple[int, ...]]):
    pass


class Desk(Agent[tuple[int, ...]]):
    state = ()

    def __init__(self, how: str, trees: list[Tree]) -> None:
        self.how = how
        self.trees = trees

    async def die_at(self, *how: str) -> None:
        """When what was written at the start is on disk: who was first, if the process before this one has died."""
        if self.how in how:
            while not self.trees:
                await trio.lowlevel.checkpoint()
            await self.trees[0]._common.outage.written(math.inf)  # pyright: ignore[reportPrivateUsage]
            os.kill(os.getpid(), signal.SIGKILL)

    @handles
    async def remind(self, message: Remind) -> None:
        await self.sleep_until(message.at)
        await self.die_at("after")
        self.state = (*self.state, message.number)

    @handles
    async def note(self, message: Note) -> None:
        await self.die_at("park", "first")

    @handles
    async def which(self, message: Which) -> tuple[int, ...]:
        return self.state


def at(number: int) -> float:
    """When one comes back: in another order than they were told in, and so far apart that no process lasts as long."""
    return 100_000.0 + number * 37 % COUNT * 1000.0


async def work(file: str, how: str, wall: float) -> None:
    begun = trio.current_time()
    trees = list[Tree]()
    desk = child(Desk, args={"how": how, "trees": trees})
    async with open_tree(tree(desk), journal=Path(file), wall=lambda: wall + trio.current_time() - begun) as running:
        trees.append(running)
        ref = running.ref("desk")
        if how == "park":
            for number in range(COUNT):
                await ref.tell(Remind(number, at(number)))
            await ref.tell(Note())
            await trio.sleep_forever()
        handled = await ref.ask(Which(), within=60)
        waiting = [each.message for each in await running.waits()]
        letters = [each.reason for each in await running.dead_letters()]
        sys.stdout.write(f"{list(handled)}\n{len(waiting)}\n{letters}\n")


if __name__ == "__main__":
    trio.run(work, sys.argv[1], sys.argv[2], float(sys.argv[3]))
