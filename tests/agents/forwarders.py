"""Agents that hand on what they get, and those that get it, for the tests of this folder."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from attrs import frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import MESSAGE, VOLATILE, Durability, MailboxSpec
from treewarden.agents.core.message import Request
from treewarden.topologies.child import child
from treewarden.topologies.running import Tree

__all__ = ["LEVELS", "PAIRS", "Back", "Front", "Note", "Notes", "Through", "What", "at", "notes"]

PAIRS = pytest.mark.parametrize("front", [VOLATILE, MESSAGE], ids=["from-volatile", "from-message"])
LEVELS = pytest.mark.parametrize("durability", [VOLATILE, MESSAGE], ids=["to-volatile", "to-message"])


@frozen
class What(Request[str]):
    text: str = ""


@frozen
class Note:
    text: str = ""


@frozen
class Notes(Request[tuple[str, ...]]):
    pass


@frozen
class Through(Request[str]):
    """Ask an agent to ask another one."""

    path: str


class Back(Agent[tuple[str, ...]]):
    state = ()

    @handles
    async def what(self, message: What) -> str:
        if message.text == "slow":
            await trio.sleep(10)
        if message.text == "bad":
            raise RuntimeError("bad")
        if message.text.startswith("ask "):
            return await self.ref(message.text[4:]).ask(What("x"))
        self.state = (*self.state, message.text)
        return f"{self.path}: {message.text}"

    @handles
    async def note(self, message: Note) -> None:
        if message.text == "slow":
            await trio.sleep(1)
        self.state = (*self.state, message.text)

    @handles
    def notes(self, message: Notes) -> tuple[str, ...]:
        return self.state


class Front(Agent[int]):
    """Hands everything on."""

    state = 0

    def __init__(self, to: str = "../back", then: str = "") -> None:
        self.to = to
        self.then = then

    @handles
    async def what(self, message: What) -> str:
        if message.text in ("nothing", "up"):
            await self.forward(self.to, What("UP") if message.text == "up" else None)
        else:
            await self.forward(self.to)
        self.state += 1
        if self.then == "raise":
            raise RuntimeError("after it")
        if self.then == "twice":
            await self.forward(self.to)
        return "nobody gets this"

    @handles
    async def note(self, message: Note) -> None:
        if message.text == "nothing":
            await self.forward(self.to, None)
        else:
            await self.forward(self.ref(self.to))
        if self.then == "raise":
            raise RuntimeError("after it")

    @handles
    async def through(self, message: Through) -> str:
        return await self.ref(message.path).ask(What("x"))


def at(agent: Any, durability: Durability, id: str, **args: Any) -> Any:
    return child(agent, id=id, args=args, mailbox=MailboxSpec(durability=durability))


async def notes(tree: Tree, path: str = "back") -> tuple[str, ...]:
    return await tree.ref(path).ask(Notes())
