"""A tree that believes and learns: `python belief_victim.py FILE learn|kill|decide`.

`learn` lets agents fail until something was learned, and then one more agent; `kill` is killed before that one, and
`decide` is the process after it. What was decided about the last agent is printed as JSON. It fails as no other has,
for what others showed within the last minute is known to no process after this one.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import trio
from attrs import asdict, frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.message import Request
from treewarden.agents.errors import AgentFailed
from treewarden.supervisor.core.believer import belief
from treewarden.supervisor.core.event import Decided, OutcomeObserved
from treewarden.supervisor.core.spec import NO_BACKOFF, Intensity, SupervisorSpec
from treewarden.topologies.child import child
from treewarden.topologies.open import open_tree
from treewarden.topologies.running import Tree
from treewarden.topologies.tree import tree

TIMES = {"a": 2, "b": 3, "c": 2}
"""How often each fails; all but the last attempt of each are known to have failed."""


@frozen
class Fail(Request[None]):
    error: str


class Failing(Agent[int]):
    state = 0

    @handles
    def fail(self, message: Fail) -> None:
        raise {"value": ValueError, "type": TypeError, "runtime": RuntimeError}[message.error](message.error)


def believing() -> SupervisorSpec:
    names = (*TIMES, "last")
    children = [child(Failing, id=name, backoff=NO_BACKOFF, stable_after=10_000) for name in names]
    return tree(*children, policy=belief(), restarts=Intensity(100, 1.0))


async def fail(running: Tree, name: str, error: str) -> None:
    try:
        await running.ref(name).ask(Fail(error), within=60)
    except AgentFailed:
        return
    raise AssertionError("it did not fail")


async def learn(running: Tree) -> None:
    """Return when all that can be learned of these failures is on disk."""
    for name, times in TIMES.items():
        for _ in range(times):
            await fail(running, name, "value" if name == "a" else "type")
    left = sum(TIMES.values()) - len(TIMES)
    async with running.events() as records:
        async for record in records:
            left -= isinstance(record.event, OutcomeObserved) and record.event.outcome == "failed"
            if not left:
                return


async def decide(running: Tree) -> None:
    await fail(running, "last", "runtime")
    async with running.events() as records:
        async for record in records:
            if isinstance(record.event, Decided) and record.event.path == "last":
                stated = asdict(record.event)
                sys.stdout.write(json.dumps({name: stated[name] for name in STATED}))
                return


STATED = ("action", "confidence", "model", "evidence", "calibrated", "causes", "rejected")


async def main(file: str, what: str) -> None:
    async with open_tree(believing(), journal=Path(file), seed=1, wall=lambda: 1e9) as running:
        if what != "decide":
            await learn(running)
        if what == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        await decide(running)


if __name__ == "__main__":
    trio.run(main, sys.argv[1], sys.argv[2])
