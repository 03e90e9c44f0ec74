"""What waits in memory, and what is known only there, when a reload puts another class into a slot."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from attrs import frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import MESSAGE, VOLATILE, Checkpointed, Durability, MailboxSpec
from treewarden.agents.core.lifecycle import SlotState
from treewarden.agents.core.message import Priority, Request
from treewarden.agents.errors import ConfigurationError
from treewarden.supervisor import Rule, table
from treewarden.supervisor.core.event import SignalNoted
from treewarden.supervisor.core.spec import SupervisorSpec
from treewarden.supervisor.journal.reading import JournalFile
from treewarden.topologies.child import child
from treewarden.topologies.open import open_tree
from treewarden.topologies.pool import pool
from treewarden.topologies.tree import tree

from ..agents.trees import slot_of
from ..journals import on_disk
from .generations import FIRST, RENAMED, WITH_UPCAST, code

CLOCK = trio.testing.MockClock
SLOW = "import trio\n" + FIRST.replace("        self.state = ", "        await trio.sleep(1)\n        self.state = ", 1)
"""It handles the first message for a second, and the others wait."""
MANY = FIRST.replace("amount: int", "items: tuple[int, ...]").replace("message.amount", "len(message.items)")
PUTS_ASIDE = "from treewarden.agents import Stash\n" + FIRST.replace(
    "        self.state = ", "        raise Stash\n        self.state = ", 1
)
OTHER_MESSAGE = FIRST.replace("Add", "Put")


def desk_of(module: Any, durability: Durability, *, shared: bool = False) -> SupervisorSpec:
    desk = child(module.Desk, mailbox=MailboxSpec(durability=durability))
    return tree(pool(desk, size=2, route="shared", id="desk") if shared else desk)


def given_up(file: Path) -> list[str]:
    with JournalFile.open(file) as reading:
        events = [record.event for record in reading.records()]
    return [event.text for event in events if isinstance(event, SignalNoted) and event.kind == "state_given_up"]


@pytest.mark.parametrize("durability", [MESSAGE, Checkpointed(messages=100), VOLATILE])
async def test_it_is_brought_up(durability: Durability, tmp_path: Path, autojump_clock: CLOCK) -> None:
    first, newer = code(SLOW), code(WITH_UPCAST)
    file = tmp_path / "tree.db"
    async with open_tree(desk_of(first, durability), journal=on_disk(file)) as running:
        desk = running.ref("desk")
        for amount, priority in ((5, Priority.NORMAL), (6, Priority.LOW), (7, Priority.NORMAL), (8, Priority.HIGH)):
            await desk.tell(first.Add(amount), priority=priority)
        await trio.sleep(0.1)
        await running.reload(desk_of(newer, durability))
        assert await desk.ask(newer.Look(), priority=Priority.LOW) == ("Tally", 2600)
        assert desk.statistics().dropped_kinds == {}
        assert running.snapshot()[0].incarnation == 2
    assert given_up(file) == []


@pytest.mark.parametrize("durability", [MESSAGE, Checkpointed(messages=100), VOLATILE])
async def test_it_is_brought_back_as_well(durability: Durability, tmp_path: Path, autojump_clock: CLOCK) -> None:
    """The class that was there before gets a state of its own type, and not what the one in between has left."""
    first, second = code(FIRST), code(FIRST)
    async with open_tree(desk_of(first, durability), journal=on_disk(tmp_path / "tree.db")) as running:
        for place, module in enumerate((first, second, first), 1):
            await running.reload(desk_of(module, durability))
            await running.ref("desk").tell(module.Add(5))
            assert await running.ref("desk").ask(module.Look()) == ("Tally", 5 * place)
        await running.reload(desk_of(second, durability))
        await trio.sleep(1)
        await running.reload(desk_of(first, durability))
        await trio.sleep(1)
        assert type(slot_of(running, "desk").state) is first.Tally


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("durability", [MESSAGE, Checkpointed(messages=100), VOLATILE])
async def test_what_was_put_aside_is_brought_up(
    durability: Durability, shared: bool, tmp_path: Path, autojump_clock: CLOCK
) -> None:
    first, newer = code(PUTS_ASIDE), code(WITH_UPCAST)
    blueprints = [desk_of(module, durability, shared=shared) for module in (first, newer)]
    async with open_tree(blueprints[0], journal=on_disk(tmp_path / "tree.db")) as running:
        for amount in (5, 6):
            await running.ref("desk").tell(first.Add(amount))
        await trio.testing.wait_all_tasks_blocked()
        await running.reload(blueprints[1])
        await trio.sleep(1)
        assert sum(slot.handled for slot in running.snapshot()) == 2
        assert running.ref("desk").statistics().dropped_kinds == {}


@pytest.mark.parametrize("durability", [MESSAGE, Checkpointed(messages=100), VOLATILE])
async def test_the_queue_of_a_pool_is_brought_up_when_all_its_workers_are_new(
    durability: Durability, tmp_path: Path, autojump_clock: CLOCK
) -> None:
    first, newer = code(SLOW), code(WITH_UPCAST)
    async with open_tree(desk_of(first, durability, shared=True), journal=on_disk(tmp_path / "tree.db")) as running:
        desk = running.ref("desk")
        for amount in range(1, 7):
            await desk.tell(first.Add(amount))
        await trio.sleep(0.1)
        await running.reload(desk_of(newer, durability, shared=True))
        await desk.tell(newer.Add(1))
        await trio.sleep(1)
        assert sum(slot.handled for slot in running.snapshot()) == 7
        assert desk.statistics().dropped_kinds == {}


@pytest.mark.parametrize("shared", [False, True])
async def test_what_is_on_its_way_to_the_disk_is_brought_up(
    shared: bool, tmp_path: Path, autojump_clock: CLOCK
) -> None:
    """It came to its mailbox behind all that was brought up, as a message of a type that nobody handles there."""
    first, newer = code(FIRST), code(WITH_UPCAST)
    disk = trio.Event()
    disk.set()

    async def slow(call: Any, *args: Any, **_: Any) -> Any:
        await disk.wait()
        return call(*args)

    async with open_tree(
        desk_of(first, MESSAGE, shared=shared), journal=on_disk(tmp_path / "tree.db", run_sync=slow)
    ) as running:
        desk = running.ref("desk")
        await desk.tell(first.Add(5))
        await trio.testing.wait_all_tasks_blocked()
        disk = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(desk.tell, first.Add(6))
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(running.reload, desk_of(newer, MESSAGE, shared=shared))
            await trio.testing.wait_all_tasks_blocked()
            disk.set()
        await trio.sleep(1)
        assert sum(slot.handled for slot in running.snapshot()) == 2
        assert await running.dead_letters() == ()


async def test_a_large_message_that_is_encoded_for_the_class_of_before_is_refused(
    tmp_path: Path, autojump_clock: CLOCK
) -> None:
    """It was acknowledged, and a dead letter."""
    first, second = code(MANY), code(MANY)
    async with open_tree(desk_of(first, MESSAGE), journal=on_disk(tmp_path / "tree.db")) as running:
        desk = running.ref("desk")
        await desk.tell(first.Add((1,)))
        await trio.testing.wait_all_tasks_blocked()

        async def tell() -> None:
            with pytest.raises(ConfigurationError, match="Add"):
                await desk.tell(first.Add(tuple(range(200_000))))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(tell)
            await trio.lowlevel.checkpoint()
            await trio.lowlevel.checkpoint()
            await running.reload(desk_of(second, MESSAGE))
        await desk.tell(second.Add((1, 2)))
        assert await desk.ask(second.Look()) == ("Tally", 3)
        assert await running.dead_letters() == ()


async def test_a_message_on_disk_that_nobody_can_read_holds_its_agent(tmp_path: Path, autojump_clock: CLOCK) -> None:
    first, other = code(SLOW), code(OTHER_MESSAGE)
    async with open_tree(desk_of(first, MESSAGE), journal=on_disk(tmp_path / "tree.db")) as running:
        for amount in (5, 6):
            await running.ref("desk").tell(first.Add(amount))
        await trio.sleep(0.1)
        await running.reload(desk_of(other, MESSAGE))
        await trio.testing.wait_all_tasks_blocked()
        (status,) = running.snapshot()
        assert status.state is SlotState.HELD
        assert "no class at hand is stored as desk:Add" in status.note
        newer = code(WITH_UPCAST)
        await running.reload(desk_of(newer, MESSAGE))
        assert await running.ref("desk").ask(newer.Look(), priority=Priority.LOW) == ("Tally", 1100)


async def test_a_state_in_memory_that_nobody_can_read_is_given_up_and_that_is_said(
    tmp_path: Path, autojump_clock: CLOCK
) -> None:
    first, other = code(FIRST), code(RENAMED)
    file = tmp_path / "tree.db"
    async with open_tree(desk_of(first, VOLATILE), journal=on_disk(file)) as running:
        await running.ref("desk").tell(first.Add(5))
        await trio.testing.wait_all_tasks_blocked()
        await running.reload(desk_of(other, VOLATILE))
        assert await running.ref("desk").ask(other.Look()) == ("Count", 0)
    (why,) = given_up(file)
    assert why.startswith("desk:Desk begins anew, and not with what desk:Desk knew: no class at hand is stored as ")


@frozen
class Look(Request[object]): ...


@frozen
class Lock: ...


class Locked(Agent[Any]):
    """Keeps what no journal can."""

    state = None

    @handles
    def lock(self, message: Lock) -> None:
        self.state = threading.Lock()


class Looking(Agent[Any]):
    state = None

    @handles
    def look(self, message: Look) -> object:
        return "lock" in repr(self.state)


class Numbered(Agent[int]):
    state = 7

    @handles
    def look(self, message: Look) -> object:
        return self.state


async def test_what_cannot_be_stored_is_for_a_class_that_takes_it(tmp_path: Path, autojump_clock: CLOCK) -> None:
    file = tmp_path / "tree.db"
    box = MailboxSpec(durability=VOLATILE)
    async with open_tree(tree(child(Locked, id="a", mailbox=box)), journal=on_disk(file)) as running:
        await running.ref("a").tell(Lock())
        await trio.testing.wait_all_tasks_blocked()
        await running.reload(tree(child(Looking, id="a", mailbox=box)))
        assert await running.ref("a").ask(Look()) is True
        await running.reload(tree(child(Numbered, id="a", mailbox=box)))
        assert await running.ref("a").ask(Look()) == 7
    assert len(given_up(file)) == 1


class Line:
    """A connection: no journal can keep it."""


class Dialled(Agent[Line]):
    state = Line()

    @handles
    def look(self, message: Look) -> object:
        return self.state


class MaybeDialled(Agent[Line | None]):
    state = None

    @handles
    def look(self, message: Look) -> object:
        return self.state


@frozen
class Sum:
    total: int = 0


@frozen
class Average(Sum):
    count: int = 0


class Averaging(Agent[Average]):
    state = Average(6, 2)

    @handles
    def look(self, message: Look) -> object:
        return self.state


class Summing(Agent[Sum]):
    state = Sum()

    @handles
    def look(self, message: Look) -> object:
        return self.state


@pytest.mark.parametrize(("first", "second"), [(Dialled, MaybeDialled), (Averaging, Summing)])
async def test_a_state_in_memory_that_the_class_declares_is_kept_as_it_is(
    first: type[Agent[Any]], second: type[Agent[Any]], tmp_path: Path, autojump_clock: CLOCK
) -> None:
    file = tmp_path / "tree.db"
    box = MailboxSpec(durability=VOLATILE)
    async with open_tree(tree(child(first, id="a", mailbox=box)), journal=on_disk(file)) as running:
        known = await running.ref("a").ask(Look())
        await running.reload(tree(child(second, id="a", mailbox=box)))
        assert await running.ref("a").ask(Look()) is known
    assert given_up(file) == []


@frozen
class Fail: ...


@frozen
class Note: ...


class Till(Agent[int]):
    state = 0

    @handles
    async def fail(self, message: Fail) -> None:
        await trio.sleep(1)
        raise ValueError("told to")

    @handles
    def note(self, message: Note) -> None:
        self.state += 1

    @handles
    def look(self, message: Look) -> object:
        return self.state


class SmallerTill(Agent[int]):
    state = 0

    @handles
    def look(self, message: Look) -> object:
        return self.state


async def test_a_variant_is_held_by_a_message_on_disk_that_it_does_not_know(
    tmp_path: Path, autojump_clock: CLOCK
) -> None:
    box = MailboxSpec(durability=MESSAGE, deliveries=1)
    till = child(Till, variants={"smaller": SmallerTill}, mailbox=box)
    blueprint = tree(till, policy=table([Rule("crash", "fall_back")]))
    async with open_tree(blueprint, journal=on_disk(tmp_path / "tree.db")) as running:
        for message in (Fail(), Note(), Note()):
            await running.ref("till").tell(message)
        for _ in range(2):
            await trio.sleep(5)
            (status,) = running.snapshot()
            assert status.state is SlotState.HELD
            assert "no class at hand is stored as" in status.note
            running.resume("till")
        await running.reload(blueprint)
        assert await running.ref("till").ask(Look()) == 2
        assert [each.kind.rpartition(":")[2] for each in await running.dead_letters()] == ["Fail"]
