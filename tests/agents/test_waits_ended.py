"""What is parked when its slot ends, is drained, gets another class, or is too much."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from attrs import evolve
from trio.testing import MockClock

from treewarden.agents import Agent, Expired, MailboxSpec, WaitExpired, handles
from treewarden.supervisor.core.event import ApprovalNoted, DeadLettered, WaitNoted
from treewarden.topologies import child, tree

from .effects_desk import Processes
from .trees import Disk, events, happened, slot_of
from .waits_desk import Note, Remind, Seen, desk, left, opened, parked, seen
from .waits_desk import processes as processes

UNTIL = "; it waited for 'sleep' until 1970-01-01 00:00:10+00:00"


async def test_a_slot_that_ends_for_good_makes_dead_letters(processes: Processes, autojump_clock: MockClock) -> None:
    async with opened(desk(), journal=processes()) as running:
        await running.ref("desk").tell(Remind())
        await trio.sleep(1)
        await running.supervisor().terminate_child("desk")
        (letter,) = await running.dead_letters()
        assert letter.reason.endswith(UNTIL)
        assert (parked(running), await running.waits()) == (0, ())
        await running.supervisor().restart_child("desk")
        assert left(running) == 0
        await trio.sleep(20)
        await running.replay(letter.id)
        await trio.sleep(1)
        assert seen(running) == Seen((1,), 1), "it is a new message, whose time has passed"


@pytest.mark.parametrize("what", ["/", "desk"])
async def test_a_drain_does_not_wait_for_it(processes: Processes, what: str, autojump_clock: MockClock) -> None:
    log = list[Any]()
    async with opened(desk(log), journal=processes()) as running:
        await running.ref("desk").tell(Remind())
        await running.ref("desk").tell(Remind(2, (20.0,)))
        await running.ref("desk").tell(Note())
        drained = await running.drain(what)
        assert (drained.complete, trio.current_time() < 1, parked(running)) == (True, True, 2)
        await trio.sleep(12)
        assert parked(running) == 1
        await running.supervisor().restart_child("desk")
        await trio.sleep(1)
        assert seen(running) == Seen((1,), 1)
        await running.drain(what)
    assert [each[0] for each in log] == ["begun", "begun", "note", "begun", "slept", "later"]
    await trio.sleep(10)
    async with opened(desk(log), journal=processes()) as running:
        await trio.sleep(1)
        assert seen(running) == Seen((1, 2), 2)
        assert (await running.dead_letters(), left(running)) == ((), 0)


async def test_what_a_drain_has_left_ends_with_its_child(processes: Processes, autojump_clock: MockClock) -> None:
    async with opened(desk(), journal=processes()) as running:
        await running.ref("desk").tell(Remind())
        await running.ref("desk").tell(Remind(2, (1.0,)))
        await running.drain("desk")
        await trio.sleep(2)
        await running.supervisor().delete_child("desk")
        letters = await running.dead_letters()
        assert sorted(letter.reason.endswith(UNTIL) for letter in letters) == [False, True]


async def test_there_may_be_too_many(
    processes: Processes, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("treewarden.supervisor.waits._MOST", 1)
    async with opened(desk(capacity=2), journal=processes()) as running:
        for number in range(3):
            await running.ref("desk").tell(Remind(number, tells=False))
        (letter,) = await happened(running, DeadLettered)
        assert letter.reason == f"2 messages are parked there, and this is one more{UNTIL}"
        assert running.ref("desk").statistics().parked == 2
        await trio.sleep(20)
        assert (seen(running).numbers, left(running)) == ((0, 1), 0)


async def test_hibernated_agents_wake_for_it(processes: Processes, autojump_clock: MockClock) -> None:
    log = list[Any]()
    async with opened(desk(log), journal=processes()) as running:
        await running.ref("desk").tell(Remind(1, (300.0,)))
        await trio.sleep(200)
        assert running.snapshot()[0].state == "up"
        await trio.sleep(200)
        assert seen(running) == Seen((1,), 1)


async def test_another_class_takes_over_what_is_parked(processes: Processes, autojump_clock: MockClock) -> None:
    class Successor(Agent[Seen]):
        state = Seen()

        @handles
        async def remind(self, message: Remind) -> None:
            await self.sleep_until(0.0)
            self.state = evolve(self.state, numbers=(*self.state.numbers, -message.number))

    async with opened(desk(), journal=processes()) as running:
        await running.ref("desk").tell(Remind(7))
        await trio.sleep(1)
        await running.reload(tree(child(Successor, id="desk", mailbox=MailboxSpec())))
        await trio.sleep(5)
        assert parked(running) == 1
        await trio.sleep(5)
        assert (seen(running).numbers, left(running)) == ((-7,), 0)


class Died(Disk):
    """After each process that wrote it one that begins knows that the one before has died."""

    async def __aenter__(self) -> Died:
        await super().__aenter__()
        self._opened = evolve(self.opened, after_crash=True)
        return self


class Patient(Agent[tuple[str, ...]]):
    """Sleeps, process after process, behind something whose time passes first."""

    state = ()

    def __init__(self, kind: str) -> None:
        self.kind = kind

    @handles
    async def remind(self, message: Remind) -> None:
        try:
            if self.kind == "approval":
                assert isinstance(await self.approval("pay", about=1, within=10.0), Expired)
            else:
                await self.wait_event("shipped", until=10.0)
        except WaitExpired:
            pass
        await self.sleep_until(100.0)
        self.state = (*self.state, self.kind)


@pytest.mark.parametrize("kind", ["event", "approval"])
async def test_what_passed_while_no_process_ran_ends_once_in_the_chain(kind: str, autojump_clock: MockClock) -> None:
    """However many processes begin and die until its handler settles."""
    journal = Died()
    for wait in (15.0, 1.0, 1.0, 100.0):
        async with opened(child(Patient, id="desk", args={"kind": kind}), journal=journal) as running:
            if wait == 15.0:
                await running.ref("desk").tell(Remind())
            await trio.sleep(1)
        await trio.sleep(wait)
    async with opened(child(Patient, id="desk", args={"kind": kind}), journal=journal) as running:
        await trio.sleep(1)
        assert (slot_of(running, "desk").state, left(running)) == ((kind,), 0)
    noted = [each.what for each in await events(journal, WaitNoted) if each.kind == "event"]
    noted += [each.what for each in await events(journal, ApprovalNoted)]
    assert noted == (["begun", "over"] if kind == "event" else ["asked", "expired"])


class Skips(Agent[int]):
    """Waits when it handles a message for the first time, and not again."""

    state = 0

    def __init__(self, log: list[str]) -> None:
        self.log = log

    @handles
    async def remind(self, message: Remind) -> None:
        self.log.append("begun")
        if len(self.log) == 1:
            await self.sleep_until(10.0)
        self.state += 1


async def test_one_that_is_passed_by_while_it_is_noted_that_its_message_came_back_ends(
    autojump_clock: MockClock,
) -> None:
    journal, log = Died(), list[str]()
    desk = child(Skips, id="desk", args={"log": log})
    async with opened(desk, journal=journal) as running:
        await running.ref("desk").tell(Remind())
        await trio.sleep(1)
    await trio.sleep(20)
    journal.slow = True
    async with opened(desk, journal=journal) as running:
        await trio.sleep(1)
        assert len(log) == 2
        journal.slow = False
        journal.go()
        await trio.sleep(1)
        assert (slot_of(running, "desk").state, left(running)) == (1, 0)
    assert [each.what for each in await events(journal, WaitNoted)] == ["begun", "passed by"]
