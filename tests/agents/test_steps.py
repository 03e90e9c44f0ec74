"""An ask inside a durable handler is a step: when the handler runs again, it gets the same reply."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from attrs import evolve, frozen
from trio.testing import MockClock, wait_all_tasks_blocked

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import MESSAGE, VOLATILE, MailboxSpec
from treewarden.agents.core.message import Request
from treewarden.agents.errors import AgentFailed
from treewarden.supervisor.core.checkpoint import Retention
from treewarden.supervisor.core.event import DeadLettered
from treewarden.supervisor.core.spec import NO_BACKOFF
from treewarden.supervisor.settling import SlotStore
from treewarden.topologies.child import child
from treewarden.topologies.running import Tree

from .trees import Disk, Gate, Tally, happened, kept, opened, slot_of


@frozen
class Order:
    """Take `numbers` tickets, and then fail as often as `failures` says."""

    numbers: tuple[str, ...] = ("red",)
    failures: int = 1


@frozen
class Ticket(Request[int]):
    """The next number of a colour; every ask counts."""

    colour: str


@frozen
class Stamped(Request[str]):
    """A ticket, through another agent."""

    colour: str


@frozen
class Odd(Request[Any]):
    pass


class Issuer(Agent[Tally]):
    state = Tally()

    @handles
    def ticket(self, message: Ticket) -> int:
        self.state = evolve(self.state, total=self.state.total + 1)
        return self.state.total

    @handles
    def odd(self, message: Odd) -> Any:
        return object()


class Stamper(Agent[Tally]):
    state = Tally()

    @handles
    async def stamp(self, message: Stamped) -> str:
        number = await self.ref("issuer").ask(Ticket(message.colour))
        self.state = evolve(self.state, total=self.state.total + 1)
        return f"{message.colour} {number}"


class Buyer(Agent[Tally]):
    state = Tally()

    def __init__(self, log: list[Any], gate: Gate | None = None, *, at_once: bool = False) -> None:
        self.log = log
        self.gate = gate
        self.at_once = at_once

    async def ask(self, colour: str) -> Any:
        if colour.startswith("stamped"):
            return await self.ref("stamper").ask(Stamped(colour))
        return await self.ref("issuer").ask(Ticket(colour))

    @handles
    async def order(self, message: Order) -> None:
        got: list[Any] = []
        if self.at_once:

            async def one(colour: str) -> None:
                got.append((colour, await self.ask(colour)))

            async with trio.open_nursery() as nursery:
                for colour in message.numbers:
                    nursery.start_soon(one, colour)
            got.sort()
        else:
            got.extend([await self.ask(colour) for colour in message.numbers])
        self.log.append(got)
        if self.gate is not None:
            await self.gate.pass_by("buyer")
        if len(self.log) <= message.failures:
            raise ValueError("after it had asked")
        self.state = evolve(self.state, total=self.state.total + 1)


def shop(log: list[Any], gate: Gate | None = None, *, every: int = 16, **options: Any) -> list[Any]:
    buyer = child(
        Buyer,
        args={"log": log, "gate": gate, **options},
        backoff=NO_BACKOFF,
        mailbox=MailboxSpec(deliveries=3),
    )
    retention = Retention(every=every)
    issuer, stamper = (child(agent, backoff=NO_BACKOFF, retention=retention) for agent in (Issuer, Stamper))
    return [issuer, stamper, buyer]


def kept_replies(running: Tree) -> int:
    """How many replies are kept; none should be, when all is done."""
    store = slot_of(running, "buyer").store
    assert isinstance(store, SlotStore)
    return len(store._common.replies)  # pyright: ignore[reportPrivateUsage]


async def test_a_handler_that_runs_again_gets_the_reply_that_it_got(autojump_clock: MockClock) -> None:
    journal, log = Disk(), list[Any]()
    async with opened(*shop(log), journal=journal) as running:
        await running.ref("buyer").tell(Order())
        await trio.sleep(1)
        assert log == [[1], [1]]
        assert slot_of(running, "issuer").state == Tally(1)  # it was asked once
        assert slot_of(running, "buyer").state == Tally(1)
        assert kept_replies(running) == 0
        assert (await journal.recover(running.ref("issuer").path)).replies == ()


async def test_every_ask_is_a_step_of_its_own(autojump_clock: MockClock) -> None:
    log: list[Any] = []
    async with opened(*shop(log)) as running:
        await running.ref("buyer").tell(Order(("red", "red", "blue", "red"), failures=2))
        await trio.sleep(1)
        assert log == [[1, 2, 3, 4]] * 3
        await running.ref("buyer").tell(Order(("red",), failures=0))
        await trio.sleep(1)
        assert log[-1] == [5]  # another message, other steps


async def test_asks_that_go_out_at_once_are_told_apart_by_what_they_ask(autojump_clock: MockClock) -> None:
    log: list[Any] = []
    async with opened(*shop(log, at_once=True)) as running:
        await running.ref("buyer").tell(Order(("red", "green", "blue"), failures=2))
        await trio.sleep(1)
        assert log[0] == log[1] == log[2]
        assert sorted(number for _, number in log[0]) == [1, 2, 3]


async def test_a_chain_of_asks_is_kept_and_forgotten_as_a_whole(autojump_clock: MockClock) -> None:
    log: list[Any] = []
    async with opened(*shop(log)) as running:
        await running.ref("buyer").tell(Order(("stamped red", "stamped blue")))
        await trio.sleep(1)
        assert log == [["stamped red 1", "stamped blue 2"]] * 2
        assert slot_of(running, "stamper").state == Tally(2)
        assert slot_of(running, "issuer").state == Tally(2)
        assert kept_replies(running) == 0


@pytest.mark.parametrize("every", [1, 0], ids=["checkpoint", "state"])
async def test_they_are_kept_over_the_death_of_the_process(every: int, autojump_clock: MockClock) -> None:
    """Whether the settle that replies keeps an earlier state as well or not, as most do not."""
    journal, log, gate = Disk(), list[Any](), Gate(shut=True)
    with trio.CancelScope() as power:
        async with opened(*shop(log, gate, every=every), journal=journal) as running:
            await running.ref("buyer").tell(Order(("red", "stamped blue"), failures=0))
            await wait_all_tasks_blocked()
            assert log == [[1, "stamped blue 2"]]
            assert kept_replies(running) == 2  # what the stamper asked was forgotten when it had settled
            power.cancel()
            await trio.sleep_forever()
    async with opened(*shop(log), journal=journal) as running:
        await trio.sleep(1)
        assert log == [[1, "stamped blue 2"]] * 2
        assert slot_of(running, "issuer").state == Tally(2)
        assert kept_replies(running) == 0


async def test_a_message_that_is_given_up_leaves_no_replies_behind(autojump_clock: MockClock) -> None:
    journal, log = Disk(), list[Any]()
    async with opened(*shop(log), journal=journal) as running:
        await running.ref("buyer").tell(Order(("red", "stamped blue"), failures=99))
        await happened(running, DeadLettered)
        await trio.sleep(1)
        assert len(log) == 3
        assert kept_replies(running) == 0
        for path in ("issuer", "stamper"):
            assert (await journal.recover(running.ref(path).path)).replies == ()


async def test_an_ask_that_waits_while_its_asker_dies_is_handled_once(autojump_clock: MockClock) -> None:
    """The first attempt's ask is still in the mailbox when the second attempt asks the same."""
    log: list[Any] = []
    async with opened(*shop(log)) as running:
        slot_of(running, "issuer").pause("held")
        await running.ref("buyer").tell(Order(failures=0))
        await wait_all_tasks_blocked()
        running.kill("buyer")
        await trio.sleep(1)
        assert len(slot_of(running, "issuer")) == 2
        slot_of(running, "issuer").resume("held")
        await trio.sleep(1)
        assert log == [[1]]
        assert slot_of(running, "issuer").state == Tally(1)


async def test_asks_from_outside_are_no_steps(autojump_clock: MockClock) -> None:
    journal = Disk()
    async with opened(*shop([]), journal=journal) as running:
        assert await running.ref("issuer").ask(Ticket("red")) == 1
        assert await running.ref("issuer").ask(Ticket("red")) == 2
        assert kept_replies(running) == 0
        assert not [reply for commit in journal.seen for reply in commit.replies]


@pytest.mark.parametrize(("buyer", "issuer"), [(VOLATILE, MESSAGE), (MESSAGE, VOLATILE)])
async def test_where_one_side_is_in_memory_nothing_is_kept(buyer: Any, issuer: Any, autojump_clock: MockClock) -> None:
    journal, log = Disk(), list[Any]()
    buyer_spec = kept(Buyer, buyer, args={"log": log}, backoff=NO_BACKOFF)
    async with opened(kept(Issuer, issuer), buyer_spec, journal=journal) as running:
        await running.ref("buyer").tell(Order())
        await trio.sleep(1)
        assert log == ([[1], [2]] if buyer is MESSAGE else [[1]])
        assert not [reply for commit in journal.seen for reply in commit.replies]


async def test_a_reply_that_cannot_be_stored_fails_the_ask_and_says_why(autojump_clock: MockClock) -> None:
    said: list[str] = []

    class Asker(Agent[None]):
        @handles
        async def order(self, message: Order) -> None:
            try:
                await self.ref("issuer").ask(Odd())
            except AgentFailed as error:
                said.append(str(error))

    async with opened(child(Issuer, backoff=NO_BACKOFF), child(Asker)) as running:
        assert isinstance(await running.ref("issuer").ask(Odd()), object)  # from outside it need not be
        await running.ref("asker").tell(Order())
        await trio.sleep(1)
    assert "object is not known to this agent's codec" in said[0]
