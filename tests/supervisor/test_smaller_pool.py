"""A pool that has fewer workers in the next process: what a handler had asked one of those that are gone is known."""

from __future__ import annotations

import pytest
import trio
from attrs import frozen
from trio.testing import MockClock

from treewarden.agents import Agent, Request, handles
from treewarden.agents.core.path import Path
from treewarden.topologies import child, pool
from treewarden.topologies.core.routing import Route

from ..agents.effects_desk import Processes, opened
from ..agents.effects_desk import processes as processes
from ..agents.trees import slot_of


@frozen
class Order:
    prices: int


@frozen
class Price(Request[int]):
    number: int


class Desk(Agent[tuple[int, ...]]):
    state = ()

    def __init__(self, asked: trio.Event) -> None:
        self.asked = asked

    @handles
    async def order(self, message: Order) -> None:
        got = [await self.ref("../pool").ask(Price(number)) for number in range(message.prices)]
        if not self.asked.is_set():
            self.asked.set()
            await trio.sleep_forever()
        self.state = tuple(got)


class Clerk(Agent[None]):
    state = None

    def __init__(self, done: list[int]) -> None:
        self.done = done

    @handles
    async def price(self, message: Price) -> int:
        return await self.effect("look_up", self.look_up)

    async def look_up(self, key: str) -> int:
        self.done.append(len(self.done))
        return self.done[-1]


@pytest.mark.parametrize("route", ["round_robin", "shared"])
async def test_it_is_not_done_again(processes: Processes, route: Route, autojump_clock: MockClock) -> None:
    asked, done = trio.Event(), list[int]()
    desk, clerk = child(Desk, args={"asked": asked}), child(Clerk, args={"done": done})
    with trio.CancelScope() as power:
        async with opened(desk, pool(clerk, size=3, id="pool", route=route), journal=processes()) as running:
            await running.ref("desk").tell(Order(6))
            await asked.wait()
            power.cancel()
            await trio.sleep_forever()
    async with opened(desk, pool(clerk, size=1, id="pool", route=route), journal=processes()) as running:
        await trio.sleep(1)
        assert slot_of(running, "desk").state == tuple(range(6))
        assert done == list(range(6)), "each once"
    async with processes() as journal:
        assert [(await journal.recover(Path(f"pool/{n}"))).replies for n in range(3)] == [()] * 3
