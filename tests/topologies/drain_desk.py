"""Who is drained: an agent that takes its time."""

from __future__ import annotations

import trio
from attrs import frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.message import Request

__all__ = ["Got", "Item", "Keeper"]


@frozen
class Item:
    n: int


@frozen
class Got(Request[tuple[int, ...]]):
    """Ask for what has arrived."""


class Keeper(Agent[tuple[int, ...]]):
    """Takes a second for each number. 13 is its death; a negative one takes for ever."""

    state = ()

    @handles
    async def item(self, message: Item) -> None:
        await trio.sleep(1.0 if message.n >= 0 else trio.current_time() + 10_000)
        if message.n == 13:
            raise RuntimeError("thirteen")
        self.state = (*self.state, message.n)

    @handles
    def got(self, message: Got) -> tuple[int, ...]:
        return self.state
