"""The process that is killed while what waited becomes dead letters: `python leftovers_victim.py FILE ROUNDS`.

It dies after so many rounds of its loop; with -1 when it has been told what its dead letters are.
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
from treewarden.agents.core.durability import MailboxSpec
from treewarden.supervisor.core.spec import BRUTAL_KILL
from treewarden.topologies.child import child
from treewarden.topologies.open import open_tree
from treewarden.topologies.tree import tree

WAITING = 300


@frozen
class Put:
    n: int


class Stuck(Agent[None]):
    @handles
    async def put(self, message: Put) -> None:
        await trio.sleep_forever()


async def work(file: str, rounds: int) -> None:
    mailbox = MailboxSpec(capacity=WAITING)
    stuck = child(Stuck, id="stuck", mailbox=mailbox, shutdown=BRUTAL_KILL)
    async with open_tree(tree(stuck), journal=Path(file)) as running:
        ref = running.ref("stuck")
        for n in range(WAITING):
            await ref.tell(Put(n))
        await running.supervisor().terminate_child("stuck")
        await running.supervisor().delete_child("stuck")
        if rounds < 0:
            await running.dead_letters(limit=1)
        for _ in range(rounds):
            await trio.lowlevel.checkpoint()
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    trio.run(work, sys.argv[1], int(sys.argv[2]))
