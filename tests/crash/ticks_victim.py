"""A desk whose process ends with its tick: `python ticks_victim.py FILE every|at [mended]`, each time a minute later.

Prints what was given up in the first process that goes on; a mended one says so when its tick has come.
"""

from __future__ import annotations

import os
import signal
import sys
import time

import trio

from treewarden.agents.agent import Agent, at, every
from treewarden.supervisor.core.event import DeadLettered
from treewarden.topologies.child import child
from treewarden.topologies.open import open_tree
from treewarden.topologies.tree import tree

NOON = 1_800_100_800.0
"""In January 2027."""
MENDED = sys.argv[3:] == ["mended"]
CAME = trio.Event()


async def end() -> None:
    if not MENDED:
        os.kill(os.getpid(), signal.SIGKILL)
    CAME.set()


class Every(Agent[int]):
    state = 0

    @every(3600)
    async def poll(self) -> None:
        await end()


class At(Agent[int]):
    state = 0

    @at("12:00")
    async def poll(self) -> None:
        await end()


async def main(file: str, kind: str) -> None:
    begun = NOON + 60 if await trio.Path(file).exists() else NOON - 0.5
    opened: list[float] = []
    desk = child(Every if kind == "every" else At, id="desk")

    def wall() -> float:
        """It stands still until the tree is open, so that noon does not pass before."""
        return begun + sum(time.monotonic() - each for each in opened)

    async with open_tree(tree(desk), journal=file, wall=wall) as running:
        opened.append(time.monotonic())
        if MENDED:
            await CAME.wait()
            sys.stdout.write("mended\n")
            return
        async with running.events() as records:
            async for record in records:
                if isinstance(record.event, DeadLettered):
                    sys.stdout.write(f"{record.event.kind}: {record.event.reason}\n")
                    break


if __name__ == "__main__":
    trio.run(main, sys.argv[1], sys.argv[2])
