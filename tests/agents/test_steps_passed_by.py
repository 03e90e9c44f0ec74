"""A handler that runs again may take another way: what it had asked or done the first time ends with its settle."""

from __future__ import annotations

import pytest
import trio
from attrs import frozen
from trio.testing import MockClock

from treewarden.agents import Agent, RateLimited, Request, handles
from treewarden.supervisor.core.spec import NO_BACKOFF
from treewarden.topologies import child

from .effects_desk import Processes, left, opened
from .effects_desk import processes as processes
from .trees import slot_of


@frozen
class Order:
    by: str


@frozen
class Price(Request[int]): ...


class Clerk(Agent[int]):
    state = 0

    @handles
    async def price(self, message: Price) -> int:
        return 5


class Desk(Agent[int]):
    """Asks, or acts outside, in its first delivery only, and fails in that."""

    state = 0

    def __init__(self, fails: list[Exception]) -> None:
        self.fails = fails

    @handles
    async def order(self, message: Order) -> None:
        if self.fails:
            if message.by == "asking":
                await self.ref("../clerk").ask(Price())
            else:
                await self.effect("charge", self.charge)
            raise self.fails.pop()
        self.state += 1

    async def charge(self, key: str) -> int:
        return 1


@pytest.mark.parametrize("by", ["asking", "acting"])
@pytest.mark.parametrize("error", [RateLimited, ValueError], ids=lambda each: each.__name__)
async def test_what_it_does_not_come_to_again_is_forgotten(
    processes: Processes, error: type[Exception], by: str, autojump_clock: MockClock
) -> None:
    fails: list[Exception] = [error()]
    children = (child(Desk, args={"fails": fails}, backoff=NO_BACKOFF), Clerk)
    async with opened(*children, journal=processes()) as running:
        await running.ref("desk").tell(Order(by))
        await trio.sleep(20)
        assert (slot_of(running, "desk").state, fails) == (1, [])
        assert left(running) == 0
    async with opened(*children, journal=processes()) as running:
        await running.ref("desk").tell(Order(by))
        await trio.sleep(20)
        assert (slot_of(running, "desk").state, left(running)) == (2, 0)
