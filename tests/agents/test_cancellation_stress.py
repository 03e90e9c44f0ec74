"""Whole agents under 100 seeds: askers and senders that give up, lives that are killed, handlers that raise."""

from __future__ import annotations

import random
from collections import Counter as Tallied
from contextlib import suppress

import pytest
import trio
import trio.lowlevel
import trio.testing
from attrs import frozen
from trio.testing import MockClock

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import VOLATILE, MailboxSpec
from treewarden.agents.core.message import Request
from treewarden.agents.errors import AgentFailed, AgentStopped, AskTimeout, MailboxFull
from treewarden.agents.ref import Ref
from treewarden.supervisor.core.policies import otp
from treewarden.supervisor.core.spec import NO_BACKOFF, Intensity
from treewarden.topologies.child import child
from treewarden.topologies.open import open_tree
from treewarden.topologies.tree import tree

UNLUCKY = 13


@frozen
class Note:
    number: int


@frozen
class Long:
    """A message whose handler waits."""

    number: int


@frozen
class Echo(Request[int]):
    number: int


@frozen
class SlowEcho(Request[int]):
    number: int


class Book:
    """What all lives of one slot have done."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.noted: list[int] = []
        self.in_hand = 0
        """Messages that a life had in hand when it ended."""


class Clerk(Agent[None]):
    def __init__(self, book: Book) -> None:
        self.book = book

    @handles
    def note(self, message: Note) -> None:
        self.book.in_hand += 1
        self._maybe_fail()
        self.book.in_hand -= 1
        self.book.noted.append(message.number)

    @handles
    async def note_slowly(self, message: Long) -> None:
        self.book.in_hand += 1
        await trio.sleep(self.book.chance.random() / 10)
        self.book.in_hand -= 1
        self.book.noted.append(message.number)

    @handles
    def echo(self, message: Echo) -> int:
        self._maybe_fail()
        return message.number

    @handles
    async def echo_slowly(self, message: SlowEcho) -> int:
        await trio.sleep(self.book.chance.random() / 10)
        return message.number

    def _maybe_fail(self) -> None:
        if self.book.chance.randrange(50) == UNLUCKY:
            raise ValueError("unlucky")


@pytest.mark.parametrize("seed", range(100))
async def test_nothing_is_lost_but_what_was_in_hand_and_no_reply_goes_astray(
    seed: int, autojump_clock: MockClock
) -> None:
    chance = random.Random(seed)
    books = [Book(chance) for _ in range(2)]
    told: list[list[int]] = [[], []]
    perhaps: list[list[int]] = [[], []]
    numbers = iter(range(1_000_000))
    senders: list[list[int]] = []
    """What each of them has sent, in its order."""

    async def send(ref: Ref, at: int) -> None:
        mine: list[int] = []
        senders.append(mine)
        for _ in range(15):
            number = next(numbers)
            mine.append(number)
            message = chance.choice([Note, Note, Long])(number)
            perhaps[at].append(number)
            with trio.move_on_after(chance.choice([0.0, 0.02, 0.2, 100.0])):
                try:
                    if chance.random() < 0.5:
                        ref.tell_nowait(message)
                    else:
                        await ref.tell(message, within=chance.choice([0.05, 60.0]))
                except MailboxFull:
                    perhaps[at].remove(number)
                else:
                    told[at].append(number)
            await trio.sleep(chance.choice([0.0, 0.0, 0.1]))

    async def ask(ref: Ref) -> None:
        for _ in range(15):
            number = next(numbers)
            message = chance.choice([Echo, Echo, SlowEcho])(number)
            with trio.move_on_after(chance.choice([0.0, 0.02, 0.2, 100.0])):
                with suppress(AskTimeout, AgentFailed, AgentStopped):
                    assert await ref.ask(message, within=chance.choice([0.05, 60.0])) == number
            await trio.sleep(chance.choice([0.0, 0.0, 0.1]))

    mailbox = MailboxSpec(capacity=chance.randint(1, 6), durability=VOLATILE)
    clerks = [
        child(
            Clerk,
            id=f"clerk-{n}",
            args={"book": book},
            mailbox=mailbox,
            backoff=NO_BACKOFF,
            progress_within=60.0,
            hibernate_after=(0.03, 10.0)[seed % 2],
        )
        for n, book in enumerate(books)
    ]
    with trio.fail_after(10_000):
        async with open_tree(tree(*clerks, restarts=Intensity(10_000, 1.0), policy=otp()), seed=seed) as running:
            refs = [running.ref(f"clerk-{n}") for n in range(2)]
            async with trio.open_nursery() as nursery:
                for at, ref in enumerate(refs):
                    for _ in range(3):
                        nursery.start_soon(send, ref, at)
                        nursery.start_soon(ask, ref)
                for _ in range(5):
                    await trio.sleep(chance.random() / 2)
                    running.kill(f"clerk-{chance.randrange(2)}")
            await trio.sleep(60)
            for ref in refs:
                left = ref.statistics()
                assert (left.depth, left.senders_waiting, left.reserved) == (0, 0, 0)
    for at, book in enumerate(books):
        assert max(Tallied(book.noted).values(), default=1) == 1, "nothing is handled twice"
        assert set(book.noted) <= set(perhaps[at]), "what was not told does not come"
        assert len(set(told[at]) - set(book.noted)) <= book.in_hand, "only what was in hand is lost"
        for mine in senders:
            arrived = [number for number in book.noted if number in mine]
            assert arrived == sorted(arrived), "the order of one sender is kept"


class Gated(Agent[None]):
    """Takes one message after the other, when it is let."""

    def __init__(self, gate: trio.Semaphore, seen: list[object]) -> None:
        self.gate = gate
        self.seen = seen

    @handles
    async def note(self, message: Note) -> None:
        await self.gate.acquire()
        self.seen.append(message.number)

    @handles
    async def echo(self, message: Echo) -> int:
        await self.gate.acquire()
        self.seen.append(("asked", message.number))
        return message.number


@pytest.mark.parametrize("after", range(12))
@pytest.mark.parametrize("opened", [0, 1, 2, 5])
@pytest.mark.parametrize("asking", [False, True], ids=["tell", "ask"])
async def test_given_up_at_every_moment(asking: bool, opened: int, after: int, autojump_clock: MockClock) -> None:
    """A sender is cancelled so many turns of the loop after it began, with so many before it let go meanwhile."""
    seen: list[object] = []
    gate, done = trio.Semaphore(0), list[object]()
    mailbox = MailboxSpec(capacity=2, durability=VOLATILE)
    gated = child(Gated, args={"gate": gate, "seen": seen}, mailbox=mailbox, backoff=NO_BACKOFF)
    async with open_tree(tree(gated, policy=otp())) as running, trio.open_nursery() as nursery:
        ref = running.ref("gated")
        for number in range(3):  # one in hand, two wait: it is full
            await ref.tell(Note(number))
        scope = trio.CancelScope()

        async def send() -> None:
            with scope:
                done.append(await ref.ask(Echo(3), within=100) if asking else await ref.tell(Note(3), within=100))

        nursery.start_soon(send)
        for _ in range(opened):
            gate.release()
        for _ in range(after):
            await trio.lowlevel.checkpoint()
        scope.cancel()
        await trio.testing.wait_all_tasks_blocked()
        for _ in range(20):
            gate.release()
        assert await ref.ask(Echo(99), within=100) == 99, "nobody's wake is lost, and the reply is to this ask"
        left = ref.statistics()
    arrived = seen.count(("asked", 3) if asking else 3)
    assert [number for number in seen if number in (0, 1, 2)] == [0, 1, 2]
    assert arrived <= 1
    assert done in ([], [3 if asking else None])
    assert asking or arrived == len(done), "it is there if tell says so, and is not if tell was cancelled"
    assert (left.depth, left.senders_waiting, left.reserved) == (0, 0, 0)
