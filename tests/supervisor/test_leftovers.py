"""What waits for somebody who ends for good becomes dead letters in slices: others have turns, and nothing is lost."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path as File
from typing import Any

import pytest
import trio
import trio.testing
from attrs import frozen

from treewarden.agents import Agent, MailboxSpec, Request, handles
from treewarden.agents.core.durability import MESSAGE, VOLATILE, Checkpointed, Durability
from treewarden.agents.core.message import Envelope
from treewarden.agents.core.path import Path
from treewarden.agents.errors import AgentStopped
from treewarden.agents.ref import Ref
from treewarden.supervisor.core.event import DeadLettered, TreeClosed
from treewarden.supervisor.core.spec import BRUTAL_KILL, Strategy
from treewarden.supervisor.journal.memory import MemoryJournal
from treewarden.supervisor.journal.port import DeadRow
from treewarden.supervisor.journal.reading import JournalFile
from treewarden.supervisor.leftovers import Leftovers
from treewarden.supervisor.timers import Timers
from treewarden.topologies import child, open_tree, tree
from treewarden.topologies.core.blueprint import Blueprint
from treewarden.topologies.running import Tree

from ..agents.trees import slot_of

pytestmark = pytest.mark.usefixtures("frozen")

MANY = 500
AT_ONCE = 64


@frozen
class Put:
    n: int


@frozen
class Asked(Request[int]):
    n: int


class Stuck(Agent[None]):
    """Never comes to the end of its first message."""

    @handles
    async def put(self, message: Put) -> None:
        await trio.sleep_forever()

    @handles
    async def asked(self, message: Asked) -> int:
        return message.n


class Taker(Agent[tuple[int, ...]]):
    state = ()

    @handles
    def put(self, message: Put) -> None:
        self.state = (*self.state, message.n)

    @handles
    def asked(self, message: Asked) -> int:
        return len(self.state)


def stuck(durability: Durability = MESSAGE, kind: type[Agent[Any]] = Stuck) -> Blueprint:
    mailbox = MailboxSpec(capacity=2 * MANY, durability=durability)
    return tree(child(kind, id="stuck", mailbox=mailbox, shutdown=BRUTAL_KILL))


async def fill(running: Tree, many: int = MANY, ref: Ref | None = None) -> None:
    ref = running.ref("stuck") if ref is None else ref
    await ref.tell(Put(0))
    while ref.statistics().depth:
        await trio.lowlevel.checkpoint()
    for n in range(1, many + 1):
        await ref.tell(Put(n))


async def events(journal: MemoryJournal) -> list[object]:
    return [each.event for each in await journal.read(0, 10 * MANY)]


async def dead(journal: MemoryJournal) -> int:
    return sum(isinstance(event, DeadLettered) for event in await events(journal))


def numbers(rows: Sequence[DeadRow]) -> list[int]:
    return [json.loads(row.body)["n"] for row in reversed(rows)]


@pytest.mark.parametrize("durability", [MESSAGE, VOLATILE], ids=["message", "volatile"])
async def test_others_have_turns_between_them(durability: Durability) -> None:
    journal = MemoryJournal()
    async with open_tree(stuck(durability), journal=journal) as running:
        await fill(running)
        steps = list[int]()
        before = await dead(journal)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(running.supervisor().terminate_child, "stuck")
            while sum(steps) < MANY:
                now = await dead(journal)
                steps.append(now - before)
                before = now
        assert max(steps) <= 2 * AT_ONCE, steps  # the first few are given up with the end itself


async def test_few_are_dead_letters_when_its_end_is_known() -> None:
    journal = MemoryJournal()
    async with open_tree(stuck(), journal=journal) as running:
        await fill(running, 10)
        await running.supervisor().terminate_child("stuck")
        assert await dead(journal) == 11


async def test_whoever_asks_for_dead_letters_gets_all_of_them_in_their_order() -> None:
    async with open_tree(stuck(), journal=MemoryJournal()) as running:
        await fill(running)
        await running.supervisor().terminate_child("stuck")
        assert numbers(await running.dead_letters(limit=2 * MANY)) == list(range(MANY + 1))


async def test_one_that_is_about_to_be_a_dead_letter_can_be_replayed() -> None:
    async with open_tree(stuck(kind=Taker), journal=MemoryJournal()) as running:
        slot, ref, supervisor = slot_of(running, "stuck"), running.ref("stuck"), running.supervisor()
        slot.pause("test")
        for n in range(MANY):
            await ref.tell(Put(n))
        last = [item.id for item in slot if isinstance(item, Envelope)][-1]
        await supervisor.terminate_child("stuck")
        slot.resume("test")
        await supervisor.restart_child("stuck")
        await running.replay(last)
        assert await ref.ask(Asked(0)) == 1


async def test_whoever_begins_in_its_place_gets_none_of_them(tmp_path: File) -> None:
    file = tmp_path / "tree.db"
    async with open_tree(stuck(), journal=file) as running:
        await fill(running)
    async with open_tree(stuck(), journal=file) as running:  # which finds them on disk
        supervisor = running.supervisor()
        await supervisor.terminate_child("stuck")
        await supervisor.delete_child("stuck")
        await supervisor.start_child(child(Taker, id="stuck", mailbox=MailboxSpec(capacity=MANY)))
        assert await running.ref("stuck").ask(Asked(0)) == 0
        assert len(await running.dead_letters(limit=2 * MANY)) == MANY + 1
    with JournalFile.open(file) as reading:
        told = [each.event.message for each in reading.records(0, 10 * MANY) if isinstance(each.event, DeadLettered)]
    assert len(told) == len(set(told)) == MANY + 1


@pytest.mark.parametrize("kind", ["static", "dynamic", "below"])
async def test_others_have_turns_before_somebody_begins_in_its_place(kind: str) -> None:
    journal = MemoryJournal()
    stuck_one = child(Stuck, id="stuck", mailbox=MailboxSpec(capacity=2 * MANY), shutdown=BRUTAL_KILL)
    one = tree(stuck_one, id="above") if kind == "below" else stuck_one
    blueprint = tree(one, strategy=Strategy.DYNAMIC) if kind == "dynamic" else tree(one)
    async with open_tree(blueprint, journal=journal) as running:
        supervisor, id = running.supervisor(), "above" if kind == "below" else "stuck"
        if kind == "dynamic":
            await supervisor.start_dynamic(id=id)
        ref = running.ref("above/stuck" if kind == "below" else id)
        await fill(running, ref=ref)
        before, steps = await dead(journal), list[int]()

        async def exchange() -> None:
            if kind == "dynamic":
                await supervisor.terminate_dynamic(id)
                await supervisor.start_dynamic(id=id)
            else:
                await supervisor.terminate_child(id)
                await supervisor.delete_child(id)
                await supervisor.start_child(one)
            assert await dead(journal) == MANY + 1

        async with trio.open_nursery() as nursery:
            nursery.start_soon(exchange)
            while sum(steps) < MANY:
                now = await dead(journal)
                steps.append(now - before)
                before = now
        assert max(steps) <= 2 * AT_ONCE, steps
        assert ref.statistics().depth == 0


@pytest.mark.parametrize("ends", ["in order", "cancelled", "not stopped before"])
@pytest.mark.parametrize("durability", [MESSAGE, VOLATILE], ids=["message", "volatile"])
async def test_those_that_are_left_are_given_up_before_the_end_of_the_tree(durability: Durability, ends: str) -> None:
    journal = MemoryJournal()
    stopped = ends != "not stopped before"
    with trio.CancelScope() as scope:
        async with open_tree(stuck(durability), journal=journal) as running:
            await fill(running)
            if stopped:
                await running.supervisor().terminate_child("stuck")
            if ends == "cancelled":
                scope.cancel()
    told = await events(journal)
    assert isinstance(told[-1], TreeClosed)
    given_up = MANY + 1 if stopped or durability == VOLATILE else 0  # the others are for the next process
    assert sum(isinstance(event, DeadLettered) for event in told) == given_up


async def test_each_asker_is_told() -> None:
    told = list[int]()

    async def ask(ref: Ref, n: int) -> None:
        with pytest.raises(AgentStopped):
            await ref.ask(Asked(n), within=600)
        told.append(n)

    async with open_tree(stuck(VOLATILE), journal=MemoryJournal()) as running:
        ref = running.ref("stuck")
        await ref.tell(Put(0))
        async with trio.open_nursery() as nursery:
            for n in range(MANY):
                nursery.start_soon(ask, ref, n)
            await trio.testing.wait_all_tasks_blocked()
            await running.supervisor().terminate_child("stuck")
    assert sorted(told) == list(range(MANY))


async def test_what_ends_together_shares_what_is_given_up_at_once() -> None:
    given_up = list[object]()
    timers = Timers()
    left = Leftovers(timers, trio.current_time)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(timers.run)
        for n in range(10):
            left.add(Path(f"a{n}"), [n] * 20, given_up.append)
        assert len(given_up) == AT_ONCE
        await left.gone()
        nursery.cancel_scope.cancel()
    assert given_up == [n for n in range(10) for _ in range(20)]


@pytest.mark.parametrize("many", [AT_ONCE, AT_ONCE + 1, 2 * AT_ONCE, MANY])
@pytest.mark.parametrize("turns", [0, 1, 20])
async def test_those_that_come_later_are_given_up_as_well(many: int, turns: int) -> None:
    """The last slice of the first ones left less room than a whole one, and nobody came for the next ones."""
    given_up = list[object]()
    timers = Timers()
    left = Leftovers(timers, trio.current_time)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(timers.run)
        for each in range(1, 5):
            left.add(Path("a"), [each] * many, given_up.append)
            if each % 2:
                with trio.fail_after(1):
                    await left.gone()
                assert len(given_up) == each * many
            for _ in range(turns):
                await trio.lowlevel.checkpoint()
        with trio.fail_after(1):
            await left.gone()
        nursery.cancel_scope.cancel()
    assert given_up == [each for each in range(1, 5) for _ in range(many)]


async def test_what_waited_for_a_second_one_becomes_dead_letters_too() -> None:
    journal = MemoryJournal()
    async with open_tree(stuck(), journal=journal) as running:
        for times in range(1, 4):
            await fill(running)
            await running.supervisor().terminate_child("stuck")
            with trio.fail_after(60):
                await running.dead_letters(limit=1)
            assert await dead(journal) == times * (MANY + 1)
            await running.supervisor().restart_child("stuck")


async def test_all_at_one_place_can_be_given_up_now() -> None:
    given_up = list[object]()
    left = Leftovers(Timers(), trio.current_time)
    for path in ("a", "b", "a"):
        left.add(Path(path), [path] * MANY, given_up.append)
    left.finish(Path("a"))
    assert given_up.count("a") == 2 * MANY
    left.finish(Path("b"))
    assert given_up.count("b") == MANY
    with trio.testing.assert_no_checkpoints():
        await left.gone()


async def test_a_slice_ends_when_it_has_taken_long() -> None:
    now, given_up = 0.0, list[object]()

    def slow(item: object) -> None:
        nonlocal now
        given_up.append(item)
        now += 0.0015

    timers = Timers()
    left = Leftovers(timers, lambda: now)
    left.add(Path("a"), list(range(AT_ONCE + 10)), slow)
    steps = [len(given_up)]
    assert steps == [14]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(timers.run)
        while len(given_up) < AT_ONCE + 10:
            await trio.lowlevel.checkpoint()
            steps.append(len(given_up))
        nursery.cancel_scope.cancel()
    assert max(after - before for before, after in pairwise(steps)) in (2, 4)  # one slice, or two between two looks


@pytest.mark.parametrize("later", range(1, 8))
async def test_a_process_that_stands_still_goes_on_with_them(later: int) -> None:
    """A slice that began and was over before its first one was the last one."""
    looks, given_up = 0, list[object]()

    def now() -> float:
        nonlocal looks
        looks += 1
        return float((looks >= 3) + (looks >= 3 + later))  # it stands still for a second twice

    timers = Timers()
    left = Leftovers(timers, now)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(timers.run)
        left.add(Path("a"), list(range(AT_ONCE)), given_up.append)
        with trio.fail_after(1):
            await left.gone()
        nursery.cancel_scope.cancel()
    assert given_up == list(range(AT_ONCE))


async def test_the_end_itself_gives_up_few_of_those_that_take_long() -> None:
    now, given_up = 0.0, list[object]()

    def slow(item: object) -> None:
        nonlocal now
        given_up.append(item)
        now += 0.0045

    left = Leftovers(Timers(), lambda: now)
    for path in ("a", "b"):  # they end together
        left.add(Path(path), [path] * AT_ONCE, slow)
    assert given_up == ["a"] * 5
    await left.rest()
    assert given_up == ["a"] * AT_ONCE + ["b"] * AT_ONCE


@pytest.mark.parametrize("many", [3, MANY])
async def test_one_that_cannot_be_stored_is_given_up_by_name(many: int) -> None:
    """Of a mailbox in memory nobody has looked at whether it can be; the tree ended over that."""
    wrong: Any = "no number"
    journal = MemoryJournal()
    async with open_tree(stuck(Checkpointed(messages=5)), journal=journal) as running:
        await fill(running, 0)
        for _ in range(many):
            await running.ref("stuck").tell(Put(wrong))
        await running.supervisor().terminate_child("stuck")
        assert len(await running.dead_letters()) == 1, "what was in hand"
    letters = [event for event in await events(journal) if isinstance(event, DeadLettered)]
    assert len(letters) == many + 1
    assert "it was terminated, and it is not kept: " in letters[-1].reason
    assert "Put.n cannot be stored: 'no number' (str) is not int" in letters[-1].reason
