"""A policy that goes back never goes forward, to what was given up before."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
import trio
from attrs import evolve, frozen
from trio.testing import MockClock

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import MailboxSpec
from treewarden.agents.core.message import Request
from treewarden.supervisor.core.action import Action, RollBack
from treewarden.supervisor.core.case import Case
from treewarden.supervisor.core.checkpoint import Retention
from treewarden.supervisor.core.guards import Declined, Option
from treewarden.supervisor.core.retention import EventRetention
from treewarden.supervisor.core.spec import NO_BACKOFF
from treewarden.supervisor.journal.memory import MemoryJournal
from treewarden.supervisor.journal.port import Commit, Journal
from treewarden.supervisor.pruning import Pruning
from treewarden.topologies.child import child
from treewarden.topologies.open import open_tree
from treewarden.topologies.running import Tree
from treewarden.topologies.tree import tree

from ..journals import WALL, WallClock, fact


@frozen
class Add:
    amount: int


@frozen
class Look(Request[tuple[int, ...]]):
    pass


@frozen
class Seen:
    amounts: tuple[int, ...] = ()


class Desk(Agent[Seen]):
    state = Seen()

    @handles
    def add(self, message: Add) -> None:
        if message.amount < 0:
            raise ValueError("it was the state")
        self.state = evolve(self.state, amounts=(*self.state.amounts, message.amount))

    @handles
    def look(self, _: Look) -> tuple[int, ...]:
        return self.state.amounts


@frozen
class GoesBack:
    """Answers each crash of an incident with an older state than the one before."""

    name: str = "goes back"
    counts_alike: bool = True
    escalates: bool = False
    stable_after: float | None = 5.0

    def propose(self, case: Case) -> tuple[Option, ...]:
        action: Action = RollBack(case.incident.rolled_back + 1)
        return (Option(action, "rule", "because"),)

    def declined(self, case: Case) -> tuple[Declined, ...]:
        return ()


@asynccontextmanager
async def opened(journal: Journal, every: int = 1) -> AsyncGenerator[Tree]:
    retention = Retention(every=every, last=100)
    desk = child(Desk, retention=retention, backoff=NO_BACKOFF, mailbox=MailboxSpec(deliveries=1))
    async with open_tree(tree(desk, policy=GoesBack()), journal=journal, wall=trio.current_time) as running:
        yield running


async def seen(running: Tree, *amounts: int) -> tuple[int, ...]:
    for amount in amounts:
        await running.ref("desk").tell(Add(amount))
    return await running.ref("desk").ask(Look(), within=100)


async def test_in_the_next_incident_it_goes_further_back(autojump_clock: MockClock) -> None:
    async with opened(MemoryJournal()) as running:
        assert await seen(running, 1, 2, 3, 4, 5) == (1, 2, 3, 4, 5)
        for left in ((1, 2, 3, 4), (1, 2, 3), (1, 2)):
            assert await seen(running, -1) == left
            await trio.sleep(60)
        assert await seen(running, 6, 7, -1) == (1, 2, 6)


async def test_in_one_incident_each_attempt_is_one_state_older(autojump_clock: MockClock) -> None:
    async with opened(MemoryJournal()) as running:
        assert await seen(running, 1, 2, 3, 4, 5) == (1, 2, 3, 4, 5)
        assert await seen(running, -1) == (1, 2, 3, 4)
        assert await seen(running, -1) == (1, 2, 3)
        assert await seen(running, -1) == (1, 2)


@pytest.mark.parametrize("pruned", [False, True])
async def test_what_an_operator_gave_up_stays_given_up_also_in_the_next_process(
    autojump_clock: MockClock, pruned: bool
) -> None:
    journal = MemoryJournal()
    async with opened(journal) as running:
        await seen(running, *range(1, 31))
        second = (await running.checkpoints("desk", limit=100))[-2]
        await running.roll_back("desk", to=second.number, by="ada")
        assert await seen(running) == (1, 2)
    if pruned:  # with the event that says it
        async with journal:
            await Pruning(journal, WallClock()).prune(EventRetention(last=0), "ada")
            await Pruning(journal, WallClock()).prune(EventRetention(last=0), "ada")
    async with opened(journal) as running:
        assert await seen(running, -1) == (1,)


@pytest.mark.parametrize("pruned", [False, True])
async def test_what_was_given_up_long_ago_stays_given_up(autojump_clock: MockClock, pruned: bool) -> None:
    journal = MemoryJournal()
    async with opened(journal) as running:
        await seen(running, *range(1, 31))
        second = (await running.checkpoints("desk", limit=100))[-2]
        await running.roll_back("desk", to=second.number, by="ada")
        assert await seen(running, 77) == (1, 2, 77)
        await journal.commit(Commit(events=tuple((WALL, fact(number)) for number in range(6000))))
    async with opened(journal) as running:
        if pruned:  # by the process that has not read what says it
            await running.prune(last=1000, by="ada")
        assert await seen(running, -1) == (1, 2)
        await trio.sleep(60)
        assert await seen(running, -1) == (1,)


async def test_after_the_declared_state_there_is_no_earlier_one(autojump_clock: MockClock) -> None:
    async with opened(MemoryJournal()) as running:
        await seen(running, 1, 2, 3)
        await running.roll_back("desk", to=None, by="ada")
        assert await seen(running, 7, 8, -1) == (7,)
        await trio.sleep(60)
        assert await seen(running, -1) == ()
