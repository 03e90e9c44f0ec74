"""A desk that asks a person before it pays, for the tests of approvals."""

from __future__ import annotations

from typing import Any

import trio
from attrs import frozen

from treewarden.agents import Agent, MailboxSpec, handles
from treewarden.agents.core.approval import Ruling
from treewarden.supervisor.core.event import ApprovalNoted
from treewarden.supervisor.core.spec import NO_BACKOFF
from treewarden.supervisor.open_waits import OpenWait
from treewarden.topologies import child
from treewarden.topologies.running import Tree

from .effects_desk import left as left
from .effects_desk import opened as opened
from .effects_desk import processes as processes
from .trees import happened

__all__ = ["Desk", "Note", "Pay", "desk", "left", "opened", "processes", "story", "waiting"]


@frozen
class Pay:
    to: str = "bob"
    cents: int = 500
    subject: str = ""
    fails: int = 0
    """How often its handler fails after somebody has ruled."""
    times: int = 1
    after: float = 0.0
    """Seconds until it asks."""


@frozen
class Note:
    number: int = 0


class Desk(Agent[tuple[Ruling, ...]]):
    state = ()

    def __init__(self, log: list[Any], shown: dict[str, int]) -> None:
        self.log = log
        self.shown = shown
        """What another release of the code shows in place of the cents."""

    @handles
    async def pay(self, message: Pay) -> None:
        rulings: list[Ruling] = []
        await trio.sleep(message.after)
        for _ in range(message.times):
            about = {"to": message.to, "cents": self.shown.get(message.to, message.cents)}
            ruling = await self.approval("pay", about=about, within=100.0, subject=message.subject)
            self.log.append((message.to, ruling))
            rulings.append(ruling)
        if sum(each[0] == message.to for each in self.log) <= message.fails:
            raise ValueError("after somebody has ruled")
        self.state = (*self.state, *rulings)

    @handles
    def note(self, message: Note) -> None:
        self.log.append(("note", message.number))


def desk(log: list[Any] | None = None, shown: dict[str, int] | None = None, **options: Any) -> Any:
    args = {"log": [] if log is None else log, "shown": {} if shown is None else shown}
    return child(Desk, args=args, backoff=NO_BACKOFF, mailbox=MailboxSpec(**options))


async def waiting(running: Tree, count: int = 1) -> list[OpenWait]:
    """What is waited for, when it is so much."""
    with trio.fail_after(60):
        while len(found := await running.waits()) != count:  # noqa: ASYNC110
            await trio.sleep(0.01)
    return list(found)


async def story(running: Tree, count: int) -> list[tuple[str, str, str]]:
    """What the chain says of approvals: what happened, who has done it, and the key."""
    return [(each.what, each.by, each.key) for each in await happened(running, ApprovalNoted, count)]
