"""An ask that another worker has begun: beside what that one does next, in a circle, and when its message is over."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable

import pytest
import trio
from attrs import frozen
from trio.testing import MockClock

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import MailboxSpec
from treewarden.agents.core.message import Request
from treewarden.agents.errors import AgentStopped, AskCycle
from treewarden.supervisor.core.policies import otp
from treewarden.supervisor.core.spec import NO_BACKOFF, SupervisorSpec
from treewarden.supervisor.journal.memory import MemoryJournal
from treewarden.supervisor.journal.port import Commit
from treewarden.topologies.child import child
from treewarden.topologies.open import open_tree
from treewarden.topologies.pool import pool
from treewarden.topologies.running import Tree
from treewarden.topologies.tree import tree


@frozen
class Charge(Request[int]):
    seconds: float = 5.0
    of: str = ""
    """Whom the bank asks for its receipts, before it replies."""


@frozen
class Rest:
    seconds: float


@frozen
class Order:
    patience: float = 100.0
    first: float = 0.0
    charge: Charge = Charge()
    shielded: bool = False


@frozen
class Paid(Request[tuple[int, ...]]): ...


class Bank(Agent[int]):
    state = 0

    def __init__(self, begun: list[str]) -> None:
        self.begun = begun

    @handles
    async def charge(self, message: Charge) -> int:
        self.begun.append(self.path.name)
        number = len(self.begun)
        await trio.sleep(message.seconds)
        if message.of:
            await self.ref(message.of).ask(Paid(), within=1000)
        return number

    @handles
    async def rest(self, message: Rest) -> None:
        await trio.sleep(message.seconds)


class Desk(Agent[tuple[int, ...]]):
    state = ()

    def __init__(self, errors: list[Exception]) -> None:
        self.errors = errors

    @handles
    async def order(self, message: Order) -> None:
        await trio.sleep(message.first)
        paid = -1
        try:
            with trio.move_on_after(message.patience), trio.CancelScope(shield=message.shielded):
                paid = await self.ref("bank").ask(message.charge, within=100)
        except Exception as error:
            self.errors.append(error)
            raise
        self.state = (*self.state, paid)

    @handles
    def paid(self, message: Paid) -> tuple[int, ...]:
        return self.state


class Shop:
    """A desk, and a bank with two workers: what these have begun, and what the desk was told."""

    def __init__(self, deliveries: int = 5) -> None:
        self.begun = list[str]()
        self.errors = list[Exception]()
        bank = child(Bank, args={"begun": self.begun}, backoff=NO_BACKOFF)
        mailbox = MailboxSpec(deliveries=deliveries)
        desk = child(Desk, args={"errors": self.errors}, backoff=NO_BACKOFF, mailbox=mailbox)
        self.spec: SupervisorSpec = tree(pool(bank, 2, "round_robin", id="bank"), desk, policy=otp())


class SlowDisk(MemoryJournal):
    """Each commit takes a tenth of a second, however many are on their way."""

    def __init__(self, nursery: trio.Nursery) -> None:
        super().__init__()
        self._nursery = nursery

    def submit(self, commit: Commit, then: Callable[[BaseException | None], None]) -> None:
        self._nursery.start_soon(self._commit, commit, then)

    async def _commit(self, commit: Commit, then: Callable[[BaseException | None], None]) -> None:
        await trio.sleep(0.1)
        super().submit(commit, then)


async def paid(running: Tree) -> tuple[int, ...]:
    return await running.ref("desk").ask(Paid(), within=100)


async def test_it_is_begun_once_though_its_message_was_given_up(autojump_clock: MockClock) -> None:
    shop = Shop(deliveries=2)
    async with open_tree(shop.spec) as running:
        await running.ref("bank/1").tell(Rest(4))
        await running.ref("desk").tell(Order())
        for _ in range(2):
            await trio.sleep(1)
            assert running.kill("desk")
        await trio.sleep(20)
        assert len(await running.dead_letters()) == 1
        assert shop.begun == ["0"]


@pytest.mark.parametrize("rest", [4, 6])
async def test_it_is_begun_once_though_its_message_has_settled(rest: float, autojump_clock: MockClock) -> None:
    """The second one comes to its turn while the first is at it, or has just replied."""
    shop = Shop()
    async with open_tree(shop.spec) as running:
        await running.ref("bank/1").tell(Rest(rest))
        await running.ref("desk").tell(Order(patience=2))
        await trio.sleep(1)
        assert running.kill("desk")
        assert await paid(running) == (-1,)
        await trio.sleep(20)
        assert shop.begun == ["0"]


async def test_of_three_that_wait_when_it_has_failed_one_begins(autojump_clock: MockClock) -> None:
    """Its message is over; the second one begins it again, as one in the mailbox of the first would have."""
    shop = Shop(deliveries=3)
    async with open_tree(shop.spec) as running:
        await running.ref("bank/1").tell(Rest(4))
        await running.ref("desk").tell(Order())
        await trio.sleep(1)
        await running.ref("bank/0").tell(Rest(2))
        for _ in range(3):
            assert running.kill("desk")
            await trio.sleep(0.5)
        assert len(await running.dead_letters()) == 1
        assert running.kill("bank/0")
        await trio.sleep(30)
        assert shop.begun == ["0", "1"]


async def test_a_circle_that_is_closed_by_waiting_for_another_worker_is_found(autojump_clock: MockClock) -> None:
    """The first worker asks the desk, whose next life comes to its ask only then: it would wait for itself."""
    shop = Shop(deliveries=2)
    async with open_tree(shop.spec) as running:
        await running.ref("desk").tell(Order(first=3, charge=Charge(2, of="desk")))
        await trio.sleep(3.5)
        assert shop.begun == ["0"]
        assert running.kill("desk")
        await trio.sleep(2)
        assert await paid(running) == ()
        assert trio.current_time() == pytest.approx(6.5)
        (error,) = shop.errors
        assert isinstance(error, AskCycle)
        assert "desk asks bank/0 asks desk" in str(error)
        assert shop.begun == ["0"]


async def test_who_begins_it_anew_does_not_wait_until_the_first_has_nothing_to_do(autojump_clock: MockClock) -> None:
    """The first worker failed, and settles one message after the other since then: something of it is always on its
    way to the disk."""
    shop = Shop()
    async with trio.open_nursery() as nursery, open_tree(shop.spec, journal=SlowDisk(nursery)) as running:
        await running.ref("desk").tell(Order(first=1))
        await trio.sleep(2)
        assert shop.begun == ["0"]
        async with trio.open_nursery() as tellers:
            for _ in range(60):
                tellers.start_soon(running.ref("bank/0").tell, Rest(0.07))
        assert running.kill("bank/0")
        at = trio.current_time()
        assert await paid(running) == (2,)
        assert trio.current_time() - at < 7
        assert shop.begun == ["0", "1"]


async def test_a_life_that_was_left_behind_is_no_reason_to_begin_it_twice(autojump_clock: MockClock) -> None:
    shop = Shop()
    async with open_tree(shop.spec) as running:
        await running.ref("desk").tell(Order(charge=Charge(50), shielded=True))
        await trio.sleep(1)
        assert running.kill("desk")
        assert await paid(running) == (1,)
        assert trio.current_time() == pytest.approx(50)
        (error,) = shop.errors
        assert isinstance(error, AgentStopped)
        assert shop.begun == ["0"]


async def test_nor_is_what_such_a_life_had_asked_when_it_comes_to_its_turn_later(autojump_clock: MockClock) -> None:
    """It waits behind others where it was sent first, and the next life's has begun elsewhere by then."""
    shop = Shop()
    async with open_tree(shop.spec) as running:
        await running.ref("bank/0").tell(Rest(6))
        await running.ref("bank/1").tell(Rest(3))
        await running.ref("desk").tell(Order(shielded=True))
        await trio.sleep(1)
        assert running.kill("desk")
        assert await paid(running) == (1,)
        await trio.sleep(20)
        (error,) = shop.errors
        assert isinstance(error, AgentStopped)
        assert shop.begun == ["1"]


async def test_nothing_is_held_of_asks_from_outside_that_have_a_name(autojump_clock: MockClock) -> None:
    shop = Shop()
    async with open_tree(shop.spec) as running:
        message = Charge(0)
        held = weakref.ref(message)
        assert await running.ref("bank").traced("order:17").ask(message) == 1
        del message
        gc.collect()
        assert held() is None
