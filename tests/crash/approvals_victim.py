"""A desk that asks a person before it pays, and is killed: `python approvals_victim.py FILE POINT`.

With a point it dies there; without one it rules if nobody has, goes on until the message has settled, and prints what
its handler was told, how often it was told so in all, and what the chain says.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import trio
from attrs import evolve, frozen

from treewarden.agents import Agent, Approved, Refused, handles
from treewarden.agents.core.message import Request
from treewarden.supervisor.core.event import ApprovalNoted
from treewarden.topologies.child import child
from treewarden.topologies.open import open_tree
from treewarden.topologies.tree import tree

POINTS = ("handler", "asked", "ruled", "returned", "settled")


@frozen
class Pay:
    cents: int = 500


@frozen
class Paid(Request[tuple[str, ...]]):
    pass


class Desk(Agent[tuple[str, ...]]):
    state = ()

    def __init__(self, point: str) -> None:
        self.point = point

    def die_at(self, point: str) -> None:
        if self.point == point:
            os.kill(os.getpid(), signal.SIGKILL)

    @handles
    async def pay(self, message: Pay) -> None:
        self.die_at("handler")
        ruling = await self.approval("pay", about=message)
        assert isinstance(ruling, (Approved, Refused))
        self.die_at("returned")
        self.state = (*self.state, f"{type(ruling).__name__} by {ruling.by}")

    @handles
    async def paid(self, message: Paid) -> tuple[str, ...]:
        return self.state


async def work(file: str, point: str) -> None:
    async with open_tree(tree(child(Desk, args={"point": point})), journal=Path(file)) as running:
        desk = running.ref("desk")
        if point:
            await desk.tell(Pay())
        while not (found := await running.waits()) and not await desk.ask(Paid(), within=60):  # noqa: ASYNC110
            await trio.sleep(0.01)
        if point == "asked":
            os.kill(os.getpid(), signal.SIGKILL)
        if found:
            by = "ada" if point else "eve"
            await running.rule("desk", evolve(Approved(by), comment=point), key=found[0].key)
            if point == "ruled":
                os.kill(os.getpid(), signal.SIGKILL)
        while not (told := await desk.ask(Paid(), within=60)):  # noqa: ASYNC110
            await trio.sleep(0.01)
        if point == "settled":
            os.kill(os.getpid(), signal.SIGKILL)
        left = len(await running.waits())
        noted: list[ApprovalNoted] = []
        head = running.head
        async with running.events() as records:
            async for record in records:
                noted += [record.event] if isinstance(record.event, ApprovalNoted) else []
                if record.seq >= head:
                    break
        story = ", ".join(f"{each.what} {each.by}".strip() for each in noted)
        sys.stdout.write(f"{' and '.join(told)}; {left} left; {story}\n")


if __name__ == "__main__":
    trio.run(work, sys.argv[1], sys.argv[2])
