"""A desk whose process ends with each bad message, at once: `python poison_victim.py FILE ROUTE`.

It is told once. Prints what it has handled, and what was given up, when nothing waits any more.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

import trio
from attrs import frozen

from treewarden.agents.agent import Agent, handles
from treewarden.topologies.child import child
from treewarden.topologies.open import open_tree
from treewarden.topologies.pool import pool
from treewarden.topologies.tree import tree

SENT = ("bad", "bad", "good", "good")


@frozen
class Letter:
    says: str


class Desk(Agent[int]):
    state = 0

    def __init__(self, waits: bool) -> None:
        self.waits = waits

    @handles
    async def letter(self, message: Letter) -> None:
        if self.waits:
            await trio.sleep_forever()
        if message.says == "bad":
            os.kill(os.getpid(), signal.SIGKILL)
        self.state += 1


async def main(file: str, route: str) -> None:
    first = not await trio.Path(file).exists()
    one: Any = child(Desk, id="desk", args={"waits": first})
    desks = one if route == "alone" else pool(one, size=1, route="shared", id="desk")
    async with open_tree(tree(desks), journal=file) as running:
        if first:
            for says in SENT:
                await running.ref("desk").tell(Letter(says))
            os.kill(os.getpid(), signal.SIGKILL)
        drained = await running.drain("desk", within=60)
        letters = await running.dead_letters("desk")
        sys.stdout.write(f"{drained.complete} {sorted(letter.reason for letter in letters)}\n")


if __name__ == "__main__":
    trio.run(main, sys.argv[1], sys.argv[2])
