"""A tree that is commanded from a second connection to its file, as another process would."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from attrs import frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import VOLATILE, MailboxSpec
from treewarden.agents.core.lifecycle import SlotState
from treewarden.agents.core.message import Request
from treewarden.agents.core.path import Path as Slot
from treewarden.supervisor.core.command import Command
from treewarden.supervisor.journal.sending import Outcome, send
from treewarden.supervisor.testing import inline_run_sync
from treewarden.topologies.child import child
from treewarden.topologies.pool import pool
from treewarden.topologies.running import Tree
from treewarden.topologies.tree import tree

__all__ = ["SHAPE", "Add", "Counter", "Light", "Total", "events", "order", "status", "tell"]


@frozen
class Add:
    amount: int
    note: str = ""


@frozen
class Total(Request[int]): ...


class Counter(Agent[int]):
    state = 0

    @handles
    def add(self, message: Add) -> None:
        if message.amount == 13:
            raise ValueError("unlucky")
        self.state += message.amount

    @handles
    def total(self, message: Total) -> int:
        return self.state


class Light(Counter):
    pass


SHAPE = tree(
    Counter,
    child(Light, mailbox=MailboxSpec(durability=VOLATILE)),
    pool(Counter, id="pool", size=2),
    tree(child(Counter, id="inner"), id="below"),
)


async def order(file: Path, what: str, path: str, id: str = "c1", within: float = 20.0, **fields: Any) -> Outcome:
    command = Command(what=what, path=Slot(path), fields=fields, by="ann")
    return await send(file, command, id, within=within, run_sync=inline_run_sync)


async def tell(file: Path, path: str, amount: Any, id: str = "c1") -> Outcome:
    return await order(file, "tell", path, id, kind="Add", data={"amount": amount})


def status(running: Tree, path: str) -> SlotState:
    (found,) = [slot for slot in running.snapshot() if slot.path == path]
    return found.state


async def events(running: Tree, kind: type[Any]) -> list[Any]:
    found: list[Any] = []
    async with running.events() as records:
        async for record in records:
            if isinstance(record.event, kind):
                found.append(record.event)
            if record.seq >= running.head:
                break
    return found
