"""A policy goes back to an earlier state: what was left is kept, and is there again if that was not to blame."""

from __future__ import annotations

import pathlib
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from typing import ClassVar

import pytest
import trio
from attrs import frozen
from trio.testing import MockClock

from treewarden.agents import Agent, Request, handles
from treewarden.agents.core.durability import MESSAGE, Checkpointed, Durability, MailboxSpec
from treewarden.agents.core.lifecycle import SlotState
from treewarden.agents.core.path import Path
from treewarden.agents.errors import AgentFailed
from treewarden.supervisor.core.action import RollBack
from treewarden.supervisor.core.event import Decided, RolledBack
from treewarden.supervisor.journal.memory import MemoryJournal
from treewarden.supervisor.journal.port import Journal
from treewarden.supervisor.journal.reading import JournalFile
from treewarden.topologies import Tree, child, open_tree, tree

from ..agents.trees import events
from ..journals import FullDisk, on_disk
from .test_remedies_tree import Does

UNDO = "before rolling back"


@frozen
class Add:
    amount: int


@frozen
class Total(Request[int]): ...


@frozen
class Sum(Request[int]):
    """As `Total`, of one that may have a fault."""


class Counter(Agent[int]):
    """Adds up, until its code has a fault: then it fails at every sum, or at those above some number."""

    state = 0
    fault: ClassVar[Callable[[int], object] | None] = None

    @handles
    def add(self, message: Add) -> None:
        if Counter.fault is not None:
            Counter.fault(self.state)
        self.state += message.amount

    @handles
    def total(self, message: Total) -> int:
        return self.state

    @handles
    def sum(self, message: Sum) -> int:
        if Counter.fault is not None:
            Counter.fault(self.state)
        return self.state


class Hanger(Agent[int]):
    """As `Counter`; but what its fault says is that it hangs at this sum."""

    state = 0

    @handles
    async def add(self, message: Add) -> None:
        if Counter.fault is not None and Counter.fault(self.state):
            await trio.sleep_forever()
        self.state += message.amount

    @handles
    def total(self, message: Total) -> int:
        return self.state


@pytest.fixture(autouse=True)
def sound() -> None:
    Counter.fault = None


@pytest.fixture(params=["memory", "disk"])
def journal(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Journal:
    return MemoryJournal() if request.param == "memory" else on_disk(tmp_path / "tree.db")


async def tell(running: Tree, *amounts: int) -> None:
    for amount in amounts:
        await running.ref("counter").tell(Add(amount))
    await trio.sleep(600)


async def until_taken_back(running: Tree, journal: Journal, *, fails: int) -> None:
    """It has nine, fails at so many more, and is just taken back for it."""
    await tell(running, *[1] * 9)
    Counter.fault = always
    for _ in range(fails):
        await running.ref("counter").tell(Add(1))
    for _ in range(1000):
        await trio.sleep(0.05)
        if await went_back(journal):
            return
    raise AssertionError("it was not taken back")


def always(_: int) -> None:
    raise ValueError("a fault of the code")


def above_ten(total: int) -> None:
    if total > 10:
        raise ValueError("it cannot work with this")


async def went_back(journal: Journal) -> list[str]:
    return [record.event.name for record in await journal.read(limit=10_000) if isinstance(record.event, RolledBack)]


@pytest.mark.parametrize("durability", [MESSAGE, Checkpointed(messages=100)], ids=["message", "checkpoint"])
async def test_a_fault_of_the_code_costs_no_state(
    durability: Durability, journal: Journal, autojump_clock: MockClock
) -> None:
    spec = child(Counter, mailbox=MailboxSpec(durability=durability))
    async with open_tree(tree(spec), journal=journal, seed=3) as running:
        await tell(running, *[1] * 9)
        Counter.fault = always
        await tell(running, *[1] * 6)
        Counter.fault = None
        if running.snapshot()[0].state is SlotState.HELD:
            running.resume("counter")
        assert await running.ref("counter").ask(Total(), within=60) == 9
        names = await went_back(journal)
        assert names.count(UNDO) == len(names) - names.count(UNDO) > 0


async def test_a_fault_that_comes_again_when_it_had_become_quiet_costs_no_state_either(
    autojump_clock: MockClock,
) -> None:
    """What was put back is a state that was gone back to, and no less the agent's own."""
    journal = MemoryJournal()
    async with open_tree(tree(Counter), journal=journal, seed=3) as running:
        await tell(running, *[1] * 9)
        Counter.fault = always
        await tell(running, *[1] * 3)
        await trio.sleep(600)
        await tell(running, *[1] * 3)
        Counter.fault = None
        assert await running.ref("counter").ask(Total(), within=60) == 9
        names = await went_back(journal)
        assert names.count(UNDO) == len(names) - names.count(UNDO) > 2
        assert len(await running.checkpoints("counter", name=UNDO)) == 1, "it is kept once, however often it is left"
        assert len({event.incident for event in await events(journal, Decided)}) == 2


async def test_what_a_person_went_back_to_is_put_back_as_well(autojump_clock: MockClock) -> None:
    journal = MemoryJournal()
    async with open_tree(tree(Counter), journal=journal, seed=3) as running:
        await tell(running, *[1] * 9)
        newest, *_ = await running.checkpoints("counter")
        await running.roll_back("counter", to=newest.number)
        Counter.fault = always
        await tell(running, *[1] * 3)
        Counter.fault = None
        assert await running.ref("counter").ask(Total(), within=60) == 8
        assert len(await went_back(journal)) > 2


async def test_what_was_kept_by_hand_since_then_is_its_own_as_well(autojump_clock: MockClock) -> None:
    """What is settled in memory counts as settled on disk when it is written next, which this does first."""
    journal = MemoryJournal()
    spec = child(Counter, mailbox=MailboxSpec(durability=Checkpointed(messages=100)))
    async with open_tree(tree(spec), journal=journal, seed=3) as running:
        await tell(running, *[1] * 9)
        await running.checkpoint("counter", name="nine")
        await running.roll_back("counter", to="nine")
        await tell(running, *[1] * 3)
        await running.checkpoint("counter", name="twelve")
        Counter.fault = always
        await tell(running, *[1] * 6)
        assert running.snapshot()[0].state is SlotState.HELD
        left = running.ref("counter").statistics().depth
        Counter.fault = None
        running.resume("counter")
        assert await running.ref("counter").ask(Total(), within=60) == 12 + left
        assert (await went_back(journal))[-1] == UNDO


async def test_the_next_process_puts_back_what_the_one_before_it_took_back(
    tmp_path: pathlib.Path, autojump_clock: MockClock
) -> None:
    file = tmp_path / "tree.db"
    journal = on_disk(file)
    async with open_tree(tree(Counter), journal=journal, seed=3) as running:
        await until_taken_back(running, journal, fails=4)
    assert total_in(file) < 9
    async with open_tree(tree(Counter), journal=on_disk(file), seed=3) as running:
        await tell(running, *[1] * 6)
    assert total_in(file) == 9


async def test_a_state_that_is_damaged_where_it_is_kept_ends_nobody_but_its_agent(
    tmp_path: pathlib.Path, autojump_clock: MockClock
) -> None:
    file = tmp_path / "tree.db"
    journal = on_disk(file)
    async with open_tree(tree(Counter), journal=journal, seed=3) as running:
        await until_taken_back(running, journal, fails=3)
        with closing(sqlite3.connect(file)) as database:
            assert database.execute("UPDATE checkpoints SET body = '{' WHERE name = ?", (UNDO,)).rowcount == 1
            database.commit()
        await trio.sleep(600)
        Counter.fault = None
        assert await running.ref("counter").ask(Total(), within=60) < 9
        assert UNDO not in await went_back(journal)


def total_in(file: pathlib.Path) -> int:
    with JournalFile.open(file) as journal:
        (held,) = journal.states()
    return int(held.body)


async def test_what_a_bad_state_was_is_kept_and_does_not_come_back(autojump_clock: MockClock) -> None:
    journal = MemoryJournal()
    async with open_tree(tree(Counter), journal=journal, seed=3) as running:
        await tell(running, *[1] * 10)
        Counter.fault = above_ten
        await tell(running, 5)
        await tell(running, 1, 1)
        assert await running.ref("counter").ask(Total()) < 12
        assert UNDO not in await went_back(journal)
        (left,) = await running.checkpoints("counter", name=UNDO)
        await running.roll_back("counter", to=left.number)
        assert await running.ref("counter").ask(Total()) == 15


@pytest.mark.parametrize("durability", [MESSAGE, Checkpointed(messages=100)], ids=["message", "checkpoint"])
async def test_who_hangs_whatever_its_state_is_held_with_its_own(
    durability: Durability, autojump_clock: MockClock
) -> None:
    journal = MemoryJournal()
    spec = child(Hanger, id="counter", progress_within=5.0, mailbox=MailboxSpec(durability=durability))
    async with open_tree(tree(spec), journal=journal, seed=3) as running:
        await tell(running, *[1] * 9)
        await running.checkpoint("counter", name="nine")
        await tell(running, *[1] * 3)
        Counter.fault = lambda _: True
        await tell(running, *[1] * 9)
        assert running.snapshot()[0].state is SlotState.HELD
        left = running.ref("counter").statistics().depth
        Counter.fault = None
        running.resume("counter")
        assert await running.ref("counter").ask(Total(), within=60) == 12 + left
        *_, last = names = await went_back(journal)
        assert last == UNDO
        assert len(names) > 2


async def test_a_life_that_hangs_settles_nothing_behind_its_rollback(autojump_clock: MockClock) -> None:
    """With durability checkpoint it writes at its end what it had settled."""
    journal = MemoryJournal()
    spec = child(Hanger, id="counter", progress_within=5.0, mailbox=MailboxSpec(durability=Checkpointed(messages=100)))
    async with open_tree(tree(spec, policy=Does(RollBack(1))), journal=journal, seed=3) as running:
        await tell(running, *[1] * 9)
        await running.checkpoint("counter", name="nine")
        await tell(running, *[1] * 3)
        Counter.fault = lambda total: total > 9
        await tell(running, 1)
        held = await journal.recover(Path("counter"))
        assert held.state is not None
        assert held.state.body == "9"
        assert await running.ref("counter").ask(Total(), within=60) == 9


async def test_a_quiet_time_says_nothing_for_an_earlier_state(autojump_clock: MockClock) -> None:
    """What asks is told of the failure, and does not come again: the incident ends with the earlier state untried."""
    journal = MemoryJournal()
    async with open_tree(tree(Counter), journal=journal, seed=3) as running:
        await tell(running, *[1] * 9)
        Counter.fault = always
        for _ in range(6):
            for _ in range(3):
                with suppress(AgentFailed):
                    await running.ref("counter").ask(Sum(), within=60)
            await trio.sleep(600)
        with suppress(AgentFailed):
            await running.ref("counter").ask(Sum(), within=60)
        await trio.sleep(600)
        Counter.fault = None
        assert await running.ref("counter").ask(Total(), within=60) == 9
        assert len(await went_back(journal)) > 2


async def test_what_fails_otherwise_than_before_says_nothing_against_going_back(
    autojump_clock: MockClock,
) -> None:
    def otherwise(total: int) -> None:
        if total > 10:
            raise ValueError("it cannot work with this")
        raise LookupError("nor with that")

    journal = MemoryJournal()
    async with open_tree(tree(Counter), journal=journal, seed=3) as running:
        await tell(running, *[1] * 12)
        Counter.fault = otherwise
        await tell(running, 1, 1)
        assert UNDO not in await went_back(journal)
        assert await running.checkpoints("counter", name=UNDO)


async def test_who_is_held_in_the_end_has_its_own_state(autojump_clock: MockClock) -> None:
    journal = MemoryJournal()
    async with open_tree(tree(Counter), journal=journal, seed=3) as running:
        await tell(running, *[1] * 3)
        Counter.fault = always
        await tell(running, *[1] * 20)
        assert running.snapshot()[0].state is SlotState.HELD
        *_, last = await events(journal, Decided)
        assert last.action == "hold"
        left = running.ref("counter").statistics().depth
        Counter.fault = None
        running.resume("counter")
        assert await running.ref("counter").ask(Total(), within=60) == 3 + left


async def test_what_was_left_while_the_disk_took_nothing_is_kept_when_it_does(autojump_clock: MockClock) -> None:
    journal = FullDisk()
    spec = child(Counter, mailbox=MailboxSpec(durability=Checkpointed(messages=100), deliveries=1))
    async with open_tree(tree(spec, policy=Does(RollBack(1))), journal=journal, seed=3) as running:
        await tell(running, 1, 1, 1)
        await running.checkpoint("counter", name="three")
        await tell(running, *[1] * 6)
        journal.full, Counter.fault = True, always
        await tell(running, 1)
        journal.full, Counter.fault = False, None
        assert await running.ref("counter").ask(Total(), within=60) == 3
        await trio.sleep(60)
        assert len(await running.checkpoints("counter", name=UNDO)) == 1
        await running.roll_back("counter", to=UNDO)
        assert await running.ref("counter").ask(Total(), within=60) == 9
