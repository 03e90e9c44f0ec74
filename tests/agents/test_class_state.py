"""A list or a dict that is the state: what one life changes in it does not reach another life, nor another agent."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import frozen
from trio.testing import MockClock

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import MESSAGE, VOLATILE, Durability, MailboxSpec
from treewarden.agents.core.message import Request
from treewarden.agents.errors import AgentFailed
from treewarden.supervisor.core.spec import NO_BACKOFF
from treewarden.topologies.child import Child, child

from .trees import opened


@frozen
class Put(Request[int]):
    """Into the dict, which is against the rules, and raise if it says so."""

    key: str
    fails: bool = False


@frozen
class Replace(Request[int]):
    """By one more, as the rules want it."""

    key: str


@frozen
class Keys(Request[str]):
    pass


class Shelf(Agent[dict[str, list[int]]]):
    state: dict[str, list[int]] = {"first": []}  # noqa: RUF012  # what people write

    @handles
    def put(self, message: Put) -> int:
        self.state.setdefault(message.key, []).append(1)
        if message.fails:
            raise ValueError("unlucky")
        return len(self.state)

    @handles
    def replace(self, message: Replace) -> int:
        self.state = {**self.state, message.key: []}
        return len(self.state)

    @handles
    def keys(self, message: Keys) -> str:
        return " ".join(f"{key}{len(value)}" for key, value in sorted(self.state.items()))


def shelf(id: str, durability: Durability) -> Child:
    return child(Shelf, id=id, mailbox=MailboxSpec(durability=durability), backoff=NO_BACKOFF)


@pytest.mark.parametrize("durability", [MESSAGE, VOLATILE])
async def test_it_is_neither_shared_by_agents_nor_by_lives(durability: Any, autojump_clock: MockClock) -> None:
    async with opened(shelf("a", durability), shelf("b", durability)) as running:
        a, b = running.ref("a"), running.ref("b")
        await a.ask(Put("first"))
        await a.ask(Put("more"))
        assert await a.ask(Keys()) == "first1 more1"
        assert await b.ask(Keys()) == "first0"
        with pytest.raises(AgentFailed):
            await a.ask(Put("first", fails=True))
        assert await a.ask(Keys()) == "first0"
        assert Shelf.state == {"first": []}  # what people write


@pytest.mark.parametrize("durability", [MESSAGE, VOLATILE])
async def test_what_is_replaced_outlives_a_crash(durability: Any, autojump_clock: MockClock) -> None:
    async with opened(shelf("a", durability)) as running:
        a = running.ref("a")
        await a.ask(Replace("second"))
        with pytest.raises(AgentFailed):
            await a.ask(Put("second", fails=True))
        assert "second" in await a.ask(Keys())
