"""An ask that two lives of a handler have made: it waits for its turn twice, also when nobody needs it any more."""

from __future__ import annotations

import trio
from attrs import frozen
from trio.testing import MockClock

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import MailboxSpec
from treewarden.agents.core.message import Request
from treewarden.supervisor.core.policies import otp
from treewarden.supervisor.core.spec import NO_BACKOFF
from treewarden.topologies.child import child
from treewarden.topologies.open import open_tree
from treewarden.topologies.running import Tree
from treewarden.topologies.tree import tree


@frozen
class Rest:
    seconds: float


@frozen
class Charge(Request[int]): ...


@frozen
class Charged(Request[int]): ...


@frozen
class Order:
    patience: float = 100.0
    shielded: bool = False


class Bank(Agent[int]):
    state = 0

    @handles
    async def rest(self, message: Rest) -> None:
        await trio.sleep(message.seconds)

    @handles
    async def charge(self, message: Charge) -> int:
        self.state += 1
        return self.state

    @handles
    def charged(self, message: Charged) -> int:
        return self.state


class Desk(Agent[int]):
    state = 0

    @handles
    async def order(self, message: Order) -> None:
        with trio.move_on_after(message.patience), trio.CancelScope(shield=message.shielded):
            await self.ref("bank").ask(Charge(), within=100)
        self.state += 1


async def charged(running: Tree) -> int:
    return await running.ref("bank").ask(Charged(), within=100)


shop = tree(Bank, child(Desk, backoff=NO_BACKOFF, mailbox=MailboxSpec(deliveries=2)), policy=otp())


async def test_it_is_handled_once_though_its_message_was_given_up(autojump_clock: MockClock) -> None:
    async with open_tree(shop) as running:
        await running.ref("bank").tell(Rest(5))
        await running.ref("desk").tell(Order())
        for _ in range(2):
            await trio.sleep(1)
            assert running.kill("desk")
        assert await charged(running) == 1
        assert len(await running.dead_letters()) == 1


async def test_it_is_handled_once_though_it_was_answered_before_its_message_was_given_up(
    autojump_clock: MockClock,
) -> None:
    """What was kept for the second life goes with the message; what that one had asked is still waiting."""
    async with open_tree(shop) as running:
        await running.ref("bank").tell(Rest(5))
        await running.ref("desk").tell(Order())
        await trio.sleep(1)
        await running.ref("bank").tell(Rest(5))
        assert running.kill("desk")
        await trio.sleep(6)
        assert running.kill("desk")
        assert await charged(running) == 1
        assert len(await running.dead_letters()) == 1


async def test_it_is_handled_once_though_its_handler_has_settled_without_it(autojump_clock: MockClock) -> None:
    async with open_tree(shop) as running:
        await running.ref("bank").tell(Rest(5))
        await running.ref("desk").tell(Order(patience=2))
        await trio.sleep(1)
        assert running.kill("desk")
        await trio.sleep(1)
        assert await charged(running) == 1
        assert running.snapshot()[1].handled == 1


async def test_it_is_handled_once_though_who_asked_twice_was_left_behind(autojump_clock: MockClock) -> None:
    """Both lives shield themselves, so they wait for their replies still; nobody needs those."""
    async with open_tree(shop) as running:
        await running.ref("bank").tell(Rest(9))
        await running.ref("desk").tell(Order(shielded=True))
        for _ in range(2):
            await trio.sleep(3)
            assert running.kill("desk")
        assert await charged(running) == 1
        assert len(await running.dead_letters()) == 1
