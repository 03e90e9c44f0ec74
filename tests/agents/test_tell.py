"""Telling: what waits for what, what is refused, and when a message leaves."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import trio
from attrs import frozen
from trio.testing import MockClock, wait_all_tasks_blocked

from treewarden.agents.agent import Agent
from treewarden.agents.core.durability import VOLATILE, MailboxSpec, Overflow
from treewarden.agents.core.message import Priority
from treewarden.agents.errors import (
    AgentStopped,
    ConfigurationError,
    DurabilityError,
    MailboxFull,
    NoSuchSlot,
    NotHandled,
)
from treewarden.supervisor.core.event import DeadLettered
from treewarden.topologies.child import child

from .trees import Add, Bad, Counter, Disk, Gate, Held, Total, happened, opened, slot_of, volatile


class Child(Add):
    """A message of a type that inherits from a handled one."""


@frozen
class Strange:
    pass


class Mute(Agent[None]):
    """Handles nothing."""


@pytest.mark.parametrize("durable", [False, True])
async def test_what_is_told_is_handled_in_order(durable: bool, autojump_clock: MockClock) -> None:
    async with opened(child(Counter) if durable else volatile(Counter)) as running:
        counter = running.ref("counter")
        for number in range(100):
            await counter.tell(Add(number))
        assert await counter.ask(Total()) == sum(range(100))
        assert slot_of(running, "counter").state.seen == tuple(range(100))  # type: ignore[attr-defined]


async def test_without_waiting(autojump_clock: MockClock) -> None:
    async with opened(volatile(Counter), child(Counter, id="durable")) as running:
        counter = running.ref("counter")
        counter.tell_nowait(Add(1))
        counter.tell_nowait(Add(2))
        counter.tell_nowait(Child(3))
        assert await counter.ask(Total()) == 6
        with pytest.raises(DurabilityError, match="durable: tell_nowait cannot wait for the disk; use `await ref"):
            running.ref("durable").tell_nowait(Add())


async def test_what_nobody_handles_is_refused_with_what_is_handled(autojump_clock: MockClock) -> None:
    async with opened(volatile(Counter), child(Counter, id="durable"), child(Mute)) as running:
        for path in ("counter", "durable"):
            with pytest.raises(NotHandled, match=f"{path}: it does not handle Strange; it handles Add, Bad, Held, Tot"):
                await running.ref(path).tell(Strange())
        with pytest.raises(NotHandled, match="it handles no messages") as refused:
            running.ref("mute").tell_nowait(Strange())
        assert isinstance(refused.value, TypeError)
        assert (refused.value.path, refused.value.retry_safe) == ("mute", True)


async def test_an_address_that_is_none(autojump_clock: MockClock) -> None:
    async with opened(volatile(Counter)) as running:
        with pytest.raises(NoSuchSlot, match="did you mean counter"):
            running.ref("countr")


async def test_refs_are_equal_by_their_path(autojump_clock: MockClock) -> None:
    async with opened(volatile(Counter), volatile(Counter, id="other")) as running:
        assert running.ref("counter") == running.ref("/counter")
        assert len({running.ref("counter"), running.ref("counter"), running.ref("other")}) == 2
        assert running.ref("counter") not in ("counter", running.ref("other"))
        assert repr(running.ref("counter")) == "Ref(counter)"


async def test_a_priority_that_is_none_is_refused(autojump_clock: MockClock) -> None:
    async with opened(volatile(Counter)) as running:
        ways: list[Callable[[], object]] = [lambda: running.ref("counter").tell_nowait(Add(), priority=0)]
        for way in ways:
            with pytest.raises(ConfigurationError, match="counter: priority is 0; use Priority"):
                way()
        with pytest.raises(ConfigurationError, match="priority is 7"):
            await running.ref("counter").tell(Add(), priority=7)


@pytest.mark.parametrize("durable", [False, True])
async def test_what_is_urgent_comes_first(durable: bool, autojump_clock: MockClock) -> None:
    gate = Gate(shut=True)
    args = {"gate": gate}
    async with opened(child(Counter, args=args) if durable else volatile(Counter, args=args)) as running:
        counter = running.ref("counter")
        await counter.tell(Held())
        await wait_all_tasks_blocked()
        for number, priority in enumerate([Priority.LOW, Priority.NORMAL, Priority.HIGH, Priority.NORMAL]):
            await counter.tell(Add(number), priority=priority)
        gate.open()
        assert await counter.ask(Total(), priority=Priority.LOW) == 6
        assert slot_of(running, "counter").state.seen == (2, 1, 3, 0)  # type: ignore[attr-defined]


# -- room


@pytest.mark.parametrize("durable", [False, True])
async def test_a_full_mailbox_makes_its_senders_wait(durable: bool, autojump_clock: MockClock) -> None:
    gate = Gate(shut=True)
    spec = MailboxSpec(capacity=2) if durable else MailboxSpec(capacity=2, durability=VOLATILE)
    async with opened(child(Counter, args={"gate": gate}, mailbox=spec)) as running:
        counter = running.ref("counter")
        await counter.tell(Held())
        await wait_all_tasks_blocked()
        await counter.tell(Add(1))
        await counter.tell(Add(2))
        before = trio.current_time()
        with pytest.raises(MailboxFull, match=r"counter: no room in its mailbox within 3 s \(2 of 2 wait\)"):
            await counter.tell(Add(4), within=3.0)
        assert trio.current_time() - before == 3.0
        if not durable:
            with pytest.raises(MailboxFull, match="its mailbox is full"):
                counter.tell_nowait(Add(8))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(counter.tell, Add(16))
            await wait_all_tasks_blocked()
            assert counter.statistics().senders_waiting == 1
            gate.open()
        assert await counter.ask(Total()) == 19


async def test_why_there_is_no_room_is_said(autojump_clock: MockClock) -> None:
    async with opened(volatile(Counter, capacity=1)) as running:
        counter = running.ref("counter")
        slot_of(running, "counter").pause("throttled")
        await counter.tell(Add())
        with pytest.raises(MailboxFull, match=r"1 of 1 wait, paused: throttled"):
            await counter.tell(Add(), within=0.0)


@pytest.mark.parametrize(("overflow", "total"), [(Overflow.DROP_OLDEST, 6), (Overflow.DROP_NEWEST, 3)])
async def test_what_the_policy_drops_is_a_dead_letter(
    overflow: Overflow, total: int, autojump_clock: MockClock
) -> None:
    spec = MailboxSpec(capacity=2, overflow=overflow, durability=VOLATILE)
    async with opened(child(Counter, mailbox=spec)) as running:
        counter = running.ref("counter")
        slot_of(running, "counter").pause("held")
        for number in (1, 2, 4):
            await counter.tell(Add(number))
        slot_of(running, "counter").resume("held")
        await wait_all_tasks_blocked()
        assert await counter.ask(Total()) == total
        (dead,) = await happened(running, DeadLettered)
        assert (dead.path, dead.kind) == ("counter", "Add")
        assert counter.statistics().dropped == 1


async def test_where_all_room_is_on_its_way_to_the_disk_the_oldest_makes_room_when_it_is_there(
    autojump_clock: MockClock,
) -> None:
    journal, spec = Disk(), MailboxSpec(capacity=2, overflow=Overflow.DROP_OLDEST)
    async with opened(child(Counter, mailbox=spec), journal=journal) as running:
        counter = running.ref("counter")
        slot_of(running, "counter").pause("held")
        journal.slow = True
        async with trio.open_nursery() as nursery:
            try:
                for number in (1, 2, 4, 8):
                    nursery.start_soon(counter.tell, Add(number))
                    await wait_all_tasks_blocked()
                assert counter.statistics().senders_waiting == 2
            finally:
                journal.slow = False
                journal.go()
        slot_of(running, "counter").resume("held")
        await wait_all_tasks_blocked()
        assert await counter.ask(Total()) == 12
        assert counter.statistics().dropped == len(await happened(running, DeadLettered, 2))


@pytest.mark.parametrize("overflow", [Overflow.DROP_OLDEST, Overflow.DROP_NEWEST, Overflow.REFUSE])
async def test_an_ask_is_never_dropped_without_a_word(overflow: Overflow, autojump_clock: MockClock) -> None:
    spec = MailboxSpec(capacity=1, overflow=overflow, durability=VOLATILE)
    async with opened(child(Counter, mailbox=spec)) as running:
        counter = running.ref("counter")
        slot_of(running, "counter").pause("held")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(counter.ask, Total())
            await wait_all_tasks_blocked()
            with pytest.raises(MailboxFull, match=overflow.value):
                await counter.ask(Total())
            if overflow is Overflow.DROP_NEWEST:
                await counter.tell(Add())  # gone, and not in the place of the ask
            else:
                with pytest.raises(MailboxFull):
                    await counter.tell(Add())
            slot_of(running, "counter").resume("held")


@pytest.mark.parametrize("overflow", [Overflow.DROP_OLDEST, Overflow.DROP_NEWEST, Overflow.REFUSE])
async def test_an_ask_does_not_push_out_what_was_told(overflow: Overflow, autojump_clock: MockClock) -> None:
    """Who asks is told that there is no room; of a tell that made room for it nobody would hear."""
    spec = MailboxSpec(capacity=1, overflow=overflow, durability=VOLATILE)
    async with opened(child(Counter, mailbox=spec)) as running:
        counter = running.ref("counter")
        slot_of(running, "counter").pause("held")
        await counter.tell(Add(5))
        with pytest.raises(MailboxFull, match=overflow.value):
            await counter.ask(Total())
        slot_of(running, "counter").resume("held")
        await wait_all_tasks_blocked()
        assert await counter.ask(Total()) == 5


async def test_a_newer_message_of_its_kind_takes_the_place_of_one(autojump_clock: MockClock) -> None:
    journal = Disk()
    spec = MailboxSpec(capacity=2, overflow=Overflow.COALESCE)
    async with opened(child(Counter, mailbox=spec), journal=journal) as running:
        counter = running.ref("counter")
        slot_of(running, "counter").pause("held")
        await counter.tell(Add(1))
        await counter.tell(Bad())
        await counter.tell(Add(2))
        (dead,) = await happened(running, DeadLettered)
        assert dead.reason == "a newer message of its kind replaced it"
        held = await journal.recover(running.ref("counter").path)
        assert [(row.kind.rpartition(":")[2], row.body) for row in held.messages] == [
            ("Bad", '{"text":"unlucky"}'),
            ("Add", '{"amount":2}'),
        ]


# -- pace


async def test_who_tells_and_tells_lets_others_run(autojump_clock: MockClock) -> None:
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()

    async with opened(volatile(Counter, capacity=10_000)) as running, trio.open_nursery() as nursery:
        counter = running.ref("counter")
        await counter.tell(Add())
        nursery.start_soon(other)
        await trio.lowlevel.checkpoint()
        before = turns
        for _ in range(3200):
            await counter.tell(Add())
        assert 98 <= turns - before <= 102
        before = turns
        for _ in range(100):
            await counter.tell(Add())
            autojump_clock.jump(0.0011)
        assert 98 <= turns - before <= 102
        nursery.cancel_scope.cancel()


async def test_who_was_cancelled_notices_at_the_next_tell(autojump_clock: MockClock) -> None:
    async with opened(volatile(Counter, capacity=100)) as running:
        counter, told = running.ref("counter"), 0
        with trio.CancelScope() as scope:
            for _ in range(50):
                await counter.tell(Add())
                told += 1
                if told == 3:
                    scope.cancel()
        assert told == 3
        assert await counter.ask(Total()) == 3  # the fourth was not sent: it may be told again


async def test_limits_that_were_not_reached_leave_nothing_behind(autojump_clock: MockClock) -> None:
    """A limit of an hour costs nothing once the message is in its mailbox, or the reply has come."""
    async with opened(volatile(Counter, capacity=1)) as running:
        counter = running.ref("counter")
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(partial(counter.tell, Add(), within=3600))
                nursery.start_soon(partial(counter.ask, Total(), within=3600))
        buckets = counter._traffic._buckets  # pyright: ignore[reportPrivateUsage]
        assert buckets
        assert not any(buckets.values())


# -- a slot that ends


async def test_a_ref_outlives_the_agent_and_finds_the_next_slot_of_its_name(autojump_clock: MockClock) -> None:
    async with opened(volatile(Counter)) as running:
        counter, supervisor = running.ref("counter"), running.supervisor()
        await counter.tell(Add(1))
        assert await counter.ask(Total()) == 1
        await supervisor.terminate_child("counter")
        with pytest.raises(AgentStopped, match="counter: ") as stopped:
            await counter.tell(Add())
        assert stopped.value.retry_safe
        with pytest.raises(AgentStopped):
            counter.tell_nowait(Add())
        await supervisor.delete_child("counter")
        with pytest.raises(NoSuchSlot):
            await counter.tell(Add())
        await supervisor.start_child(volatile(Counter))
        await counter.tell(Add(5))
        counter.tell_nowait(Add(5))
        assert await counter.ask(Total()) == 10


async def test_who_waits_for_room_is_told_that_the_slot_ended(autojump_clock: MockClock) -> None:
    async with opened(volatile(Counter, capacity=1), volatile(Counter, id="other")) as running:
        counter = running.ref("counter")
        slot_of(running, "counter").pause("held")
        await counter.tell(Add())

        async def send() -> None:
            with pytest.raises(AgentStopped):
                await counter.tell(Add())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            nursery.start_soon(send)
            await wait_all_tasks_blocked()
            await running.supervisor().terminate_child("counter")
