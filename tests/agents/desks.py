"""Agents that do what a message says, and the message names a function of the test."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from attrs import evolve, frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.message import Request

from .trees import Add, Tally

__all__ = ["DEEDS", "Desk", "Do", "DoAndWait", "do", "do_and_wait", "fail", "request_id", "total"]

request_id: ContextVar[str] = ContextVar("request_id", default="none")

DEEDS: list[Callable[[Any], Any]] = []
"""What a message may ask for; a durable agent is sent nothing that could not be stored."""


@frozen
class Do(Request[Any]):
    deed: int


@frozen
class DoAndWait(Request[Any]):
    deed: int


def do(what: Callable[[Any], Any]) -> Do:
    DEEDS.append(what)
    return Do(len(DEEDS) - 1)


def do_and_wait(what: Callable[[Any], Any]) -> DoAndWait:
    return DoAndWait(do(what).deed)


async def _nothing() -> None:
    """What takes no turn of the scheduler; but that nobody knows before."""


class Desk(Agent[Tally]):
    state = Tally()

    async def on_start(self) -> None:
        """It has a task from the beginning."""
        request_id.set("the agent's")

    @handles
    def do(self, message: Do) -> Any:
        return DEEDS[message.deed](self)

    @handles
    async def do_and_wait(self, message: DoAndWait) -> Any:
        await _nothing()
        return DEEDS[message.deed](self)

    @handles
    def add(self, message: Add) -> None:
        self.state = evolve(self.state, total=self.state.total + message.amount)


def total(desk: Desk) -> int:
    return desk.state.total


def fail(desk: Desk) -> None:
    desk.state = Tally(-1)
    raise ValueError("unlucky")
