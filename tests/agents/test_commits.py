"""A commit that fails: nothing of it has happened, nor of what rested on it, and all of it runs again in its order."""

from __future__ import annotations

import pytest
import trio
from attrs import evolve, frozen
from trio.testing import MockClock, wait_all_tasks_blocked

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import MESSAGE, Checkpointed, Durability, MailboxSpec
from treewarden.agents.errors import AgentFailed, CommitFailed, ConfigurationError
from treewarden.agents.ports import Settled
from treewarden.supervisor.core.event import ChildEnded, DeadLettered
from treewarden.supervisor.core.spec import NO_BACKOFF
from treewarden.supervisor.settling import SlotStore
from treewarden.topologies.child import child

from .trees import Add, Counter, Disk, Gate, Tally, Total, events, happened, kept, opened, slot_of


@frozen
class Forward:
    amount: int


class Relay(Agent[Tally]):
    """Adds up, passes on, and waits at the gate where it is told to."""

    state = Tally()

    def __init__(self, gate: Gate, log: list[int]) -> None:
        self.gate = gate
        self.log = log

    @handles
    async def forwarded(self, message: Forward) -> None:
        self.log.append(message.amount)
        self.state = evolve(self.state, total=self.state.total + message.amount)
        await self.ref("counter").tell(Add(message.amount))
        if message.amount == 13:
            await self.gate.pass_by("13")

    @handles
    def total(self, message: Total) -> int:
        return self.state.total


async def test_what_ran_ahead_of_a_commit_that_failed_runs_again_in_its_order(autojump_clock: MockClock) -> None:
    journal, gate, log = Disk(), Gate(shut=True), list[int]()
    relay_spec = child(Relay, args={"gate": gate, "log": log}, backoff=NO_BACKOFF)
    async with opened(child(Counter), relay_spec, journal=journal) as running:
        relay, slot, counter = running.ref("relay"), slot_of(running, "relay"), slot_of(running, "counter")
        slot.pause("held")
        for amount in (1, 2, 4, 13, 32):
            await relay.tell(Forward(amount))
        journal.slow = True
        slot.resume("held")
        await wait_all_tasks_blocked()
        assert log == [1, 2, 4, 13]  # three settles are on their way, and the fourth message is in hand
        assert (slot.inflight, len(slot), counter.reserved) == (3, 1, 4)
        journal.slow = False
        journal.fail("relay")
        await trio.sleep(1)
        assert log == [1, 2, 4, 13, 1, 2, 4, 13]
        gate.open()
        await trio.sleep(1)
        assert log == [1, 2, 4, 13, 1, 2, 4, 13, 32]
        assert slot.state == Tally(52)
        assert counter.state == Tally(52, (1, 2, 4, 13, 32))
        assert (slot.inflight, counter.reserved, len(slot)) == (0, 0, 0)
        ended = await events(journal, ChildEnded)
        assert [each.failure.type for each in ended if each.failure is not None] == ["CommitFailed"]
        assert await events(journal, DeadLettered) == []


async def test_a_later_commit_of_the_same_life_is_refused_at_once_and_keeps_the_order(
    autojump_clock: MockClock,
) -> None:
    """The first failure is known while others are still on their way, and while one more is about to settle."""
    journal, gate, log = Disk(), Gate(shut=True), list[int]()
    relay_spec = child(Relay, args={"gate": gate, "log": log}, backoff=NO_BACKOFF)
    async with opened(child(Counter), relay_spec, journal=journal) as running:
        relay, slot = running.ref("relay"), slot_of(running, "relay")
        slot.pause("held")
        for amount in (1, 2, 4):
            await relay.tell(Forward(amount))
        slot.resume("held")
        journal.slow = True
        await wait_all_tasks_blocked()
        journal.fail("relay", 1)
        await wait_all_tasks_blocked()
        journal.slow = False
        journal.fail("relay")
        await trio.sleep(1)
        assert log == [1, 2, 4, 1, 2, 4]
        assert slot.state == Tally(7)
        assert slot_of(running, "counter").state == Tally(7, (1, 2, 4))


@pytest.mark.parametrize("durability", [MESSAGE, Checkpointed(messages=1)])
async def test_what_rests_on_a_settle_that_failed_is_refused_until_a_life_begins_from_the_disk(
    durability: Durability, autojump_clock: MockClock
) -> None:
    """The journal is asked no more: it could not know any longer that this rests on something that it has refused. What
    a `checkpoint` agent writes is all of its state, and rests on nothing."""
    journal, told = Disk(), list[BaseException | None]()
    async with opened(kept(Counter, durability), journal=journal) as running:
        path, store = running.ref("counter").path, slot_of(running, "counter").store
        assert isinstance(store, SlotStore)

        async def settle(total: int) -> None:
            store.settle(Settled(path, state=Tally(total)), told.append)
            await wait_all_tasks_blocked()

        journal.broken = lambda _: True
        await settle(1)
        journal.broken = lambda _: False
        await settle(2)
        refused = durability is MESSAGE
        assert (type(told[0]), told[1] is not None) == (CommitFailed, refused)
        assert not refused or "counter: an earlier settle failed: the disk is full" in str(told[1])
        assert ((await journal.recover(path)).state is None) is refused
        store.mend()
        await settle(3)
        held = (await journal.recover(path)).state
        assert held is not None
        assert (told[2], held.body) == (None, '{"total":3,"seen":[]}')


async def test_who_asked_is_told_that_asking_again_is_safe(autojump_clock: MockClock) -> None:
    journal, gate, log = Disk(), Gate(), list[int]()
    relay_spec = child(Relay, args={"gate": gate, "log": log}, backoff=NO_BACKOFF)
    async with opened(child(Counter), relay_spec, journal=journal) as running:
        relay, errors = running.ref("relay"), list[AgentFailed]()

        async def ask() -> None:
            with pytest.raises(AgentFailed, match="relay: CommitFailed: the disk is full") as failed:
                await relay.ask(Total(), within=60)
            errors.append(failed.value)

        slot_of(running, "relay").pause("held")
        await relay.tell(Forward(1))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await wait_all_tasks_blocked()
            journal.slow = True
            slot_of(running, "relay").resume("held")
            await wait_all_tasks_blocked()
            assert log == [1]
            journal.slow = False
            journal.fail("relay")
        assert [error.retry_safe for error in errors] == [True]
        await trio.sleep(1)
        assert await relay.ask(Total()) == 1


async def test_a_life_that_was_killed_while_its_commit_failed_loses_nothing(autojump_clock: MockClock) -> None:
    journal, gate, log = Disk(), Gate(), list[int]()
    relay_spec = child(Relay, args={"gate": gate, "log": log}, backoff=NO_BACKOFF)
    async with opened(child(Counter), relay_spec, journal=journal) as running:
        slot = slot_of(running, "relay")
        slot.pause("held")
        for amount in (1, 2, 4):
            await running.ref("relay").tell(Forward(amount))
        journal.slow = True
        slot.resume("held")
        await wait_all_tasks_blocked()
        assert running.kill("relay")
        await trio.sleep(1)  # it has ended; the next life waits for what is on its way
        assert log == [1, 2, 4]
        journal.slow = False
        journal.fail("relay")
        await trio.sleep(1)
        assert log == [1, 2, 4, 1, 2, 4]
        assert slot.state == Tally(7)
        assert slot_of(running, "counter").reserved == 0


async def test_a_life_that_was_killed_while_its_commit_succeeded_has_settled(autojump_clock: MockClock) -> None:
    journal, gate, log = Disk(), Gate(), list[int]()
    relay_spec = child(Relay, args={"gate": gate, "log": log}, backoff=NO_BACKOFF)
    async with opened(child(Counter), relay_spec, journal=journal) as running:
        slot_of(running, "relay").pause("held")
        await running.ref("relay").tell(Forward(1))
        journal.slow = True
        slot_of(running, "relay").resume("held")
        await wait_all_tasks_blocked()
        running.kill("relay")
        await trio.sleep(1)
        journal.slow = False
        journal.go()
        await trio.sleep(1)
        assert log == [1]
        assert slot_of(running, "counter").state == Tally(1, (1,))
        await running.ref("relay").tell(Forward(2))
        assert await running.ref("relay").ask(Total()) == 3  # the next life began with what was on its way


async def test_a_tell_that_could_not_be_stored_was_not_sent(autojump_clock: MockClock) -> None:
    journal = Disk()
    async with opened(child(Counter), journal=journal) as running:
        journal.broken = lambda commit: bool(commit.accepted)
        with pytest.raises(Exception, match="the disk is full"):
            await running.ref("counter").tell(Add(1))
        journal.broken = lambda _: False
        await running.ref("counter").tell(Add(2))
        assert await running.ref("counter").ask(Total()) == 2
        assert slot_of(running, "counter").reserved == 0


async def test_who_is_cancelled_while_a_message_is_on_its_way_has_sent_it(autojump_clock: MockClock) -> None:
    journal = Disk()
    async with opened(child(Counter), journal=journal) as running, trio.open_nursery() as nursery:
        journal.slow = True
        nursery.start_soon(running.ref("counter").tell, Add(1))
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            await trio.sleep(1)
            assert slot_of(running, "counter").reserved == 1
            journal.slow = False
            journal.go()
            await wait_all_tasks_blocked()
            assert await running.ref("counter").ask(Total()) == 1


# -- what cannot be stored


@frozen
class Opaque:
    """Says that it holds a number, and holds something else."""

    number: int


@frozen
class Hold:
    what: str


class Bad(Agent[Opaque]):
    """Leaves behind what cannot be stored."""

    state = Opaque(0)

    @handles
    async def hold(self, message: Hold) -> None:
        wrong: int = object()  # type: ignore[assignment]
        match message.what:
            case "state":
                self.state = Opaque(wrong)
            case "fact":
                self.record(Opaque(wrong))
            case "message":
                await self.ref("counter").tell(Add(1))
                await self.ref("counter").tell(Add(wrong))
            case _:
                await self.ref("counter").tell(Add(1))
                self.state = Opaque(1)

    @handles
    def total(self, message: Total) -> int:
        return self.state.number


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("state", "Opaque.number cannot be stored"),
        ("fact", "Opaque.number cannot be stored"),
        ("message", "Add.amount cannot be stored"),
    ],
)
async def test_what_cannot_be_stored_fails_its_handler_and_nothing_else(
    what: str, text: str, autojump_clock: MockClock
) -> None:
    journal = Disk()
    async with opened(child(Counter), child(Bad, backoff=NO_BACKOFF), journal=journal) as running:
        await running.ref("bad").tell(Hold(what))
        (ended,) = await happened(running, ChildEnded)
        assert ended.failure is not None
        assert ended.failure.type == f"{ConfigurationError.__module__}.ConfigurationError"
        assert text in ended.failure.text
        assert ended.failure.message_kind == "Hold"
        (dead,) = await happened(running, DeadLettered)
        assert dead.path == "bad"
        counter, slot = slot_of(running, "counter"), slot_of(running, "bad")
        await running.ref("bad").tell(Hold("nothing bad"))
        assert await running.ref("bad").ask(Total()) == 1
        await wait_all_tasks_blocked()
        assert (counter.reserved, slot.inflight) == (0, 0)
        assert counter.state == Tally(1, (1,))


async def test_what_cannot_be_stored_comes_back_once_when_a_commit_before_it_fails(autojump_clock: MockClock) -> None:
    """It has never been on its way: its handler failed, and that is all."""
    journal, tries = Disk(), list[str]()

    class Once(Bad):
        @handles
        async def hold(self, message: Hold) -> None:
            tries.append(message.what)
            await super().hold(Hold("nothing bad") if tries.count("state") == 2 else message)

    async with opened(child(Counter), child(Once, id="bad", backoff=NO_BACKOFF), journal=journal) as running:
        bad = slot_of(running, "bad")
        bad.pause("held")
        for what in ("nothing bad", "state"):
            await running.ref("bad").tell(Hold(what))
        journal.slow = True
        bad.resume("held")
        await wait_all_tasks_blocked()
        assert bad.inflight == 1
        journal.slow = False
        journal.fail("bad")
        await trio.sleep(5)
        assert tries == ["nothing bad", "state"] * 2
        assert (slot_of(running, "counter").state, len(bad), bad.inflight) == (Tally(2, (1, 1)), 0, 0)
        assert await journal.dead_letters() == []


async def test_a_tell_of_what_cannot_be_stored_takes_no_room(autojump_clock: MockClock) -> None:
    wrong: int = object()  # type: ignore[assignment]
    async with opened(child(Counter, mailbox=MailboxSpec(capacity=1))) as running:
        for _ in range(2):
            with pytest.raises(ConfigurationError, match=r"^[a-z]+: .*:Add\.amount cannot be stored"):
                await running.ref("counter").tell(Add(wrong))
        assert slot_of(running, "counter").reserved == 0
        await running.ref("counter").tell(Add(1))
        assert await running.ref("counter").ask(Total()) == 1


async def test_an_ask_whose_settle_cannot_be_stored_fails_for_its_asker(autojump_clock: MockClock) -> None:
    async with opened(child(Asked, backoff=NO_BACKOFF)) as running:
        with pytest.raises(AgentFailed, match="cannot be stored"):
            await running.ref("asked").ask(Total())


class Asked(Agent[Opaque]):
    state = Opaque(0)

    @handles
    def total(self, message: Total) -> int:
        self.state = Opaque("text")  # type: ignore[arg-type]
        return 1


async def test_a_checkpoint_that_failed_disturbs_nobody(autojump_clock: MockClock) -> None:
    """The state is in memory, and the next checkpoint keeps it: soon, even if nothing happens any more."""
    journal, gate = Disk(), Gate(shut=True)
    counter_spec = kept(Slow, Checkpointed(messages=2), args={"gate": gate}, backoff=NO_BACKOFF)
    async with opened(counter_spec, journal=journal) as running:
        slow = running.ref("slow")
        journal.slow = True
        for amount in (1, 2, 4):
            await slow.tell(Add(amount))
        await wait_all_tasks_blocked()
        assert gate.entered == ["4"]
        journal.slow = False
        journal.fail("slow")
        await wait_all_tasks_blocked()
        gate.open()
        await trio.sleep(2)
        assert gate.entered == ["4"]
        assert slot_of(running, "slow").state == Tally(7, (1, 2, 4))
        assert await events(journal, DeadLettered) == []
        assert await events(journal, ChildEnded) == []
        held = await journal.recover(slow.path)
        assert held.state is not None
        assert held.state.body == '{"total":7,"seen":[1,2,4]}'


class Slow(Agent[Tally]):
    state = Tally()

    def __init__(self, gate: Gate) -> None:
        self.gate = gate

    @handles
    async def add(self, message: Add) -> None:
        if message.amount == 4:
            await self.gate.pass_by("4")
        self.state = Tally(self.state.total + message.amount, (*self.state.seen, message.amount))
