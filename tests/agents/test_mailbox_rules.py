"""Rules of the mailbox that hold under any load, 100 seeds each. `docs/mailbox.md` says which test is whose."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.lowlevel
from attrs import frozen
from trio.testing import MockClock

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import MESSAGE, VOLATILE, MailboxSpec, Overflow
from treewarden.agents.core.message import Priority, Request
from treewarden.agents.core.path import Path
from treewarden.agents.errors import AgentFailed, AgentStopped, AskTimeout, MailboxFull
from treewarden.agents.mailbox import Mailbox
from treewarden.agents.orders import StopOrder
from treewarden.agents.slot import Slot
from treewarden.supervisor.core.policies import otp
from treewarden.supervisor.core.spec import NO_BACKOFF, Intensity
from treewarden.topologies.child import Child, child
from treewarden.topologies.open import open_tree
from treewarden.topologies.pool import pool
from treewarden.topologies.running import Tree
from treewarden.topologies.tree import tree

from .trees import slot_of

SEEDS = range(100)
PRIORITIES = (Priority.HIGH, Priority.NORMAL, Priority.LOW)
OFTEN = Intensity(100_000, 1.0)


@frozen
class Work:
    number: int
    turns: int = 0
    """Turns of the loop that its handler waits."""
    hops: int = 0
    """How many more are to handle it."""


@frozen
class Question(Request[int]):
    turns: int = 0


class Log:
    """What all lives of a tree's agents have begun and ended."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.lives = 0
        self.begun: list[tuple[int, int]] = []
        """By which life, which message."""
        self.done: list[int] = []
        self.cancelled: list[str] = []


class Hand(Agent[None]):
    def __init__(self, log: Log) -> None:
        self.log = log
        log.lives += 1
        self.number = log.lives

    @handles
    async def work(self, message: Work) -> None:
        self.log.begun.append((self.number, message.number))
        try:
            for _ in range(message.turns):
                await trio.lowlevel.checkpoint()
        except trio.Cancelled:
            self.log.cancelled.append(self.path)
            raise
        self.log.done.append(message.number)

    @handles
    async def question(self, message: Question) -> int:
        for _ in range(message.turns):
            await trio.lowlevel.checkpoint()
        return self.number


def hand(id: str, log: Log, agent: Any = Hand, **mailbox: Any) -> Any:
    options: dict[str, Any] = {"durability": VOLATILE, **mailbox}
    spec = MailboxSpec(**options)
    return child(agent, id=id, args={"log": log}, mailbox=spec, backoff=NO_BACKOFF)


def open_hands(*hands: Child, seed: int) -> Any:
    return open_tree(tree(*hands, policy=otp(), restarts=OFTEN), seed=seed)


# -- control before users


@pytest.mark.parametrize("seed", SEEDS)
async def test_control_is_taken_before_whatever_users_have_sent(seed: int) -> None:
    """Of a mailbox by itself: whatever is in it, however full it is, whatever its policy drops."""
    chance = random.Random(seed)
    overflow = chance.choice(list(Overflow))
    mailbox = Mailbox(Path("a"), MailboxSpec(capacity=chance.randint(1, 5), overflow=overflow), lambda: 0.0)
    dropped: list[object] = []
    mailbox.on_drop = lambda item, _why: dropped.append(item)
    orders: list[str] = []
    """Those that have been given and not been taken, in order."""
    given = 0
    for number in range(400):
        match chance.randrange(6):
            case 0 | 1:
                try:
                    mailbox.put_nowait(number, chance.choice(PRIORITIES))
                except MailboxFull:
                    assert not mailbox.has_room
            case 2:
                orders.append(f"order {number}")
                mailbox.put_control(orders[-1])
                given += 1
            case 3:
                mailbox.put_due(("tick", number))
            case 4 if chance.random() < 0.2:
                (mailbox.resume if mailbox.paused else mailbox.pause)("held")
            case _:
                taken = mailbox.take()
                if orders:
                    assert taken == orders.pop(0), "in the order in which they were given, before everything else"
                elif mailbox.paused:
                    assert taken is None
    while orders:
        assert mailbox.take() == orders.pop(0)
    assert given > 20
    assert not [item for item in dropped if isinstance(item, str)], "no policy drops an order"


def lives_there(slot: Slot) -> int | None:
    """The number of the life in a slot."""
    return slot.agent.number if isinstance(slot.agent, Hand) else None


@pytest.mark.parametrize("seed", SEEDS)
async def test_an_order_is_obeyed_before_anything_else_is_begun(seed: int, autojump_clock: MockClock) -> None:
    """Of agents that never run dry, with senders that wait for room: the next thing after an order is to obey it."""
    chance = random.Random(seed)
    log = Log(chance)
    waits = Overflow.WAIT if chance.random() < 0.5 else chance.choice(list(Overflow))
    hands = hand("a", log, capacity=chance.randint(1, 30), overflow=waits)
    late: list[str] = []

    async def flood(ref: Any) -> None:
        for number in range(40):
            message = Work(number, turns=chance.choice([0, 0, 0, 1, 3]))
            try:
                if chance.random() < 0.5:
                    await ref.tell(message, priority=chance.choice(PRIORITIES))
                else:
                    ref.tell_nowait(message, priority=chance.choice(PRIORITIES))
            except MailboxFull:
                await trio.lowlevel.checkpoint()

    async with open_hands(hands, seed=seed) as running:
        slot = slot_of(running, "a")
        async with trio.open_nursery() as nursery:
            for _ in range(4):
                nursery.start_soon(flood, running.ref("a"))
            for _ in range(6):
                for _ in range(chance.randint(1, 12)):
                    await trio.lowlevel.checkpoint()
                ordered, before = lives_there(slot), len(log.begun)
                if ordered is None:
                    continue
                slot.put_control(StopOrder("ordered"))
                for _ in range(100):
                    if lives_there(slot) != ordered:
                        break
                    await trio.lowlevel.checkpoint()
                else:
                    late.append(f"life {ordered} goes on")
                    break
                late += [f"life {life} began {what}" for life, what in log.begun[before:] if life == ordered]
        await trio.sleep(60)
    assert late == []
    assert log.lives > 3
    assert sorted(number for _, number in log.begun) == sorted(log.done), "it ends between messages, and not in one"


# -- a kill hits one


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_kill_that_meets_the_end_of_a_handler_hits_nobody_else(seed: int, autojump_clock: MockClock) -> None:
    """Not the next message, not the next life of the slot, which may go on in the same task, and no other agent."""
    chance = random.Random(seed)
    log, beside = Log(chance), Log(chance)
    kills = 0
    async with open_hands(hand("a", log, capacity=500), hand("b", beside, capacity=500), seed=seed) as running:
        for number in range(60):
            running.ref("a").tell_nowait(Work(number, turns=chance.randint(0, 2)))
            running.ref("b").tell_nowait(Work(number, turns=chance.randint(0, 2)))
        for _ in range(25):
            kills += running.kill("a")
            for _ in range(chance.randint(0, 3)):
                await trio.lowlevel.checkpoint()
        await trio.sleep(60)
        lives = {str(slot.path): slot.incarnation for slot in running.snapshot()}
        assert lives["b"] == 1
        assert 3 < lives["a"] <= 1 + kills  # a life may be killed twice before it has ended
        deaths = lives["a"] - 1
    assert beside.done == list(range(60))
    assert beside.cancelled == []
    begun = [number for _, number in log.begun]
    assert begun == list(range(60)), "each is begun, in order, and once"
    assert 60 - len(log.done) == len(log.cancelled) <= deaths, "a kill costs the message in hand, and no other"


# -- asks are answered when whoever was asked ends


@pytest.mark.parametrize("seed", SEEDS)
async def test_no_ask_waits_for_somebody_who_has_ended(seed: int, autojump_clock: MockClock) -> None:
    """With no limit of their own: each gets a reply or an error, and nothing of it stays behind."""
    chance = random.Random(seed)
    log = Log(chance)
    told: list[str] = []

    async def ask(ref: Any) -> None:
        for _ in range(10):
            try:
                told.append(str(await ref.ask(Question(chance.randint(0, 4)), within=float("inf"))))
            except (AgentFailed, AgentStopped, MailboxFull, AskTimeout) as error:
                told.append(type(error).__name__)
                await trio.lowlevel.checkpoint()

    with trio.fail_after(10_000):
        async with open_hands(hand("a", log, capacity=chance.randint(1, 5)), seed=seed) as running:
            ref = running.ref("a")
            async with trio.open_nursery() as nursery:
                for _ in range(6):
                    nursery.start_soon(ask, ref)
                for _ in range(chance.randint(1, 15)):
                    await trio.lowlevel.checkpoint()
                    running.kill("a")
                if chance.random() < 0.5:
                    await running.supervisor().terminate_child("a")
            left = None if slot_of_or_none(running) is None else ref.statistics()
            assert left is None or (left.depth, left.reserved, left.senders_waiting) == (0, 0, 0)
    assert len(told) == 60


def slot_of_or_none(running: Tree) -> object:
    try:
        return slot_of(running, "a")
    except AgentStopped:
        return None


# -- no work is stranded


class Passing(Hand):
    """Hands its work on, in each of the ways that an agent has."""

    @handles
    async def work(self, message: Work) -> None:
        chance = self.log.chance
        if chance.random() < 0.3:
            await trio.lowlevel.checkpoint()
        if not message.hops:
            self.log.done.append(message.number)
            return
        there = self.ref(chance.choice(["/plain", "/durable", "/shared", "/turns"]))
        passed = Work(message.number, hops=message.hops - 1)

        async def later() -> None:
            await trio.sleep(chance.random() / 100)
            await there.tell(passed)

        match chance.randrange(4):
            case 0 if there.path != "durable":
                there.tell_nowait(passed)
            case 1:
                self.after(chance.random() / 100, passed)
            case 2:
                self.start_soon(later)
            case _:
                await there.tell(passed)


@pytest.mark.parametrize("seed", SEEDS)
async def test_no_work_is_stranded(seed: int, autojump_clock: MockClock) -> None:
    """Whoever makes work for others from inside of a handler wakes them, asleep, falling asleep or busy."""
    chance = random.Random(seed)
    log = Log(chance)
    roomy: dict[str, Any] = {"capacity": 1000}
    hands: list[Child] = [
        hand("plain", log, Passing, **roomy),
        hand("durable", log, Passing, durability=MESSAGE, **roomy),
        pool(hand("hand", log, Passing, **roomy), 3, "shared", id="shared"),
        pool(hand("hand", log, Passing, **roomy), 2, "round_robin", id="turns"),
    ]
    async with open_hands(*hands, seed=seed) as running:
        for number in range(30):
            to = running.ref(chance.choice(["plain", "durable", "shared", "turns"]))
            await to.tell(Work(number, hops=chance.randint(0, 8)))
            if chance.random() < 0.3:
                await trio.sleep(chance.random() / 50)
        await trio.sleep(60)
    assert sorted(log.done) == list(range(30))


# -- hot agents do not multiply


class Crashing(Hand):
    @handles
    async def work(self, message: Work) -> None:
        self.log.done.append(message.number)
        for _ in range(message.turns):
            await trio.lowlevel.checkpoint()
        if message.hops:
            raise ValueError("hot")


def crew(id: str, log: Log, agent: Any, **mailbox: Any) -> Any:
    return pool(hand("hand", log, agent, **mailbox), 4, "shared", id=id)


@pytest.mark.parametrize(("make", "each"), [(hand, 1), (crew, 4)])
async def test_agents_that_never_run_dry_need_one_task_each(
    make: Callable[..., Any], each: int, autojump_clock: MockClock
) -> None:
    """However often their slices end, and however often they crash: nobody stays behind who works beside the others."""
    log = Log(random.Random(7))
    hands = [make(f"hot-{n}", log, Crashing, capacity=2000) for n in range(5)]
    async with open_hands(*hands, seed=7) as running:
        idle = trio.lowlevel.current_statistics().tasks_living
        for number in range(2000):
            running.ref(f"hot-{number % 5}").tell_nowait(Work(number, number % 2, hops=number % 7 == 0))
        most = 0
        for _ in range(20_000):
            if len(log.done) == 2000:
                break
            await trio.lowlevel.checkpoint()
            most = max(most, trio.lowlevel.current_statistics().tasks_living)
        await trio.sleep(60)
        stopping = each if each > 1 else 0  # one for each whose end is waited for: those of a pool are stopped together
        assert idle < most <= idle + 5 * (each + stopping)
        assert log.lives > 200
        assert running.zombies == ()
