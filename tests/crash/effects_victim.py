"""A desk that writes into the world outside and is killed: `python effects_victim.py FILE OUTSIDE SAYS POINT`.

Without a point it goes on until the message has settled, or a person is asked, and prints which.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import trio
import trio.lowlevel
from attrs import frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.message import Request
from treewarden.agents.core.step import Done
from treewarden.agents.errors import NotDone
from treewarden.topologies.child import child
from treewarden.topologies.open import open_tree
from treewarden.topologies.tree import tree

POINTS = ("handler", "begun", "done", "returned", "stored", "settled")


@frozen
class Pay:
    pass


@frozen
class Total(Request[int]):
    pass


class Desk(Agent[int]):
    state = 0

    def __init__(self, outside: str, says: str, point: str) -> None:
        self.outside = Path(outside)
        self.says = says
        self.point = point

    def die_at(self, point: str) -> None:
        if self.point == point:
            os.kill(os.getpid(), signal.SIGKILL)

    async def charge(self, key: str) -> int:
        self.die_at("begun")
        with self.outside.open("a") as file:
            file.write(f"{key}\n")
            file.flush()
            os.fsync(file.fileno())
        self.die_at("done")
        return 1

    async def look(self, key: str) -> Done[int] | NotDone:
        return Done(1) if key in self.outside.read_text().split() else NotDone()

    async def mark(self, key: str) -> None:
        self.die_at("stored")  # what came of the effect before is on disk when this one begins

    @handles
    async def pay(self, message: Pay) -> None:
        self.die_at("handler")
        verify = self.look if self.says == "verify" else None
        self.state += await self.effect("charge", self.charge, idempotent=self.says == "idempotent", verify=verify)
        self.die_at("returned")
        await self.effect("mark", self.mark, idempotent=True)

    @handles
    async def total(self, message: Total) -> int:
        return self.state


async def work(file: str, outside: str, says: str, point: str) -> None:
    desk = child(Desk, args={"outside": outside, "says": says, "point": point})
    async with open_tree(tree(desk), journal=Path(file)) as running:
        if point:
            await running.ref("desk").tell(Pay())
            await running.ref("desk").ask(Total(), within=60)  # behind it
            os.kill(os.getpid(), signal.SIGKILL)
        said: list[object] = []
        async with trio.open_nursery() as nursery:

            async def ask() -> None:
                said.append(await running.ref("desk").ask(Total(), within=60))
                nursery.cancel_scope.cancel()

            nursery.start_soon(ask)
            while not running.snapshot()[0].held:
                await trio.lowlevel.checkpoint()
            said.append("held")
            nursery.cancel_scope.cancel()
        doubts = [each.effect for each in await running.effects()]
        sys.stdout.write(f"{said[0]} {doubts}\n")


if __name__ == "__main__":
    trio.run(work, sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4])
