"""Handlers that all wait, for a parcel or a person, settle nothing for days: that they came so far is work too."""

from __future__ import annotations

import trio
import trio.testing
from attrs import define, frozen

from treewarden.agents.agent import Agent, handles
from treewarden.supervisor import Intensity, Policy, ladder
from treewarden.supervisor.core.action import Break
from treewarden.supervisor.core.case import Case
from treewarden.supervisor.core.event import Decided
from treewarden.supervisor.core.guards import Declined, Option
from treewarden.supervisor.core.spec import SupervisorSpec
from treewarden.topologies.child import child
from treewarden.topologies.open import open_tree
from treewarden.topologies.running import Tree
from treewarden.topologies.tree import tree

WORKERS = 4


@frozen
class Stock:
    """Settled at once."""


@frozen
class Order:
    number: int


@define
class Bank:
    down: bool = False
    wrong: int = 0
    """Of how many calls one fails, if it does; each call anew."""
    error: type[Exception] = ConnectionResetError
    calls: int = 0

    async def charge(self) -> None:
        await trio.sleep(0.01)
        self.calls += 1
        if self.down or (self.wrong and self.calls % self.wrong == 0):
            raise self.error("the bank makes no sense")


class Shop(Agent[int]):
    state = 0

    def __init__(self, bank: Bank) -> None:
        self.bank = bank

    @handles
    def stock(self, message: Stock) -> None:
        self.state += 1

    @handles
    async def order(self, message: Order) -> None:
        await self.bank.charge()
        await self.wait_event(f"shipped {message.number}", until=self.now() + 86_400)


@frozen
class Breaks:
    """Leaves the bank alone at every failure."""

    name: str = "breaks"
    counts_alike: bool = True
    escalates: bool = False
    stable_after: float | None = None

    def propose(self, case: Case) -> tuple[Option, ...]:
        return (Option(Break("bank", 5.0), "rule", "because"),)

    def declined(self, case: Case) -> tuple[Declined, ...]:
        return ()


async def decided(running: Tree) -> set[str]:
    """The actions that were decided on so far."""
    async with running.events() as records:
        found = set[str]()
        with trio.move_on_after(1):
            async for record in records:
                if isinstance(record.event, Decided):
                    found.add(record.event.action)
    return found


def shop(bank: Bank, many: int, policy: Policy | None = None) -> SupervisorSpec:
    shops = [child(Shop, id=f"{n}", args={"bank": bank}, uses=("bank",) if policy else ()) for n in range(many)]
    return tree(*shops, policy=policy or ladder(), restarts=Intensity(10_000, within=5))


async def test_its_state_is_not_blamed_for_what_fails_now_and_then(autojump_clock: trio.testing.MockClock) -> None:
    bank = Bank(error=ValueError)
    async with open_tree(shop(bank, 1), seed=1) as running:
        for _ in range(5):
            await running.ref("0").tell(Stock())
            await trio.sleep(2)
        bank.wrong = 7
        for number in range(60):
            await running.ref("0").tell(Order(number))
            await trio.sleep(0.5)
        found = await decided(running)
    assert found == {"restart"}


async def test_siblings_of_which_each_fails_now_and_then_share_nothing_that_is_down(
    autojump_clock: trio.testing.MockClock,
) -> None:
    bank = Bank(wrong=40)
    async with open_tree(shop(bank, WORKERS), seed=1) as running:
        for number in range(2000):
            await running.ref(f"{number % WORKERS}").tell(Order(number))
            await trio.sleep(0.01)
        found = await decided(running)
    assert found == {"restart"}


async def test_a_probe_that_comes_to_a_wait_has_worked(autojump_clock: trio.testing.MockClock) -> None:
    """It is never idle meanwhile, so only what it has done can say that the bank is back."""
    bank = Bank(down=True)
    async with open_tree(shop(bank, WORKERS, Breaks()), seed=1) as running:
        for number in range(2000):
            await running.ref(f"{number % WORKERS}").tell(Order(number), within=1e6)
            if number == 20:
                bank.down = False
            await trio.sleep(0.02)
        assert [status.note for status in running.snapshot() if not status.supervisor] == [""] * WORKERS
        assert sum(status.parked for status in running.snapshot()) > 1500
