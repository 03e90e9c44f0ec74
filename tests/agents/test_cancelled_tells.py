"""A tell that is cancelled was not sent, and one that was sent is not cancelled: on every way that a message takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import pytest
import trio
import trio.testing
from attrs import frozen
from trio.testing import MockClock

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import MESSAGE, VOLATILE, Durability, MailboxSpec, Overflow
from treewarden.agents.core.message import Priority, Request
from treewarden.agents.ref import Ref
from treewarden.topologies.child import Child, child
from treewarden.topologies.pool import pool
from treewarden.topologies.topic import subscriber, topic

from .trees import Disk, opened

FILLERS = (100, 101, 102)


@frozen
class Note:
    number: int


@frozen
class Noted(Request[tuple[int, ...]]):
    pass


@frozen
class Send:
    """Has an agent tell a note, under a scope of its own, and say whether that was cancelled."""

    to: str
    number: int
    priority: int


class Desk:
    """What the agents of one tree have noted, and what lets them."""

    def __init__(self) -> None:
        self.gate = trio.Semaphore(0)
        self.noted: list[int] = []
        self.scope = trio.CancelScope()
        self.sent: list[int] = []


class Clerk(Agent[None]):
    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    @handles
    async def note(self, message: Note) -> None:
        await self.desk.gate.acquire()
        self.desk.noted.append(message.number)


class Sender(Agent[None]):
    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    @handles
    async def send(self, message: Send) -> None:
        with self.desk.scope:
            await self.ref(message.to).tell(Note(message.number), priority=message.priority)
            self.desk.sent.append(message.number)


Make: TypeAlias = Callable[[dict[str, Any], MailboxSpec], Child]

WAYS: dict[str, Make] = {
    "an agent": lambda args, mailbox: child(Clerk, id="to", args=args, mailbox=mailbox),
    "a pool": lambda args, mailbox: pool(child(Clerk, args=args, mailbox=mailbox), 1, "round_robin", id="to"),
    "a pool with a key": lambda args, mailbox: pool(
        child(Clerk, args=args, mailbox=mailbox), 1, "by_key", id="to", key="number"
    ),
    "a pool that broadcasts": lambda args, mailbox: pool(
        child(Clerk, args=args, mailbox=mailbox), 1, "broadcast", id="to"
    ),
    "a shared queue": lambda args, mailbox: pool(child(Clerk, args=args, mailbox=mailbox), 1, "shared", id="to"),
    "a topic": lambda args, mailbox: topic(
        subscriber(child(Clerk, id="clerk", args=args, mailbox=mailbox), overflow=Overflow.WAIT), id="to"
    ),
}
"""Each with one mailbox behind it, so that it is all or nothing."""


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("durability", [VOLATILE, MESSAGE], ids=["in memory", "on disk"])
@pytest.mark.parametrize("sender", [None, VOLATILE, MESSAGE], ids=["from outside", "in memory", "from a commit"])
@pytest.mark.parametrize("full", [False, True], ids=["room", "full"])
async def test_cancelled_means_not_sent_at_every_moment(
    way: str, durability: Durability, sender: Durability | None, full: bool, autojump_clock: MockClock
) -> None:
    for priority in (Priority.HIGH, Priority.NORMAL, Priority.LOW):
        for after in range(-1, 9):
            await _cancelled(WAYS[way], durability, sender, full, priority, after)


async def _cancelled(
    make: Make, durability: Durability, sender: Durability | None, full: bool, priority: int, after: int
) -> None:
    """Cancel a tell so many turns of the loop after it began, -1: before that. The disk is as slow as it takes."""
    desk, journal = Desk(), Disk()
    mailbox = MailboxSpec(capacity=2, durability=durability)
    told_by = child(Sender, id="sender", args={"desk": desk}, mailbox=MailboxSpec(durability=sender or VOLATILE))
    async with opened(told_by, make({"desk": desk}, mailbox), journal=journal) as running:
        to = running.ref("to")
        if full:
            for number in FILLERS:  # one in hand, two wait
                await to.tell(Note(number))
                await trio.testing.wait_all_tasks_blocked()
        async with trio.open_nursery() as nursery:
            if after < 0:
                desk.scope.cancel()
            if sender is None:
                nursery.start_soon(_send, desk, to, priority)
            else:
                await running.ref("sender").tell(Send("../to", 1, priority))
            journal.slow = True
            desk.gate.release()
            for _ in range(after):
                await trio.lowlevel.checkpoint()
            desk.scope.cancel()
            for _ in range(3):
                await trio.lowlevel.checkpoint()
            journal.slow = False
            journal.go()
        for _ in range(10):
            desk.gate.release()
        await trio.testing.wait_all_tasks_blocked()
        await trio.sleep(1)
        left = running.ref("to").statistics()
        assert (left.depth, left.reserved, left.senders_waiting) == (0, 0, 0)
    assert desk.noted.count(1) == len(desk.sent), f"cancelled after {after}, priority {priority}"
    assert desk.scope.cancelled_caught == (not desk.sent)


async def _send(desk: Desk, to: Ref, priority: int) -> None:
    with desk.scope:
        await to.tell(Note(1), priority=priority)
        desk.sent.append(1)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("durability", [VOLATILE, MESSAGE], ids=["in memory", "on disk"])
async def test_whoever_tells_in_a_circle_can_be_cancelled(
    way: str, durability: Durability, autojump_clock: MockClock
) -> None:
    desk = Desk()
    desk.gate = trio.Semaphore(1000)
    mailbox = MailboxSpec(capacity=1000, durability=durability)
    async with opened(WAYS[way]({"desk": desk}, mailbox)) as running:
        with trio.fail_after(10), trio.CancelScope() as scope:
            for number in range(500):
                await running.ref("to").tell(Note(number), priority=Priority.HIGH)
                desk.sent.append(number)
                if number == 9:
                    scope.cancel()
        assert desk.sent == list(range(10))
        await trio.sleep(1)
        assert desk.noted == desk.sent
