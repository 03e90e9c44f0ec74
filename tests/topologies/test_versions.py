"""Stored states and messages of other versions of the code: brought up, or kept for the code that can read them."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from attrs import frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import MESSAGE, Checkpointed, Durability, MailboxSpec
from treewarden.agents.core.lifecycle import SlotState
from treewarden.agents.core.message import Request
from treewarden.supervisor.core.event import Decided
from treewarden.supervisor.core.policies import otp
from treewarden.supervisor.core.spec import Intensity, Strategy, SupervisorSpec
from treewarden.topologies.child import child
from treewarden.topologies.open import open_tree
from treewarden.topologies.pool import pool
from treewarden.topologies.running import Tree
from treewarden.topologies.slot_status import SlotStatus
from treewarden.topologies.tree import tree

from ..journals import on_disk
from .generations import FIRST, NEWER, RENAMED, WITH_UPCAST, WITHOUT_UPCAST, code

CLOCK = trio.testing.MockClock


@frozen
class Count(Request[int]): ...


class Beside(Agent[int]):
    """A sibling that has nothing to do with it."""

    state = 0

    @handles
    def count(self, message: Count) -> int:
        self.state += 1
        return self.state


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "desk.db"


async def stored(file: Path, messages: Sequence[int] = (7, 8)) -> None:
    """A state of 5 that the first version has settled, and messages that wait behind it."""
    first = code(FIRST)
    async with open_tree(tree(first.Desk, Beside), journal=on_disk(file)) as running:
        await running.ref("desk").tell(first.Add(5))
        assert await running.ref("desk").ask(first.Look()) == ("Tally", 5)
        await running.ref("beside").tell(Count())
    leave(file, messages)


def leave(file: Path, messages: Sequence[int]) -> None:
    """Messages that wait, as a process that died has left them."""
    with closing(sqlite3.connect(file)) as connection:
        (row,) = connection.execute("SELECT last_row FROM meta").fetchone()
        for amount in messages:
            row += 1
            connection.execute(
                "INSERT INTO mailbox VALUES (?, 'desk', ?, 'desk:Add', 1, ?, NULL, 2, 0.5, 0, 0, NULL, 1, NULL, NULL)",
                (row, f"t-{row}", f'{{"amount":{amount}}}'),
            )
        connection.execute("UPDATE meta SET last_row = ?", (row,))
        connection.commit()


def kept(file: Path) -> tuple[list[Any], list[Any]]:
    """The state and the messages of the desk, as they are stored."""
    with closing(sqlite3.connect(file)) as connection:
        state = connection.execute("SELECT kind, version, body FROM states WHERE path = 'desk'").fetchall()
        waiting = connection.execute("SELECT kind, version, body, deliveries FROM mailbox WHERE path = 'desk'")
        return state, waiting.fetchall()


def status(running: Tree, path: str = "desk") -> SlotStatus:
    (found,) = [slot for slot in running.snapshot() if slot.path == path]
    return found


async def test_what_was_stored_is_brought_up(file: Path, autojump_clock: CLOCK) -> None:
    await stored(file)
    new = code(WITH_UPCAST)
    async with open_tree(tree(new.Desk, Beside), journal=on_disk(file)) as running:
        assert await running.ref("desk").ask(new.Look()) == ("Tally", 2000)
    assert kept(file) == ([("desk:Tally", 2, '{"total":2000}')], [])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (
            WITHOUT_UPCAST,
            "desk:Tally has version 2 here, and no upcast from version 1; give its __upcasts__ a function",
        ),
        (RENAMED, "its state: no class at hand is stored as desk:Tally (version 1); known are "),
    ],
)
@pytest.mark.parametrize("policy", [None, otp()])
async def test_what_cannot_be_read_holds_its_slot_and_stays(
    text: str, why: str, policy: Any, file: Path, autojump_clock: CLOCK
) -> None:
    await stored(file)
    before = kept(file)
    other = code(text)
    async with open_tree(tree(other.Desk, Beside, policy=policy), journal=on_disk(file)) as running:
        assert await running.ref("beside").ask(Count()) == 2
        await trio.testing.wait_all_tasks_blocked()
        found = status(running)
        assert found.state is SlotState.HELD
        assert found.note.startswith("held: desk has stored what this code cannot read: its state: ")
        assert why in found.note
        await trio.sleep(1000)
        assert status(running).state is SlotState.HELD
        decided = [record.event for record in await all_of(running) if isinstance(record.event, Decided)]
        assert [(event.path, event.action, event.rule) for event in decided] == [("desk", "hold", "unknown version")]
    assert kept(file) == before


async def test_what_a_script_has_stored_is_said_to_be_a_script_s(file: Path, autojump_clock: CLOCK) -> None:
    """It named `desk:Tally` among what is known, and left it to the reader why that did not do."""
    await stored(file)
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("UPDATE states SET kind = '__main__:Tally', checksum = NULL WHERE path = 'desk'")
        connection.commit()
    async with open_tree(tree(code(FIRST).Desk, Beside), journal=on_disk(file)) as running:
        await trio.testing.wait_all_tasks_blocked()
        note = status(running).note
    assert "__main__:Tally (version 1): it stood in a script that was started, and desk:Tally is another one; " in note
    assert "Start that script, or begin a new journal with the class in a module" in note


async def all_of(running: Tree) -> list[Any]:
    records: list[Any] = []
    async with running.events() as events:
        async for record in events:
            records.append(record)
            if record.seq >= running.head:
                return records
    raise AssertionError("events go on for as long as the tree is open")


async def test_code_that_is_older_than_what_was_stored_says_so(file: Path, autojump_clock: CLOCK) -> None:
    newer = code(NEWER)
    async with open_tree(tree(newer.Desk), journal=on_disk(file)) as running:
        await running.ref("desk").tell(newer.Add(5))
    async with open_tree(tree(code(FIRST).Desk), journal=on_disk(file)) as running:
        await trio.testing.wait_all_tasks_blocked()
        assert (
            "a stored desk:Tally (version 9) does not fit the class at hand: version 9 of desk:Tally is not known "
            "here, where it has version 1; start the code that has version 9"
        ) in status(running).note
    assert kept(file)[0] == [("desk:Tally", 9, '{"total":5}')]


async def test_one_message_that_cannot_be_read_keeps_its_agent_from_the_others(
    file: Path, autojump_clock: CLOCK
) -> None:
    await stored(file)
    before = kept(file)
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("UPDATE mailbox SET version = 4, checksum = NULL WHERE body LIKE '%8%'")
        connection.commit()
    async with open_tree(tree(code(FIRST).Desk), journal=on_disk(file)) as running:
        await trio.testing.wait_all_tasks_blocked()
        assert "message t-" in status(running).note
        assert "a stored desk:Add (version 4)" in status(running).note
    assert kept(file)[0] == before[0]
    assert [row[1] for row in kept(file)[1]] == [1, 4]


async def test_messages_that_come_meanwhile_wait_behind_those_that_were_there(
    file: Path, autojump_clock: CLOCK
) -> None:
    await stored(file)
    broken, mended = code(WITHOUT_UPCAST), code(WITH_UPCAST)
    async with open_tree(tree(broken.Desk), journal=on_disk(file)) as running:
        await running.ref("desk").tell(broken.Add(1))
    assert [row[1] for row in kept(file)[1]] == [1, 1, 2]
    async with open_tree(tree(mended.Desk), journal=on_disk(file)) as running:
        assert await running.ref("desk").ask(mended.Look()) == ("Tally", 2001)


async def test_those_that_came_meanwhile_are_for_the_class_that_can_live_there(
    file: Path, autojump_clock: CLOCK
) -> None:
    """They became dead letters, as messages of a type that it does not handle: nobody had brought them up."""
    await stored(file)
    broken, again, mended = code(WITHOUT_UPCAST), code(WITHOUT_UPCAST), code(WITH_UPCAST)
    async with open_tree(tree(broken.Desk), journal=on_disk(file)) as running:
        desk = running.ref("desk")
        await desk.tell(broken.Add(1))
        await running.reload(tree(again.Desk))
        await trio.testing.wait_all_tasks_blocked()
        assert status(running).state is SlotState.HELD
        await desk.tell(again.Add(20))
        await running.reload(tree(mended.Desk))
        assert await desk.ask(mended.Look()) == ("Tally", 2021)
        assert desk.statistics().dropped_kinds == {}
    assert kept(file) == ([("desk:Tally", 2, '{"total":2021}')], [])


async def test_one_that_came_meanwhile_and_cannot_be_read_holds_its_agent(file: Path, autojump_clock: CLOCK) -> None:
    await stored(file)
    broken, other, mended = code(WITHOUT_UPCAST), code(WITH_UPCAST.replace("Add", "Put")), code(WITH_UPCAST)
    async with open_tree(tree(broken.Desk), journal=on_disk(file)) as running:
        await running.ref("desk").tell(broken.Add(1))
        before = kept(file)
        with closing(sqlite3.connect(file)) as connection:
            connection.execute("DELETE FROM mailbox WHERE body LIKE '%amount%'")
            connection.commit()
        await running.reload(tree(other.Desk))
        await trio.testing.wait_all_tasks_blocked()
        assert status(running).state is SlotState.HELD
        assert "no class at hand is stored as desk:Add (version 2)" in status(running).note
        assert kept(file) == (before[0], before[1][2:])
        await running.reload(tree(mended.Desk))
        assert await running.ref("desk").ask(mended.Look()) == ("Tally", 501)


async def test_a_reload_with_the_right_code_goes_on(file: Path, autojump_clock: CLOCK) -> None:
    await stored(file)
    broken, mended = code(WITHOUT_UPCAST), code(WITH_UPCAST)
    async with open_tree(tree(broken.Desk), journal=on_disk(file)) as running:
        await trio.testing.wait_all_tasks_blocked()
        assert status(running).state is SlotState.HELD
        await running.reload(tree(mended.Desk))
        assert status(running).state is SlotState.UP
        await running.ref("desk").tell(mended.Add(10))
        assert await running.ref("desk").ask(mended.Look()) == ("Tally", 2010)


@pytest.fixture(params=[MESSAGE, Checkpointed(messages=100)], ids=["message", "checkpoint"])
def durability(request: pytest.FixtureRequest) -> Durability:
    return request.param


def desk_of(module: Any, durability: Durability) -> SupervisorSpec:
    return tree(child(module.Desk, mailbox=MailboxSpec(durability=durability)))


async def test_a_reload_brings_up_a_state_that_is_in_memory(
    durability: Durability, file: Path, autojump_clock: CLOCK
) -> None:
    first, newer = code(FIRST), code(WITH_UPCAST)
    async with open_tree(desk_of(first, durability), journal=on_disk(file)) as running:
        await running.ref("desk").tell(first.Add(5))
        await trio.testing.wait_all_tasks_blocked()
        await running.reload(desk_of(newer, durability))
        assert await running.ref("desk").ask(newer.Look()) == ("Tally", 500)
        await running.ref("desk").tell(newer.Add(10))
    assert kept(file)[0] == [("desk:Tally", 2, '{"total":510}')]


@pytest.mark.parametrize(("then", "total"), [(FIRST, 5), (WITH_UPCAST, 500)])
async def test_a_reload_to_code_that_cannot_read_a_state_in_memory_keeps_it_for_what_can(
    then: str, total: int, durability: Durability, file: Path, autojump_clock: CLOCK
) -> None:
    first, other = code(FIRST), code(RENAMED)
    last = first if then == FIRST else code(then)
    async with open_tree(desk_of(first, durability), journal=on_disk(file)) as running:
        await running.ref("desk").tell(first.Add(5))
        await trio.testing.wait_all_tasks_blocked()
        await running.reload(desk_of(other, durability))
        await trio.testing.wait_all_tasks_blocked()
        assert status(running).state is SlotState.HELD
        assert "cannot read" in status(running).note
        await running.reload(desk_of(last, durability))
        assert await running.ref("desk").ask(last.Look()) == ("Tally", total)


@pytest.mark.parametrize(("then", "total"), [(FIRST, 6), (WITH_UPCAST, 600)])
async def test_what_came_to_code_that_could_not_live_there_is_brought_up(
    then: str, total: int, durability: Durability, file: Path, autojump_clock: CLOCK
) -> None:
    """It was looked at with what had settled the state, which did not know it: a dead letter."""
    first, other = code(FIRST), code(RENAMED)
    last = first if then == FIRST else code(then)
    async with open_tree(desk_of(first, durability), journal=on_disk(file)) as running:
        desk = running.ref("desk")
        await desk.tell(first.Add(5))
        await trio.testing.wait_all_tasks_blocked()
        await running.reload(desk_of(other, durability))
        await trio.testing.wait_all_tasks_blocked()
        await desk.tell(other.Add(1))
        await running.reload(desk_of(last, durability))
        assert await desk.ask(last.Look()) == ("Tally", total)
        assert desk.statistics().dropped_kinds == {}


async def test_a_person_who_starts_it_with_the_wrong_code_changes_nothing(file: Path, autojump_clock: CLOCK) -> None:
    await stored(file)
    before = kept(file)
    async with open_tree(tree(code(RENAMED).Desk, restarts=Intensity(0, 5)), journal=on_disk(file)) as running:
        for _ in range(3):
            await trio.testing.wait_all_tasks_blocked()
            assert status(running).state is SlotState.HELD
            running.resume("desk")
        await trio.testing.wait_all_tasks_blocked()
        assert "cannot read" in status(running).note
    assert kept(file) == before


async def test_a_dynamic_child_that_cannot_be_read_keeps_what_it_had(file: Path, autojump_clock: CLOCK) -> None:
    def jobs(module: Any) -> SupervisorSpec:
        return tree(child(module.Desk, id="desk"), strategy=Strategy.DYNAMIC)

    first, broken, mended = code(FIRST), code(WITHOUT_UPCAST), code(WITH_UPCAST)
    async with open_tree(jobs(first), journal=on_disk(file)) as running:
        await running.supervisor("/").start_dynamic(id="desk")
        await running.ref("desk").tell(first.Add(5))
    before = kept(file)
    async with open_tree(jobs(broken), journal=on_disk(file)) as running:
        started = await running.supervisor("/").start_dynamic(id="desk")
        assert started.incarnation is None
        await trio.testing.wait_all_tasks_blocked()
        assert status(running).state is SlotState.HELD
    assert kept(file) == before
    async with open_tree(jobs(mended), journal=on_disk(file)) as running:
        await running.supervisor("/").start_dynamic(id="desk")
        assert await running.ref("desk").ask(mended.Look()) == ("Tally", 500)


@frozen
class Become:
    number: int


class Fragile(Agent[int]):
    """Cannot live with 13."""

    state = 0

    async def on_start(self) -> None:
        if self.state == 13:
            raise ValueError("unlucky")

    @handles
    def become(self, message: Become) -> None:
        if message.number < 0:
            raise RuntimeError("no such number")
        self.state = message.number

    @handles
    def count(self, message: Count) -> int:
        return self.state


async def test_a_rollback_passes_over_checkpoints_that_cannot_be_read(file: Path, autojump_clock: CLOCK) -> None:
    async with open_tree(tree(Fragile, restarts=Intensity(50, 60)), journal=on_disk(file)) as running:
        fragile = running.ref("fragile")
        for number in (1, 2, 13):
            await fragile.tell(Become(number))
        assert await fragile.ask(Count()) == 13
        with closing(sqlite3.connect(file)) as connection:
            assert connection.execute("UPDATE checkpoints SET version = 9, checksum = NULL").rowcount > 0
            connection.commit()
        await fragile.tell(Become(-1))
        await trio.sleep(300)
        assert await fragile.ask(Count(), within=60) == 0


async def test_a_shared_queue_that_cannot_be_read_holds_its_pool(file: Path, autojump_clock: CLOCK) -> None:
    def desks(text: str) -> Any:
        return tree(pool(code(text).Desk, size=2, route="shared", id="desk"), Beside)

    await stored(file)
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("DELETE FROM states WHERE path = 'desk'")
        connection.commit()
    before = kept(file)
    async with open_tree(desks(WITHOUT_UPCAST), journal=on_disk(file)) as running:
        assert await running.ref("beside").ask(Count()) == 2
        await trio.testing.wait_all_tasks_blocked()
        assert status(running).state is SlotState.HELD
        assert "a stored desk:Add (version 1) does not fit the class at hand" in status(running).note
    assert kept(file) == before
    async with open_tree(desks(WITH_UPCAST), journal=on_disk(file)) as running:
        await trio.sleep(10)
        assert status(running).state is SlotState.UP
    assert kept(file)[1] == []
