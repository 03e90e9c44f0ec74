"""An ask that two lives have made, whose message is over: what its first handler had done before it failed."""

from __future__ import annotations

import pytest
import trio
from attrs import frozen
from trio.testing import MockClock

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import MailboxSpec
from treewarden.agents.core.message import Request
from treewarden.agents.errors import RateLimited
from treewarden.supervisor.core.policies import otp
from treewarden.supervisor.core.spec import NO_BACKOFF, Intensity, SupervisorSpec
from treewarden.topologies.child import child
from treewarden.topologies.open import open_tree
from treewarden.topologies.pool import pool
from treewarden.topologies.tree import tree


@frozen
class Order:
    how: str
    first: float = 0.0
    slow: float = 0.0
    limited: bool = False


@frozen
class Sell(Request[int]):
    of: Order


@frozen
class Charge(Request[int]):
    seconds: float


class Bank(Agent[None]):
    def __init__(self, charged: list[str]) -> None:
        self.charged = charged

    @handles
    async def charge(self, message: Charge) -> int:
        self.charged.append("asked")
        await trio.sleep(message.seconds)
        return len(self.charged)


class Shop(Agent[int]):
    state = 0

    def __init__(self, begun: list[str], charged: list[str]) -> None:
        self.begun = begun
        self.charged = charged

    async def charge(self, key: str) -> int:
        self.charged.append(key)
        return len(self.charged)

    @handles
    async def sell(self, message: Sell) -> int:
        self.begun.append(self.path)
        await trio.sleep(message.of.first)
        if message.of.how == "effect":
            await self.effect("charge", self.charge)
        elif message.of.how == "ask":
            await self.ref("bank").ask(Charge(message.of.slow))
        await trio.sleep(5)
        if message.of.limited and len(self.begun) == 1:
            raise RateLimited(after=1)
        raise ValueError("out of stock")


class Desk(Agent[int]):
    state = 0

    @handles
    async def order(self, message: Order) -> None:
        await self.ref("shop").ask(Sell(message), within=100)


def town(pooled: bool, begun: list[str], charged: list[str], deliveries: int = 2) -> SupervisorSpec:
    shop = child(Shop, args={"begun": begun, "charged": charged}, backoff=NO_BACKOFF)
    desk = child(Desk, backoff=NO_BACKOFF, mailbox=MailboxSpec(deliveries=deliveries))
    bank = child(Bank, args={"charged": charged})
    return tree(bank, pool(shop, 1, "shared") if pooled else shop, desk, restarts=Intensity(9, 5), policy=otp())


@pytest.mark.parametrize("pooled", [False, True])
@pytest.mark.parametrize("how", ["ask", "effect"])
async def test_what_was_done_for_it_is_not_done_again(how: str, pooled: bool, autojump_clock: MockClock) -> None:
    begun, charged = list[str](), list[str]()
    async with open_tree(town(pooled, begun, charged)) as running:
        await running.ref("desk").tell(Order(how))
        for _ in range(2):
            await trio.sleep(1)
            assert running.kill("desk")
        await trio.sleep(20)
        assert len(await running.dead_letters()) == 1
        assert len(charged) == 1
        assert len(begun) == 1


@pytest.mark.parametrize("how", ["ask", "effect"])
async def test_nor_by_the_first_one_that_was_asked_to_slow_down(how: str, autojump_clock: MockClock) -> None:
    begun, charged = list[str](), list[str]()
    async with open_tree(town(False, begun, charged)) as running:
        await running.ref("desk").tell(Order(how, limited=True))
        await trio.sleep(1)
        assert running.kill("desk")
        await trio.sleep(1)
        assert running.kill("desk")
        await trio.sleep(20)
        assert len(charged) == 1


@pytest.mark.parametrize("pooled", [False, True])
@pytest.mark.parametrize("how", ["ask", "effect"])
async def test_nor_by_one_that_had_begun_again_before_it_was_over(
    how: str, pooled: bool, autojump_clock: MockClock
) -> None:
    """What is known for an ask stays known while its handler runs."""
    begun, charged = list[str](), list[str]()
    async with open_tree(town(pooled, begun, charged, deliveries=3)) as running:
        await running.ref("desk").tell(Order(how, first=2))
        await trio.sleep(7.5)
        assert len(begun) == 2
        for _ in range(2):
            assert running.kill("desk")
            await trio.sleep(0.5)
        assert len(await running.dead_letters()) == 1
        await trio.sleep(20)
        assert len(charged) == 1
        assert len(begun) == 2


async def test_nor_where_it_is_done_after_that(autojump_clock: MockClock) -> None:
    """The first one has ended, the second one has asked the same, and only then is it done, and the message over."""
    begun, charged = list[str](), list[str]()
    async with open_tree(town(False, begun, charged, deliveries=3)) as running:
        await running.ref("desk").tell(Order("ask", slow=3))
        await trio.sleep(1)
        assert running.kill("shop")
        for _ in range(2):
            await trio.sleep(0.5)
            assert running.kill("desk")
        await trio.sleep(20)
        assert len(await running.dead_letters()) == 1
        assert len(charged) == 1
        assert len(begun) == 2


async def test_where_nothing_was_done_the_second_one_is_handled(autojump_clock: MockClock) -> None:
    """Whoever is cancelled, or gone, has not taken its message out of the mailbox."""
    begun, charged = list[str](), list[str]()
    async with open_tree(town(False, begun, charged)) as running:
        await running.ref("desk").tell(Order("nothing"))
        for _ in range(2):
            await trio.sleep(1)
            assert running.kill("desk")
        await trio.sleep(20)
        assert len(begun) == 2
