"""Registered actions in a tree that runs: limits, results as facts, and a loop that does not wait for them."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
import trio
import trio.testing
from attrs import frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.message import Request
from treewarden.agents.errors import AgentFailed, NoSuchAction
from treewarden.supervisor.core.event import ActionPerformed, Decided, Event, IncidentClosed, OutcomeObserved
from treewarden.supervisor.core.named import NamedAction
from treewarden.supervisor.core.rule_table import Rule
from treewarden.supervisor.core.spec import ChildSpec
from treewarden.supervisor.core.table import table
from treewarden.supervisor.journal.memory import MemoryJournal
from treewarden.supervisor.performing import Occasion
from treewarden.topologies.child import child
from treewarden.topologies.open import open_tree
from treewarden.topologies.running import Tree
from treewarden.topologies.tree import tree

from ..journals import FullDisk


@frozen
class Work(Request[int]):
    """Do something."""

    good: bool = True


class Till(Agent[int]):
    state = 0

    @handles
    async def work(self, message: Work) -> int:
        if not message.good:
            raise ValueError("cold cache")
        self.state += 1
        return self.state


class Calls:
    """What actions were called for."""

    def __init__(self) -> None:
        self.seen: list[Occasion] = []
        self.go_on = trio.Event()

    async def warm_up(self, occasion: Occasion) -> str:
        self.seen.append(occasion)
        return "3 shelves"

    async def fails(self, occasion: Occasion) -> None:
        self.seen.append(occasion)
        raise OSError("no shelf")

    async def hangs(self, occasion: Occasion) -> None:
        self.seen.append(occasion)
        await self.go_on.wait()


CRASHES = table([Rule("crash", "perform:warm_up")])


def opened(*children: ChildSpec, **options: Any) -> AbstractAsyncContextManager[Tree]:
    return open_tree(tree(*children, **options))


async def so_far(running: Tree) -> list[Event]:
    """Every event up to now."""
    await trio.sleep(0.001)
    told: list[Event] = []
    async with running.events() as records:
        async for record in records:
            told.append(record.event)
            if record.seq == running.head:
                return told
    raise AssertionError("the journal ended")


async def crash(running: Tree) -> None:
    with pytest.raises(AgentFailed):
        await running.ref("till").ask(Work(good=False))


def of_kind(events: list[Event], kind: type) -> list[Any]:
    return [event for event in events if type(event) is kind]


async def test_a_child_that_died_lives_again_once_its_action_has_succeeded(
    autojump_clock: trio.testing.MockClock,
) -> None:
    calls = Calls()
    till = child(Till, actions={"warm_up": calls.warm_up})
    async with opened(till, policy=CRASHES) as running:
        await crash(running)
        assert await running.ref("till").ask(Work()) == 1
        await trio.sleep(20)
        told = await so_far(running)
    (occasion,) = calls.seen
    assert (occasion.path, occasion.action, occasion.down) == ("till", "warm_up", True)
    assert "cold cache" in occasion.reason
    (decided,) = of_kind(told, Decided)
    assert (decided.action, decided.details["name"]) == ("warm_up", "warm_up")
    (fact,) = of_kind(told, ActionPerformed)
    assert (fact.outcome, fact.text, fact.incident) == ("succeeded", "3 shelves", decided.incident)
    assert [(one.action, one.outcome) for one in of_kind(told, OutcomeObserved)] == [("warm_up", "fixed")]
    assert len(of_kind(told, IncidentClosed)) == 1


@pytest.mark.parametrize("name", ["fails", "hangs"])
async def test_one_that_does_not_succeed_is_an_attempt_that_failed(
    name: str, autojump_clock: trio.testing.MockClock
) -> None:
    calls = Calls()
    till = child(Till, actions={"warm_up": NamedAction(getattr(calls, name), within=3.0)})
    async with opened(till, policy=CRASHES) as running:
        await crash(running)
        assert await running.ref("till").ask(Work()) == 1
        await trio.sleep(20)
        told = await so_far(running)
    (fact,) = of_kind(told, ActionPerformed)
    if name == "hangs":
        assert (fact.outcome, fact.after, fact.text) == ("timed_out", 3.0, "it took longer than 3 s")
    else:
        assert fact.outcome == "failed"
        assert fact.failure is not None
        assert fact.failure.text == "no shelf"
    assert [(one.action, one.outcome) for one in of_kind(told, OutcomeObserved)] == [
        ("warm_up", "failed"),
        ("restart", "fixed"),
    ]
    assert len(of_kind(told, IncidentClosed)) == 1, "what the failure led to belongs to the same incident"


async def test_the_loop_goes_on_while_one_runs(autojump_clock: trio.testing.MockClock) -> None:
    calls = Calls()
    till = child(Till, actions={"warm_up": calls.hangs})
    async with opened(till, child(Till, id="other"), policy=CRASHES) as running:
        await crash(running)
        await trio.sleep(1)
        (slot, other) = running.snapshot()
        assert (slot.state, slot.note, other.state) == ("restarting", "waits for warm_up", "up")
        await running.supervisor().terminate_child("other")
        calls.go_on.set()
        assert await running.ref("till").ask(Work()) == 1
        told = await so_far(running)
    assert [fact.outcome for fact in of_kind(told, ActionPerformed)] == ["succeeded"]


async def test_a_living_one_is_helped_beside_its_work(autojump_clock: trio.testing.MockClock) -> None:
    calls = Calls()
    policy = table([Rule("reported:cold", "perform:warm_up"), Rule("action_failed", "hold")])
    till = child(Till, actions={"warm_up": NamedAction(calls.hangs, within=30.0)})
    async with opened(till, policy=policy) as running:
        running.signal("till", {"kind": "cold", "severity": 0.4})
        await trio.sleep(1)
        running.signal("till", {"kind": "cold", "severity": 0.5})
        await trio.sleep(1)
        assert await running.ref("till").ask(Work()) == 1
        assert len(calls.seen) == 1, "one at a time"
        assert not calls.seen[0].down
        await trio.sleep(30)
        (slot,) = running.snapshot()
        assert slot.note.startswith("held: ")
        told = await so_far(running)
    assert [(one.action, one.outcome) for one in of_kind(told, OutcomeObserved)][-1] == ("warm_up", "failed")


async def test_the_trees_actions_are_there_for_everybody_below(autojump_clock: trio.testing.MockClock) -> None:
    calls = Calls()
    shop = tree(child(Till), id="shop", actions={"check": calls.fails})
    async with opened(shop, actions={"warm_up": calls.warm_up, "check": calls.warm_up}) as running:  # pyright: ignore[reportArgumentType]
        fact = await running.perform("shop/till", "warm_up", by="ada")
        assert (fact.outcome, fact.text, fact.by, fact.incident) == ("succeeded", "3 shelves", "ada", "")
        assert (await running.perform("shop/till", "check")).outcome == "failed", "the nearest one counts"
        assert (await running.perform("shop", "check")).outcome == "failed", "a supervisor is one of its own below it"
        with pytest.raises(NoSuchAction, match="no action is called 'warmup'; there is check, warm_up"):
            await running.perform("shop/till", "warmup")


async def test_asked_for_it_changes_no_incident(autojump_clock: trio.testing.MockClock) -> None:
    calls = Calls()
    till = child(Till, actions={"check": NamedAction(calls.hangs, within=2.0)})
    async with opened(till) as running:
        with trio.move_on_after(0.5):
            await running.perform("till", "check")
        fact = await running.perform("till", "check")
        assert (fact.outcome, fact.after) == ("timed_out", 2.0), "one that was given up goes on, and is joined"
        assert of_kind(await so_far(running), Decided) == []


async def test_it_ends_with_its_supervisor(autojump_clock: trio.testing.MockClock) -> None:
    calls = Calls()
    async with open_tree(tree(child(Till, actions={"check": calls.hangs}))) as running:
        async with trio.open_nursery() as nursery:
            facts: list[ActionPerformed] = []

            async def ask() -> None:
                facts.append(await running.perform("till", "check"))

            nursery.start_soon(ask)
            await trio.testing.wait_all_tasks_blocked()
            running.stop()
        assert [fact.outcome for fact in facts] == ["cancelled"]


async def test_a_person_need_not_wait_for_it(autojump_clock: trio.testing.MockClock) -> None:
    calls = Calls()
    till = child(Till, actions={"warm_up": calls.hangs})
    async with opened(till, policy=CRASHES) as running:
        await crash(running)
        await trio.sleep(1)
        running.resume("till", by="ada")
        assert await running.ref("till").ask(Work()) == 1
        (slot,) = running.snapshot()
        assert slot.incarnation == 2
        calls.go_on.set()
        await trio.sleep(1)
        (slot,) = running.snapshot()
        assert slot.incarnation == 2, "its end starts nobody who lives already"


@pytest.mark.parametrize("needs", [0.0, 1.0])
async def test_what_can_be_taken_back_does_not_wait_for_a_full_disk(
    needs: float, autojump_clock: trio.testing.MockClock
) -> None:
    calls, disk = Calls(), FullDisk()
    warm = NamedAction(calls.warm_up, needs=needs, within=60)
    async with open_tree(tree(child(Till, actions={"warm_up": warm})), journal=disk) as running:
        disk.full = True
        async with trio.open_nursery() as nursery:
            nursery.start_soon(running.perform, "till", "warm_up")
            await trio.sleep(10)
            assert len(calls.seen) == (0 if needs else 1)
            disk.full = False
        assert len(calls.seen) == 1


async def test_an_action_begins_when_its_decision_is_on_disk(autojump_clock: trio.testing.MockClock) -> None:
    """Else a process that is killed leaves what it has done, and no word of why."""
    journal, kept = MemoryJournal(), list[str]()

    async def look(occasion: Occasion) -> None:
        kept.extend(type(record.event).__name__ for record in await journal.read(limit=1000))

    till = child(Till, actions={"warm_up": NamedAction(look)})
    async with open_tree(tree(till, policy=CRASHES), journal=journal) as running:
        with pytest.raises(AgentFailed):
            await running.ref("till").ask(Work(good=False))
        await running.ref("till").ask(Work())
    assert "Decided" in kept


async def test_of_a_long_answer_the_beginning_is_kept(autojump_clock: trio.testing.MockClock) -> None:
    async def long(occasion: Occasion) -> str:
        return "\udcff" + "x" * 1_000_000

    async with opened(child(Till, actions={"long": NamedAction(long)})) as running:
        told = await running.perform("till", "long")
        assert told.text == "\\udcff" + "x" * 1999
        assert of_kind(await so_far(running), ActionPerformed) == [told]
