"""Agents with something that runs beside their handlers, as several tests have them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from attrs import evolve, frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import MESSAGE, VOLATILE, Checkpointed, Durability
from treewarden.agents.core.exit import Exit

from .trees import Add, Bad, Gate, Held, Tally, Total

LEVELS: dict[str, Durability] = {"message": MESSAGE, "volatile": VOLATILE, "checkpointed": Checkpointed(messages=2)}
Work: TypeAlias = Callable[["Body"], Awaitable[Any]]


@frozen
class Fact:
    number: int


class Body(Agent[Tally]):
    """Runs `work` beside its handlers."""

    state = Tally()

    def __init__(self, work: Work, log: list[Any], gate: Gate | None = None) -> None:
        self.work = work
        self.log = log
        self.gate = gate

    async def run(self) -> Any:
        return await self.work(self)

    @handles
    def add(self, message: Add) -> None:
        self.state = evolve(self.state, total=self.state.total + message.amount)

    @handles
    def total(self, message: Total) -> int:
        return self.state.total

    @handles
    async def held(self, message: Held) -> str:
        assert self.gate is not None
        await self.gate.pass_by(message.text)
        return message.text

    @handles
    async def bad(self, message: Bad) -> None:
        assert self.gate is not None
        await self.ref("counter").tell(Add(100))
        await self.gate.pass_by("bad")
        raise ValueError

    async def on_stop(self, exit: Exit) -> None:
        self.log.append(exit)


class Draining(Body):
    drains_body = True
