"""The process that is killed as soon as it was told that it need not tell again: `python dropped_victim.py FILE TO`."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import trio
import trio.lowlevel
from attrs import frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import MailboxSpec, Overflow
from treewarden.topologies.child import child
from treewarden.topologies.open import open_tree
from treewarden.topologies.topic import topic
from treewarden.topologies.tree import tree

DROPPED = range(2, 50)


@frozen
class Put:
    n: int


class Stuck(Agent[None]):
    @handles
    async def put(self, message: Put) -> None:
        await trio.sleep_forever()


async def work(file: str, to: str) -> None:
    mailbox = MailboxSpec(capacity=1, overflow=Overflow.DROP_NEWEST)
    async with open_tree(tree(topic(child(Stuck, mailbox=mailbox), id="all")), journal=Path(file)) as running:
        stuck = running.ref("all/stuck")
        await stuck.tell(Put(0))
        while stuck.statistics().depth:
            await trio.lowlevel.checkpoint()
        await stuck.tell(Put(1))
        for n in DROPPED:
            await running.ref(to).tell(Put(n))
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    trio.run(work, sys.argv[1], sys.argv[2])
