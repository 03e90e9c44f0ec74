"""The rules about asks, 100 seeds each: who is answered at once, and who would wait for itself."""

from __future__ import annotations

import random
from collections import Counter
from contextlib import suppress
from contextvars import ContextVar
from itertools import pairwise
from typing import Any

import pytest
import trio
import trio.lowlevel
from attrs import frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import MESSAGE, VOLATILE, MailboxSpec, Overflow
from treewarden.agents.core.message import Request
from treewarden.agents.errors import AgentFailed, AgentStopped, AskCycle, AskTimeout, MailboxFull, NoSuchSlot
from treewarden.agents.ref import Ref
from treewarden.agents.slot import current_turn
from treewarden.supervisor.core.policies import otp
from treewarden.supervisor.core.spec import NO_BACKOFF, Intensity
from treewarden.topologies.chaos.determinism import ordered_by, simulated_clock
from treewarden.topologies.child import child
from treewarden.topologies.open import open_tree
from treewarden.topologies.pool import pool
from treewarden.topologies.running import Tree
from treewarden.topologies.tree import tree

SEEDS = range(100)
OFTEN = Intensity(1_000_000, 1.0)
whose: ContextVar[str] = ContextVar("whose", default="nobody's")


# -- answered at once


@frozen
class Add:
    sender: int


@frozen
class Count(Request[int]):
    """How many of a sender's have come."""

    sender: int


class Notes:
    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.added = Counter[int]()
        self.lost = Counter[int]()
        """Handlers of a sender's that raised."""
        self.passes = 0
        self.at_once = Counter[tuple[int, trio.lowlevel.Task]]()
        """How many were answered in the task of their asker, in each pass of the scheduler."""
        self.askers: set[trio.lowlevel.Task] = set()
        self.wrong: list[str] = []


class Desk(Agent[int]):
    state = 0

    def __init__(self, notes: Notes) -> None:
        self.notes = notes

    @handles
    def add(self, message: Add) -> None:
        self.notes.lost[message.sender] += 1
        self.work()
        self.notes.lost[message.sender] -= 1
        self.notes.added[message.sender] += 1

    @handles
    def count(self, message: Count) -> int:
        notes, task, turn = self.notes, trio.lowlevel.current_task(), current_turn.get()
        if whose.get() != "nobody's" or turn is None or turn.path != self.path:
            notes.wrong.append(f"in the context of {whose.get()}, with the turn of {turn}")
        if task in notes.askers:
            notes.at_once[notes.passes, task] += 1
        self.work()
        return notes.added[message.sender] + notes.lost[message.sender]

    def work(self) -> None:
        if self.notes.chance.randrange(200) == 0:
            raise ValueError("unlucky")
        if self.notes.chance.random() < 0.2:
            self.state += 1


async def ask_and_tell(ref: Ref, sender: int, notes: Notes) -> None:
    whose.set("an asker's")
    notes.askers.add(trio.lowlevel.current_task())
    told, chance = 0, notes.chance
    for _ in range(3):
        for _ in range(chance.choice([0, 1, 3])):
            ref.tell_nowait(Add(sender))
            told += 1
        for _ in range(chance.choice([1, 5, 200])):
            with trio.move_on_after(chance.choice([0.0, 1.0, 1.0, 1.0])):
                try:
                    found = await ref.ask(Count(sender), within=float("inf"))
                except (AgentFailed, AgentStopped):
                    continue
                finally:
                    if current_turn.get() is not None:
                        notes.wrong.append("the asker has the turn of the agent")
                if found != told:
                    notes.wrong.append(f"{sender} had told {told} and was answered before {told - found} of them")


async def asked(seed: int, notes: Notes) -> None:
    chance = notes.chance
    mailbox = MailboxSpec(durability=VOLATILE, capacity=1000)
    desk = child(
        Desk, args={"notes": notes}, mailbox=mailbox, backoff=NO_BACKOFF, hibernate_after=chance.choice([0.01, 10.0])
    )
    async with open_tree(tree(desk, policy=otp(), restarts=OFTEN), seed=seed) as running:
        with trio.fail_after(10_000):
            async with trio.open_nursery() as nursery:
                for sender in range(chance.randint(1, 3)):
                    nursery.start_soon(ask_and_tell, running.ref("desk"), sender, notes)
                for _ in range(60):
                    notes.passes += 1
                    await trio.lowlevel.checkpoint()
                    if chance.randrange(15) == 0:
                        running.kill("desk")


@pytest.mark.parametrize("seed", SEEDS)
def test_who_is_answered_at_once_notices_nothing_but_that(seed: int) -> None:
    notes = Notes(random.Random(seed))
    with ordered_by(seed):
        trio.run(asked, seed, notes, clock=simulated_clock())
    assert notes.wrong == []
    most = max((count for (at, _), count in notes.at_once.items() if at < 60), default=0)
    assert most <= 64, "every 32nd is a checkpoint; an asker may have two turns between two of the one who counts"


def test_many_are_answered_at_once() -> None:
    answered = 0
    for seed in range(20):
        notes = Notes(random.Random(seed))
        with ordered_by(seed):
            trio.run(asked, seed, notes, clock=simulated_clock())
        answered += sum(notes.at_once.values())
    assert answered > 1000


# -- who would wait for itself


@frozen
class Pass(Request[int]):
    hops: int


class Web:
    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.names: list[str] = []
        self.waits = Counter[tuple[str, str]]()
        """Who asks whom at the moment, and how often."""
        self.refused = 0
        self.asked = 0
        self.wrong: list[str] = []


class Spider(Agent[None]):
    def __init__(self, web: Web) -> None:
        self.web = web

    @handles
    async def passed(self, message: Pass) -> int:
        chance, found = self.web.chance, 0
        for _ in range(chance.choice([0, 0, 2])):
            await trio.lowlevel.checkpoint()
        for _ in range(chance.choice([1, 1, 2]) if message.hops else 0):
            found += await self.ask(chance.choice(self.web.names), message.hops - 1)
        return found + 1

    async def ask(self, name: str, hops: int) -> int:
        web, edge = self.web, (str(self.path), name)
        web.asked += 1
        web.waits[edge] += 1
        try:
            with trio.move_on_after(web.chance.choice([0.1, 1e9, 1e9, 1e9])):
                return await self.ref(f"/{name}").ask(Pass(hops), within=float("inf"))
        except AskCycle as cycle:
            web.refused += 1
            self.judge(str(cycle))
        except (AgentFailed, AgentStopped, AskTimeout, MailboxFull):
            pass
        finally:
            web.waits[edge] -= 1
        return 0

    def judge(self, text: str) -> None:
        """Each step of the way that is named is one that somebody waits at, and it comes back to where it began."""
        if "workers waits" in text:
            return
        way = text.removeprefix("asking would wait for itself: ").partition(";")[0].split(" asks ")
        steps = list(pairwise(way))
        asked = [(one, other.partition("/")[0]) for one, other in steps]
        if way[0] != way[-1] or not all(self.web.waits[step] > 0 for step in asked):
            self.web.wrong.append(f"{self.path}: {text}; but {+self.web.waits}")


async def woven(seed: int, web: Web) -> None:
    chance = web.chance
    children: list[Any] = []
    for number in range(chance.randint(2, 4)):
        durable = chance.random() < 0.2
        mailbox = MailboxSpec(durability=MESSAGE if durable else VOLATILE, capacity=50, overflow=Overflow.WAIT)
        spec = child(Spider, id=f"s{number}", args={"web": web}, mailbox=mailbox, backoff=NO_BACKOFF)
        shared = chance.random() < 0.3
        children.append(pool(spec, 2, "shared", id=f"p{number}", restarts=OFTEN) if shared else spec)
        web.names.append(f"p{number}" if shared else f"s{number}")

    async def begin(running: Tree) -> None:
        for _ in range(4):
            try:
                await running.ref(chance.choice(web.names)).ask(Pass(chance.randint(1, 5)), within=float("inf"))
            except (AgentFailed, AgentStopped):
                await trio.lowlevel.checkpoint()

    async with open_tree(tree(*children, policy=otp(), restarts=OFTEN), seed=seed) as running:
        with trio.fail_after(10_000):
            async with trio.open_nursery() as nursery:
                for _ in range(3):
                    nursery.start_soon(begin, running)
                for _ in range(chance.choice([0, 3, 10])):
                    for _ in range(chance.randint(1, 6)):
                        await trio.lowlevel.checkpoint()
                    paths = [str(slot.path) for slot in running.snapshot()]
                    awake = [path for path in paths if path.startswith("s") or "/" in path]
                    with suppress(NoSuchSlot):
                        running.kill(chance.choice(awake))


@pytest.mark.parametrize("seed", SEEDS)
def test_whoever_would_wait_for_itself_is_told_and_nobody_else(seed: int) -> None:
    """No ask has a limit: one cycle that is not noticed, and the test does not end."""
    web = Web(random.Random(seed))
    with ordered_by(seed):
        trio.run(woven, seed, web, clock=simulated_clock())
    assert web.wrong == []
    assert +web.waits == Counter()


def test_cycles_come_up_and_so_does_what_is_none() -> None:
    asks = refused = 0
    for seed in range(20):
        web = Web(random.Random(seed))
        with ordered_by(seed):
            trio.run(woven, seed, web, clock=simulated_clock())
        asks, refused = asks + web.asked, refused + web.refused
    assert asks / 10 < refused < asks * 9 / 10
