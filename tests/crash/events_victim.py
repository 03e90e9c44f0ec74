"""A desk whose handlers wait for events: `python events_victim.py FILE FIRST LAST DIES`. It is told orders from FIRST
to LAST, and as many events, and is killed in the handler of the order that goes on as the DIES-th; or it prints what
fifty orders got, how many events are left, and why messages were given up.
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
from treewarden.agents.core.durability import MailboxSpec
from treewarden.agents.core.message import Happened, Request
from treewarden.topologies.child import child
from treewarden.topologies.open import open_tree
from treewarden.topologies.running import Tree
from treewarden.topologies.tree import tree

COUNT = 50


@frozen
class Order:
    number: int


@frozen
class Which(Request[tuple[tuple[int, int], ...]]):
    pass


class Desk(Agent[tuple[tuple[int, int], ...]]):
    state = ()

    def __init__(self, trees: list[Tree], told: trio.Event, dies: int) -> None:
        self.trees = trees
        self.told = told
        self.dies = dies
        self.gone_on = 0

    @handles
    async def order(self, message: Order) -> None:
        number = await self.wait_event(name_of(message.number), returns=int)
        self.gone_on += 1
        if self.gone_on == self.dies:
            await self.told.wait()
            await self.trees[0]._common.outage.written(math.inf)  # pyright: ignore[reportPrivateUsage]
            os.kill(os.getpid(), signal.SIGKILL)
        self.state = (*self.state, (message.number, number))

    @handles
    async def which(self, message: Which) -> tuple[tuple[int, int], ...]:
        return self.state


def name_of(number: int) -> str:
    return f"event {number % 10}"


async def work(file: str, first: int, last: int, dies: int) -> None:
    told, trees = trio.Event(), list[Tree]()
    desk = child(Desk, args={"trees": trees, "told": told, "dies": dies}, mailbox=MailboxSpec(capacity=1000))
    async with open_tree(tree(desk), journal=Path(file)) as running:
        trees.append(running)
        ref = running.ref("desk")
        for number in range(first, last):
            if number % 2:
                await ref.tell(Order(number))
            await ref.tell(Happened(name_of(number), number))
            if not number % 2:
                await ref.tell(Order(number))
        told.set()
        if dies:
            await trio.sleep_forever()
        got: tuple[tuple[int, int], ...] = ()
        with trio.fail_after(60):
            while len(got) < COUNT:
                got = await ref.ask(Which())
        slot = running._common.registry.get(ref.path)  # pyright: ignore[reportPrivateUsage]
        parked = None if slot is None else slot.parked
        letters = [each.reason for each in await running.dead_letters()]
        sys.stdout.write(f"{list(got)}\n{0 if parked is None else len(parked.events)}\n{letters}\n")


if __name__ == "__main__":
    trio.run(work, sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
