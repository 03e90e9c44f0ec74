"""Going back to the state that a class declares, where none can be had from it: that ended the whole tree."""

from __future__ import annotations

import pytest
import trio
from attrs import frozen
from trio.testing import MockClock

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.lifecycle import SlotState
from treewarden.agents.core.message import Request
from treewarden.agents.errors import CheckpointRefused
from treewarden.topologies.child import child
from treewarden.topologies.open import open_tree
from treewarden.topologies.tree import tree


@frozen
class Add(Request[int]):
    amount: int


class Adder(Agent[int]):
    state = 0

    @handles
    def add(self, message: Add) -> int:
        self.state += message.amount
        return self.state


class Configured(Adder):
    """Cannot be made any more once what it is configured by is gone."""

    def __init__(self, config: list[int]) -> None:
        self.first = config[0]


class Turned(Agent[complex]):
    state = 1j


def turned() -> Agent[complex]:
    """What class it makes, and that its state cannot be stored, is known when it is called."""
    return Turned()


async def test_an_operator_is_told_and_the_agent_lives_on(autojump_clock: MockClock) -> None:
    config = [1]
    async with open_tree(tree(child(Configured, id="a", args={"config": config}))) as running:
        assert await running.ref("a").ask(Add(3)) == 3
        config.clear()
        with pytest.raises(CheckpointRefused, match=r"^a: no state can be had from its class \(IndexError"):
            await running.roll_back("a", to=None)
        assert await running.ref("a").ask(Add(4)) == 7
        (view,) = await running.supervisor().children()
        assert view.incarnation == 1


async def test_a_policy_goes_on_without(autojump_clock: MockClock) -> None:
    async with open_tree(tree(child(Adder, id="a"), child(Adder, id="b"))) as running:
        await running.supervisor().reload(tree(child(turned, id="a"), child(Adder, id="b")))
        await trio.sleep(1000)
        assert await running.ref("b").ask(Add(3)) == 3
        assert [view.state for view in await running.supervisor().children()] == [SlotState.HELD, SlotState.UP]
