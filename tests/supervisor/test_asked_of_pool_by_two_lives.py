"""A pool that two lives of a handler have asked the same: one worker handles it, and whoever waits gets its reply."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from attrs import frozen
from trio.testing import MockClock

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import MailboxSpec
from treewarden.agents.core.message import Envelope, Request
from treewarden.agents.core.path import Path
from treewarden.agents.slot import Slot
from treewarden.supervisor.core.policies import otp
from treewarden.supervisor.core.spec import NO_BACKOFF, SupervisorSpec
from treewarden.supervisor.replies import Replies
from treewarden.topologies.child import child
from treewarden.topologies.open import open_tree
from treewarden.topologies.pool import pool
from treewarden.topologies.running import Tree
from treewarden.topologies.tree import tree


@frozen
class Charge(Request[int]):
    seconds: float = 5.0


@frozen
class Order:
    patience: float = 100.0


@frozen
class Paid(Request[tuple[int, ...]]): ...


class Bank(Agent[int]):
    """Says how often it was begun in all, when it ends."""

    state = 0

    def __init__(self, begun: list[str], fails: set[int]) -> None:
        self.begun = begun
        self.fails = fails

    @handles
    async def charge(self, message: Charge) -> int:
        self.begun.append(self.path.name)
        number = len(self.begun)
        await trio.sleep(message.seconds)
        if number in self.fails:
            raise ValueError("the bank says no")
        return number


class Desk(Agent[tuple[int, ...]]):
    state = ()

    @handles
    async def order(self, message: Order) -> None:
        paid = await self.ref("bank").ask(Charge(), within=message.patience)
        self.state = (*self.state, paid)

    @handles
    def paid(self, message: Paid) -> tuple[int, ...]:
        return self.state


def shop(route: Any, begun: list[str], fails: set[int]) -> SupervisorSpec:
    bank = child(Bank, args={"begun": begun, "fails": fails}, backoff=NO_BACKOFF)
    desk = child(Desk, backoff=NO_BACKOFF, mailbox=MailboxSpec(deliveries=5))
    return tree(pool(bank, 3, route, id="bank"), desk, policy=otp())


async def paid(running: Tree) -> tuple[int, ...]:
    return await running.ref("desk").ask(Paid(), within=100)


@pytest.mark.parametrize("route", ["round_robin", "least_loaded", "shared"])
async def test_one_worker_handles_it(route: Any, autojump_clock: MockClock) -> None:
    begun = list[str]()
    async with open_tree(shop(route, begun, set())) as running:
        await running.ref("desk").tell(Order())
        await trio.sleep(1)
        assert running.kill("desk")
        at = trio.current_time()
        assert await paid(running) == (1,)
        assert trio.current_time() - at == pytest.approx(4)
        assert len(begun) == 1


@pytest.mark.parametrize("route", ["round_robin", "least_loaded", "shared"])
async def test_who_gave_up_and_asks_again_gets_the_reply_of_the_first(route: Any, autojump_clock: MockClock) -> None:
    begun = list[str]()
    async with open_tree(shop(route, begun, set())) as running:
        await running.ref("desk").tell(Order(patience=2))
        assert await paid(running) == (1,)
        assert len(begun) == 1


@pytest.mark.parametrize("route", ["round_robin", "least_loaded", "shared"])
async def test_who_waits_for_one_that_fails_is_told_so(route: Any, autojump_clock: MockClock) -> None:
    begun = list[str]()
    async with open_tree(shop(route, begun, {1})) as running:
        await running.ref("desk").tell(Order())
        await trio.sleep(1)
        assert running.kill("desk")
        assert await paid(running) == (2,)
        assert len(begun) == 2


async def test_one_that_waits_behind_others_is_begun_nowhere_else_either(autojump_clock: MockClock) -> None:
    """Its worker has another in hand; the ask of the next life begins first, and the earlier one comes to its turn."""
    begun = list[str]()
    async with open_tree(shop("round_robin", begun, set())) as running:
        busy = running.ref("bank/0")
        await busy.tell(Charge(2))
        await running.ref("desk").tell(Order())
        await trio.sleep(1)
        assert running.kill("desk")
        assert await paid(running) == (2,)
        await trio.sleep(10)
        assert len(begun) == 2


@pytest.mark.parametrize("end", ["answered", "failed", "settled and answered", "settled and failed"])
def test_where_it_began_is_forgotten_with_its_end(end: str) -> None:
    replies = Replies()
    first, second = (Slot(Path("bank") / name, MailboxSpec(), lambda: 0.0, None) for name in "01")
    ask, again = Envelope(Charge(), id="t-1>bank:charge.0"), Envelope(Charge(), id="t-1>bank:charge.0")
    assert replies.begins(ask, first) is None
    assert replies.begins(again, second) == (first, ask)
    if end.startswith("settled"):
        replies.forget("t-1")
    replies.ended(ask.id, again)
    assert replies.begins(again, second) == (first, ask)
    if end.endswith("answered"):
        replies.keep(ask.id, 7)
    else:
        replies.ended(ask.id, ask)
    assert replies.begins(again, second) is None
    assert replies.begins(ask, first) == (second, again)
