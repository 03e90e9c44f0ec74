"""An agent whose path is another one goes on where it was, if what it has stored was moved there."""

from __future__ import annotations

import pathlib
from typing import TypeVar

import pytest
import trio
from attrs import frozen
from trio.testing import MockClock

from treewarden.agents import Agent, every, handles
from treewarden.agents.core.durability import MailboxSpec
from treewarden.agents.core.path import Path
from treewarden.supervisor.core.action import RollBack
from treewarden.supervisor.core.checkpoint import Retention
from treewarden.supervisor.core.event import RolledBack, SignalNoted
from treewarden.supervisor.core.measures import BudgetLimit
from treewarden.supervisor.core.retention import EventRetention
from treewarden.supervisor.core.spec import ChildSpec, SupervisorSpec
from treewarden.supervisor.journal.moving import move
from treewarden.supervisor.journal.reading import JournalFile
from treewarden.supervisor.pruning import Pruning
from treewarden.topologies import Tree, child, open_tree, tree

from ..journals import WALL, WallClock, on_disk
from .test_back_in_vain import UNDO, Add, Counter, Total
from .test_back_with_new_code import Broken, counted, goes_back, total
from .test_budgets import Spend
from .test_remedies_tree import Does

E = TypeVar("E")
OLD, NEW = Path("counter"), Path("front/counter")


def moved(file: pathlib.Path, old: str = OLD, new: str = NEW) -> None:
    move(file, Path(old), Path(new), by="ada", at=WALL)


def told(file: pathlib.Path, kind: type[E]) -> list[E]:
    with JournalFile.open(file) as reading:
        assert reading.verify().sound
        return [record.event for record in reading.records(limit=10_000) if isinstance(record.event, kind)]


@frozen
class Note:
    number: int


class Slow(Agent[tuple[int, ...]]):
    """Takes a second for each."""

    state = ()

    @handles
    async def note(self, message: Note) -> None:
        await trio.sleep(1)
        self.state = (*self.state, message.number)

    @every(600)
    def tick(self) -> None:
        self.state = (*self.state, -1)


def held(file: pathlib.Path, path: str) -> tuple[str, int, int, dict[str, float]]:
    """State, how many have settled, how many wait, and the due times."""
    with JournalFile.open(file) as reading:
        state = reading.state(Path(path))
        assert state is not None
        return state.body, state.settled, len(reading.messages(Path(path))), reading.timers(Path(path))


async def test_the_next_process_goes_on_with_what_was_left(tmp_path: pathlib.Path, autojump_clock: MockClock) -> None:
    """State, the number of settled messages, those that wait in their order, and the due time of its timer."""
    file = tmp_path / "tree.db"
    await trio.sleep(100)
    slow = child(Slow, id="slow", retention=Retention(every=1))
    async with open_tree(tree(slow), journal=on_disk(file), wall=trio.current_time) as running:
        for number in range(6):
            await running.ref("slow").tell(Note(number))
        await trio.sleep(2.5)
    left = ("[-1,0,1,2]", 4, 3, {"tick": 700.0})
    assert held(file, "slow") == left
    moved(file, "slow", "front/slow")
    assert held(file, "front/slow") == left
    async with open_tree(tree(tree(slow, id="front")), journal=on_disk(file), wall=trio.current_time) as running:
        await trio.sleep(10)
        assert held(file, "front/slow") == ("[-1,0,1,2,3,4,5]", 7, 0, {"tick": 700.0})
        assert len(await running.checkpoints("front/slow")) == 7
        await trio.sleep(600)
        assert held(file, "front/slow")[:2] == ("[-1,0,1,2,3,4,5,-1]", 8)


def below(spec: SupervisorSpec) -> SupervisorSpec:
    """The same tree, whose counter has a supervisor of its own."""
    counter = next(each for each in spec.children if each.id == OLD)
    others = [each for each in spec.children if each is not counter]
    return tree(*others, tree(counter, id="front", policy=Does(RollBack(1))))


@pytest.mark.parametrize(("agent", "sum"), [(Counter, 9), (Broken, 3)], ids=["new code", "the same code"])
async def test_new_code_is_given_the_newest_state_as_if_it_had_stayed(
    agent: type[Counter], sum: int, tmp_path: pathlib.Path, autojump_clock: MockClock
) -> None:
    file = tmp_path / "tree.db"
    async with open_tree(counted(Broken), journal=on_disk(file), seed=3) as running:
        await goes_back(running)
    moved(file)
    async with open_tree(below(counted(agent)), journal=on_disk(file), seed=3) as running:
        assert await running.ref("front/counter").ask(Total(), within=60) == sum
        names = [each.name for each in await running.checkpoints("front/counter")]
        assert UNDO in names


def going_back() -> ChildSpec:
    return child(Broken, id="counter", mailbox=MailboxSpec(deliveries=1), retention=Retention(every=1, last=50))


async def gave_up(running: Tree) -> None:
    """What it had at its third and fourth sum is given up."""
    for _ in range(4):
        await running.ref("counter").tell(Add(1))
        await trio.sleep(1)
    number = next(each.number for each in await running.checkpoints("counter") if each.settled == 2)
    await running.roll_back("counter", to=number, by="ada")
    await running.ref("counter").tell(Add(10))
    await trio.sleep(1)
    assert await total(running) == 12


@pytest.mark.parametrize(
    ("pruned", "read"), [("never", 5000), ("never", 2), ("before", 5000), ("before", 2), ("after", 2)]
)
async def test_a_policy_takes_nothing_for_an_earlier_state_that_was_given_up_at_the_old_path(
    pruned: str, read: int, tmp_path: pathlib.Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "tree.db"

    async def prune() -> None:
        async with on_disk(file) as journal:
            await Pruning(journal, WallClock()).prune(EventRetention(last=0), "ada")

    async with open_tree(tree(going_back()), journal=on_disk(file), seed=3) as running:
        await gave_up(running)
    if pruned == "before":
        await prune()
    moved(file)
    moved(file, NEW.parent, "back")
    if pruned == "after":
        await prune()
    monkeypatch.setattr("treewarden.topologies.open._LESSONS", read)
    shape = tree(tree(going_back(), id="back", policy=Does(RollBack(1))))
    async with open_tree(shape, journal=on_disk(file), seed=3) as running:
        for _ in range(3):
            await running.supervisor().count()  # an event or two that lie behind what is looked up
        await running.ref("back/counter").tell(Add(13))
        await trio.sleep(600)
        assert await running.ref("back/counter").ask(Total(), within=60) == 2
        assert told(file, RolledBack)[-1].path == "back/counter"


class Spending(Agent[int]):
    state = 0

    @handles
    def spend(self, message: Spend) -> None:
        self.state += 1
        self.measured("cost", message.amount)


async def test_what_was_spent_at_the_old_path_is_spent(tmp_path: pathlib.Path, autojump_clock: MockClock) -> None:
    file = tmp_path / "tree.db"
    spending = child(Spending, id="counter", limits=(BudgetLimit(most=10.0, within=600.0),))
    async with open_tree(tree(spending), journal=on_disk(file), wall=trio.current_time) as running:
        for _ in range(2):
            await running.ref("counter").ask(Spend(4.0))
    moved(file)
    async with open_tree(tree(tree(spending, id="front")), journal=on_disk(file), wall=trio.current_time) as running:
        await running.ref("front/counter").ask(Spend(3.0))
        await trio.sleep(1)
        (signal,) = told(file, SignalNoted)
        assert (signal.path, signal.text) == (NEW, "11 spent in 600 s (limit 10)")
