"""An agent that stands on an earlier state gets its newest one again when its code has changed."""

from __future__ import annotations

import pathlib
from typing import Any, ClassVar

import pytest
import trio
from trio.testing import MockClock

from treewarden.agents import Agent, handles
from treewarden.agents.core.durability import MESSAGE, Checkpointed, Durability, MailboxSpec
from treewarden.supervisor.core.action import RollBack
from treewarden.supervisor.core.checkpoint import Retention
from treewarden.supervisor.core.event import RolledBack
from treewarden.supervisor.core.spec import SupervisorSpec
from treewarden.supervisor.journal.memory import MemoryJournal
from treewarden.topologies import Tree, child, open_tree, tree

from ..journals import on_disk
from .test_back_in_vain import UNDO, Add, Counter, Total
from .test_remedies_tree import Does


class Broken(Counter):
    """What `Counter` was before its mend."""

    @handles
    def add(self, message: Add) -> None:
        if message.amount == 13:
            raise ValueError("a fault of the code")
        super().add(message)


class Slow(Agent[int]):
    """Begins before the others do, and takes its time."""

    state = 0
    takes: ClassVar[float] = 0.0

    async def on_start(self) -> None:
        await trio.sleep(self.takes)


def counted(agent: type[Agent[Any]], durability: Durability = MESSAGE) -> SupervisorSpec:
    mailbox = MailboxSpec(durability=durability, deliveries=1)
    spec = child(agent, id="counter", mailbox=mailbox, retention=Retention(every=0))
    return tree(child(Slow, id="slow"), child(Counter, id="other"), spec, policy=Does(RollBack(1)))


async def goes_back(running: Tree) -> None:
    """Its third sum is kept, and what it had at its ninth is left when it fails; nothing waits for it then."""
    ref = running.ref("counter")
    await running.ref("other").tell(Add(1))  # whose start reads ahead what there is of the next one
    for _ in range(3):
        await ref.tell(Add(1))
    await trio.testing.wait_all_tasks_blocked()
    await running.checkpoint("counter", name="early")
    for amount in (1, 1, 1, 1, 1, 1, 13):
        await ref.tell(Add(amount))
    await trio.sleep(600)


async def total(running: Tree) -> int:
    return await running.ref("counter").ask(Total(), within=60)


@pytest.mark.parametrize("durability", [MESSAGE, Checkpointed(messages=100)], ids=["message", "checkpoint"])
async def test_a_reload_gives_its_newest_state_to_the_new_code(
    durability: Durability, autojump_clock: MockClock
) -> None:
    journal = MemoryJournal()
    async with open_tree(counted(Broken, durability), journal=journal, seed=3) as running:
        await goes_back(running)
        await running.reload(counted(Counter, durability))
        assert await total(running) == 9
        first, last = [
            record.event for record in await journal.read(limit=1000) if isinstance(record.event, RolledBack)
        ]
        assert (first.name, last.name) == ("early", UNDO)
        assert last.diagnosis is not None
        assert last.diagnosis.because == ("its code has changed since it was taken back",)


async def test_what_was_settled_with_an_earlier_state_stays(autojump_clock: MockClock) -> None:
    async with open_tree(counted(Broken), journal=MemoryJournal(), seed=3) as running:
        await goes_back(running)
        await running.ref("counter").tell(Add(5))
        await running.reload(counted(Counter))
        assert await total(running) == 8


async def test_what_a_person_went_back_to_stays(autojump_clock: MockClock) -> None:
    async with open_tree(counted(Broken), journal=MemoryJournal(), seed=3) as running:
        await goes_back(running)
        await running.roll_back("counter", to="early")
        await running.reload(counted(Counter))
        assert await total(running) == 3


@pytest.mark.parametrize("held", [False, True], ids=["runs", "held"])
@pytest.mark.parametrize("durability", [MESSAGE, Checkpointed(messages=100)], ids=["message", "checkpoint"])
async def test_the_next_process_gives_its_newest_state_to_the_new_code(
    durability: Durability, held: bool, tmp_path: pathlib.Path, autojump_clock: MockClock
) -> None:
    file = tmp_path / "tree.db"
    async with open_tree(counted(Broken, durability), journal=on_disk(file), seed=3) as running:
        await goes_back(running)
        if held:
            running.hold("counter")
            await trio.sleep(1)
    async with open_tree(counted(Counter, durability), journal=on_disk(file), seed=3) as running:
        if held:
            running.resume("counter")
        assert await total(running) == 9


async def test_the_next_process_with_the_same_code_goes_on_with_what_it_went_back_to(
    tmp_path: pathlib.Path, autojump_clock: MockClock
) -> None:
    file = tmp_path / "tree.db"
    async with open_tree(counted(Broken), journal=on_disk(file), seed=3) as running:
        await goes_back(running)
    async with open_tree(counted(Broken), journal=on_disk(file), seed=3) as running:
        assert await total(running) == 3


@pytest.mark.parametrize(("last", "sum"), [(Counter, 9), (Broken, 3)], ids=["new", "old"])
async def test_a_process_that_ends_before_its_start_has_put_nothing_back_and_forgets_nothing(
    last: type[Agent[Any]], sum: int, tmp_path: pathlib.Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "tree.db"
    async with open_tree(counted(Broken), journal=on_disk(file), seed=3) as running:
        await goes_back(running)
    with monkeypatch.context() as patch, trio.move_on_after(2) as cut:
        patch.setattr(Slow, "takes", 4.0)
        async with open_tree(counted(Counter), journal=on_disk(file), seed=3):
            pass
    assert cut.cancelled_caught
    async with open_tree(counted(last), journal=on_disk(file), seed=3) as running:
        assert await total(running) == sum
