"""What a handler tells: when it leaves, when it does not, and what of a life that has ended still counts."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from attrs import evolve, frozen
from trio.testing import MockClock, wait_all_tasks_blocked

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import MESSAGE, VOLATILE, Durability, MailboxSpec, Overflow
from treewarden.agents.core.exit import Exit
from treewarden.agents.errors import AgentStopped, DurabilityError, MailboxFull
from treewarden.supervisor.core.event import ChildEnded, DeadLettered
from treewarden.supervisor.core.spec import NO_BACKOFF, Grace
from treewarden.topologies.child import child

from .trees import Add, Counter, Disk, Gate, Held, Tally, Total, happened, kept, opened, slot_of, volatile


@frozen
class Pass:
    """Tell `counter` these amounts; then raise, or wait for the gate, if it says so."""

    amounts: tuple[int, ...]
    then: str = ""


class Sender(Agent[Tally]):
    state = Tally()

    def __init__(self, gate: Gate | None = None, *, nowait: bool = False) -> None:
        self.gate = gate
        self.nowait = nowait

    @handles
    async def pass_on(self, message: Pass) -> None:
        for amount in message.amounts:
            if self.nowait:
                self.ref("counter").tell_nowait(Add(amount))
            else:
                await self.ref("counter").tell(Add(amount))
        self.state = evolve(self.state, total=self.state.total + 1)
        if message.then == "raise":
            raise ValueError("unlucky")
        if message.then == "wait" and self.gate is not None:
            await self.gate.pass_by("sender")

    @handles
    def total(self, message: Total) -> int:
        return self.state.total


@pytest.mark.parametrize("nowait", [False, True])
@pytest.mark.parametrize("receiver", [MESSAGE, VOLATILE])
async def test_a_durable_handlers_tells_leave_with_its_settle(
    receiver: Durability, nowait: bool, autojump_clock: MockClock
) -> None:
    gate = Gate(shut=True)
    sender = child(Sender, args={"gate": gate, "nowait": nowait})
    async with opened(kept(Counter, receiver), sender) as running:
        counter = slot_of(running, "counter")
        await running.ref("sender").tell(Pass((1, 2, 4), "wait"))
        await wait_all_tasks_blocked()
        assert gate.entered == ["sender"]
        assert (len(counter), counter.reserved, counter.handled) == (0, 3, 0)
        gate.open()
        await wait_all_tasks_blocked()
        assert (counter.reserved, counter.state) == (0, Tally(7, (1, 2, 4)))


async def test_they_leave_in_the_same_commit_and_not_before_it_is_on_disk(autojump_clock: MockClock) -> None:
    journal = Disk()
    async with opened(child(Counter), child(Sender), journal=journal) as running:
        counter = slot_of(running, "counter")
        await running.ref("sender").tell(Pass((1, 2)))
        await wait_all_tasks_blocked()
        assert counter.handled == 2
        (settle,) = journal.of("sender")
        assert [row.path for row in settle.accepted] == ["counter", "counter"]
        assert len(settle.acked) == 1
        assert [state.path for state in settle.states] == ["sender"]
        slot_of(running, "sender").pause("held")
        await running.ref("sender").tell(Pass((4,)))
        journal.slow = True
        slot_of(running, "sender").resume("held")
        await wait_all_tasks_blocked()
        assert (counter.handled, counter.reserved) == (2, 1)
        journal.slow = False
        journal.go()
        await wait_all_tasks_blocked()
        assert counter.handled == 3


@pytest.mark.parametrize("receiver", [MESSAGE, VOLATILE])
async def test_they_do_not_leave_if_it_raises_and_their_room_is_free(
    receiver: Durability, autojump_clock: MockClock
) -> None:
    sender = child(Sender, mailbox=MailboxSpec(deliveries=2), backoff=NO_BACKOFF)
    async with opened(kept(Counter, receiver), sender) as running:
        await running.ref("sender").tell(Pass((1, 2), "raise"))
        (dead,) = await happened(running, DeadLettered)
        assert dead.path == "sender"
        counter = slot_of(running, "counter")
        assert (counter.handled, len(counter), counter.reserved) == (0, 0, 0)
        assert await running.ref("sender").ask(Total()) == 0


async def test_a_volatile_handlers_tells_leave_at_once(autojump_clock: MockClock) -> None:
    async with opened(volatile(Counter), volatile(Sender, args={"nowait": True}, backoff=NO_BACKOFF)) as running:
        await running.ref("sender").tell(Pass((1, 2), "raise"))
        await happened(running, ChildEnded)
        assert await running.ref("counter").ask(Total()) == 3


async def test_a_volatile_handler_waits_for_the_disk_of_a_durable_receiver(autojump_clock: MockClock) -> None:
    async with opened(child(Counter), volatile(Sender), volatile(Sender, id="hasty", args={"nowait": True})) as running:
        await running.ref("sender").tell(Pass((1, 2)))
        await wait_all_tasks_blocked()
        assert await running.ref("counter").ask(Total()) == 3
        await running.ref("hasty").tell(Pass((1,)))
        (ended,) = await happened(running, ChildEnded)
        assert ended.failure is not None
        assert ended.failure.type == f"{DurabilityError.__module__}.DurabilityError"


async def test_the_receiver_knows_who_told(autojump_clock: MockClock) -> None:
    journal = Disk()
    async with opened(child(Counter), child(Sender), volatile(Sender, id="other"), journal=journal) as running:
        slot_of(running, "counter").pause("held")
        await running.ref("sender").tell(Pass((1,)))
        await wait_all_tasks_blocked()
        await running.ref("other").tell(Pass((2,)))
        await wait_all_tasks_blocked()
        await running.ref("counter").tell(Add(4))
        held = await journal.recover(running.ref("counter").path)
        assert [row.sender for row in held.messages] == ["sender", "other", None]


# -- to oneself


class Loop(Agent[Tally]):
    """Tells itself `more` messages for each that it gets, and then waits until its mailbox is full."""

    state = Tally()

    def __init__(self, more: int = 1, rounds: int = 50) -> None:
        self.more = more
        self.rounds = rounds

    @handles
    async def add(self, message: Add) -> None:
        self.state = evolve(self.state, total=self.state.total + 1)
        await trio.lowlevel.checkpoint()
        if self.state.total < self.rounds:
            for _ in range(self.more):
                await self.ref("loop").tell(Add())

    @handles
    def total(self, message: Total) -> int:
        return self.state.total


@pytest.mark.parametrize("durability", [MESSAGE, VOLATILE])
async def test_a_handler_may_always_put_the_message_in_hand_back_as_another(
    durability: Durability, autojump_clock: MockClock
) -> None:
    spec = MailboxSpec(capacity=3, durability=durability)
    async with opened(child(Loop, mailbox=spec)) as running, trio.open_nursery() as nursery:
        loop = running.ref("loop")
        for _ in range(8):
            nursery.start_soon(loop.tell, Add())
        await wait_all_tasks_blocked()
        assert slot_of(running, "loop").statistics().senders_waiting == 0
        assert await loop.ask(Total()) >= 50
        assert [each.incarnation for each in running.snapshot()] == [1]


@pytest.mark.parametrize("durability", [MESSAGE, VOLATILE])
async def test_but_no_more_than_that(durability: Durability, autojump_clock: MockClock) -> None:
    spec = MailboxSpec(capacity=3, durability=durability, deliveries=1)
    async with opened(child(Loop, mailbox=spec, args={"more": 2})) as running:
        before = trio.current_time()
        await running.ref("loop").tell(Add())
        (ended,) = await happened(running, ChildEnded)
        assert ended.failure is not None
        assert ended.failure.type == f"{MailboxFull.__module__}.MailboxFull"
        assert trio.current_time() - before < 1  # it did not wait for itself


@pytest.mark.parametrize(("overflow", "handled"), [(Overflow.WAIT, 1), (Overflow.REFUSE, 0)])
async def test_a_mailbox_that_refuses_has_no_place_more_for_its_own_handler(
    overflow: Overflow, handled: int, autojump_clock: MockClock
) -> None:
    spec = MailboxSpec(capacity=1, durability=VOLATILE, overflow=overflow)
    async with opened(child(Loop, mailbox=spec, args={"more": 2})) as running:
        await running.ref("loop").tell(Add())
        await happened(running, ChildEnded)
        assert slot_of(running, "loop").state == Tally(handled)


# -- a life that has ended


class Stubborn(Agent[Tally]):
    """Cannot be cancelled while it handles `Held`, and afterwards tries to do as if nothing had happened."""

    state = Tally()

    def __init__(self, gate: Gate, log: list[Any]) -> None:
        self.gate = gate
        self.log = log

    @handles
    async def held(self, message: Held) -> str:
        with trio.CancelScope(shield=True):
            await self.gate.pass_by(message.text)
            self.state = Tally(666)
            for send in (self.ref("counter").tell, self.ref("counter").ask):
                try:
                    await send(Add(1) if send == self.ref("counter").tell else Total())  # type: ignore[arg-type]
                except AgentStopped as error:
                    self.log.append(str(error))
            try:
                self.ref("counter").tell_nowait(Add(1))
            except AgentStopped as error:
                self.log.append(str(error))
        return "late"

    @handles
    def add(self, message: Add) -> None:
        self.state = evolve(self.state, seen=(*self.state.seen, message.amount))

    @handles
    def total(self, message: Total) -> int:
        return self.state.total

    async def on_stop(self, exit: Exit) -> None:
        self.log.append("on_stop")


@pytest.mark.parametrize("durability", [MESSAGE, VOLATILE])
async def test_what_a_fenced_life_still_does_is_void(durability: Durability, autojump_clock: MockClock) -> None:
    gate, log, replies = Gate(shut=True), list[Any](), list[Any]()
    stubborn = kept(Stubborn, durability, args={"gate": gate, "log": log}, shutdown=Grace(1.0))

    async def ask() -> None:
        try:
            replies.append(await running.ref("stubborn").ask(Held("a"), within=100))
        except Exception as error:
            replies.append(type(error).__name__)

    async with opened(stubborn, kept(Counter, durability)) as running, trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        await wait_all_tasks_blocked()
        await running.ref("stubborn").tell(Add(1))
        assert running.kill("stubborn")
        await trio.sleep(5)
        assert running.snapshot()[0].incarnation == 2
        assert replies == ["AgentFailed"]
        await running.ref("stubborn").tell(Add(2))
        await wait_all_tasks_blocked()
        before = slot_of(running, "stubborn").state
        assert before == Tally(0, (1, 2))
        gate.open()
        await running.ref("stubborn").tell(Add(3))
        await wait_all_tasks_blocked()
        assert slot_of(running, "stubborn").state == Tally(0, (1, 2, 3))
        assert await running.ref("stubborn").ask(Total()) == 0
        assert await running.ref("counter").ask(Total()) == 0
        assert len(log) == 3
        assert all("stubborn: this incarnation has ended" in each for each in log)
        assert replies == ["AgentFailed"]
        assert slot_of(running, "counter").reserved == 0


class Ringing(Agent[None]):
    """Tells at a distance and itself, in order, and counts what it is told back."""

    def __init__(self, log: list[object]) -> None:
        self.log = log

    @handles
    async def pass_on(self, message: Pass) -> None:
        for amount in message.amounts:
            self.ref("../counter").tell_nowait(Add(amount))
            await self.ref("../ringing").tell(Add(amount))
        self.log.append(len(message.amounts))
        if message.then == "raise":
            raise ValueError("unlucky")

    @handles
    def add(self, message: Add) -> None:
        self.log.append(message)


async def test_what_lives_in_memory_tells_at_once_and_in_order(autojump_clock: MockClock) -> None:
    log: list[object] = []
    ringing = child(
        Ringing, args={"log": log}, mailbox=MailboxSpec(capacity=4, durability=VOLATILE), backoff=NO_BACKOFF
    )
    async with opened(volatile(Counter, capacity=4), ringing) as running:
        for then in ("", "raise"):
            await running.ref("ringing").tell(Pass((1, 2, 4), then))
            await wait_all_tasks_blocked()
        assert log == [3, Add(1), Add(2), Add(4), 3, Add(1), Add(2), Add(4)]
        assert await running.ref("counter").ask(Total()) == 14
        counter = slot_of(running, "counter")
        assert (counter.accepted, counter.reserved, counter.dropped) == (7, 0, 0)


class Ghost(Agent[None]):
    """Cannot be cancelled while it waits, and tells and asks when it should be gone."""

    def __init__(self, said: list[str], lives: set[int]) -> None:
        self.said = said
        self.lives = lives

    @handles
    async def pass_on(self, message: Pass) -> None:
        counter = self.ref("../counter")
        counter.tell_nowait(Add(message.amounts[0]))
        with trio.CancelScope(shield=True):
            await trio.sleep(10)
            for tell in (lambda: counter.tell(Add(100)), lambda: self._at_once(counter)):
                try:
                    await tell()
                except AgentStopped as error:
                    self.said.append(str(error))

    async def _at_once(self, counter: Any) -> None:
        counter.tell_nowait(Add(100))

    @handles
    def add(self, message: Add) -> None:
        self.said.append(str(message.amount))
        self.lives.add(self.life.slot.generation)


async def test_a_life_that_has_ended_takes_no_further_message_and_tells_nothing(autojump_clock: MockClock) -> None:
    said: list[str] = []
    lives: set[int] = set()
    memory = MailboxSpec(durability=VOLATILE)
    ghost = child(Ghost, args={"said": said, "lives": lives}, mailbox=memory, backoff=NO_BACKOFF, shutdown=Grace(1))
    async with opened(volatile(Counter), ghost) as running:
        await running.ref("ghost").tell(Pass((1,)))
        await wait_all_tasks_blocked()
        assert running.kill("ghost")
        await trio.sleep(5)
        assert running.zombies == ("ghost",)
        for amount in range(3):
            await running.ref("ghost").tell(Add(amount))
            await wait_all_tasks_blocked()
        slot = slot_of(running, "ghost")
        slot.pause("test")
        for amount in (7, 8):
            await running.ref("ghost").tell(Add(amount))
        await trio.sleep(20)  # the zombie comes to itself beside messages that wait
        assert not running.zombies
        assert len(slot) == 2
        slot.resume("test")
        await wait_all_tasks_blocked()
        gone = "ghost: this incarnation has ended; what it still tells or asks does not leave"
        assert said == ["0", "1", "2", gone, gone, "7", "8"]
        assert len(lives) == 1
        assert await running.ref("counter").ask(Total()) == 1
