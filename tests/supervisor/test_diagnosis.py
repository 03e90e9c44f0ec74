"""What a life that begins with an earlier state is told: why, what was undone, and which message was in hand."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
import trio.testing
from attrs import frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.diagnosis import Diagnosis
from treewarden.agents.core.durability import MESSAGE, VOLATILE, Checkpointed, Durability, MailboxSpec
from treewarden.agents.core.message import Request
from treewarden.agents.errors import AgentFailed
from treewarden.supervisor.core.action import RollBack
from treewarden.supervisor.core.checkpoint import Retention
from treewarden.supervisor.core.event import RolledBack
from treewarden.supervisor.core.spec import ChildSpec
from treewarden.topologies.child import child
from treewarden.topologies.open import open_tree
from treewarden.topologies.running import Tree
from treewarden.topologies.tree import tree

from ..journals import FullDisk, on_disk
from .test_performing import of_kind, so_far
from .test_remedies_tree import Does

CLOCK = trio.testing.MockClock


@frozen
class Read(Request[str]):
    """Read a page."""

    page: str


@frozen
class Fail:
    """Fail, after a second."""


class Reader(Agent[str]):
    """Reads pages; one of them is bad."""

    state = ""

    def __init__(self, told: list[Diagnosis | None]) -> None:
        self.told = told

    async def on_start(self) -> None:
        self.told.append(self.diagnosis)

    @handles
    async def read(self, message: Read) -> str:
        if message.page == "x":
            raise ValueError("no such page")
        self.state += message.page
        return self.state


def reader(told: list[Diagnosis | None], mailbox: MailboxSpec | None = None) -> ChildSpec:
    return child(Reader, args={"told": told}, mailbox=mailbox or MailboxSpec(), retention=Retention(every=2))


async def read(running: Tree, *pages: str) -> str:
    said = ""
    for page in pages:
        said = await running.ref("reader").ask(Read(page))
    return said


async def fail(running: Tree) -> None:
    with pytest.raises(AgentFailed):
        await read(running, "x")


async def test_the_next_life_is_told_until_it_has_been_stable(autojump_clock: CLOCK) -> None:
    told: list[Diagnosis | None] = []
    async with open_tree(tree(reader(told), policy=Does(RollBack(1)))) as running:
        assert await read(running, "a", "b", "c") == "abc"
        await fail(running)
        assert await read(running, "d") == "abd"
        first, diagnosis = told
        assert first is None
        assert diagnosis is not None
        assert diagnosis.cause
        assert 0 < diagnosis.p < 1
        assert diagnosis.because[0] == "because"
        assert "ValueError: no such page" in diagnosis.signal
        assert diagnosis.message_kind == "Read"
        assert (diagnosis.undone, diagnosis.by) == (1, "")
        assert diagnosis.to is not None
        (fact,) = of_kind(await so_far(running), RolledBack)
        assert fact.diagnosis == diagnosis
        await trio.sleep(30)
        await running.supervisor().terminate_child("reader")
        await running.supervisor().restart_child("reader")
        assert told[-1] is None, "what was is over"


async def test_the_next_process_is_told_too(autojump_clock: CLOCK, tmp_path: Path) -> None:
    file, told = tmp_path / "tree.db", list[Diagnosis | None]()
    async with open_tree(tree(reader(told), policy=Does(RollBack(1))), journal=on_disk(file)) as running:
        await read(running, "a", "b", "c")
        await fail(running)
        await read(running, "d")
    again: list[Diagnosis | None] = []
    async with open_tree(tree(reader(again)), journal=on_disk(file)) as running:
        assert again == told[1:], "the incident was not over"
        await fail(running)
        await trio.sleep(30)
    last: list[Diagnosis | None] = []
    async with open_tree(tree(reader(last)), journal=on_disk(file)) as running:
        assert last == [None]


async def test_a_person_is_named(autojump_clock: CLOCK) -> None:
    told: list[Diagnosis | None] = []
    async with open_tree(tree(reader(told))) as running:
        await read(running, "a", "b", "c")
        await running.roll_back("reader", to=None, by="ada")
        assert told[-1] == Diagnosis(by="ada", because=("ada asked for it",), undone=3)


async def test_one_in_memory_is_told_as_well(autojump_clock: CLOCK) -> None:
    told: list[Diagnosis | None] = []
    spec = reader(told, MailboxSpec(durability=VOLATILE))
    async with open_tree(tree(spec, policy=Does(RollBack(1)))) as running:
        await read(running, "a")
        await fail(running)
        assert await read(running, "b") == "b"
    assert told[1] is not None
    assert "no such page" in told[1].signal


class Waits(Reader):
    @handles
    async def fail(self, message: Fail) -> None:
        await trio.sleep(1)
        raise ValueError("no such page")


@pytest.mark.parametrize("durability", [MESSAGE, Checkpointed(messages=1)])
async def test_what_was_gone_back_to_while_the_disk_was_full_is_what_the_next_process_begins_with(
    durability: Durability, autojump_clock: CLOCK
) -> None:
    told, disk = list[Diagnosis | None](), FullDisk()
    once = MailboxSpec(durability=durability, deliveries=1)
    agent = child(Waits, id="reader", args={"told": told}, mailbox=once, retention=Retention(every=2))
    async with open_tree(tree(agent, policy=Does(RollBack(1))), journal=disk) as running:
        await read(running, "a", "b", "c")
        await running.ref("reader").tell(Fail())
        await trio.sleep(0.5)
        disk.full = True
        await trio.sleep(5)
        assert told[-1] is not None, "it went back meanwhile, in memory"
        disk.full = False
        await trio.sleep(5)
        held = await disk.recover(running.ref("reader").path)
        assert held.state is not None
        assert held.state.body == '"ab"'
        assert len(of_kind(await so_far(running), RolledBack)) == 1
