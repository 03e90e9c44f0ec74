"""Remedies in a tree that runs: a variant, an intake that stays closed after a restart, and holds that are lifted."""

from __future__ import annotations

import pytest
import trio
import trio.testing
from attrs import frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.lifecycle import SlotState
from treewarden.agents.core.message import Request
from treewarden.agents.errors import AgentFailed, AgentStopped
from treewarden.supervisor import Rule, table
from treewarden.supervisor.core.action import Action, FallBack, Hold, Restart, Throttle
from treewarden.supervisor.core.case import Case
from treewarden.supervisor.core.guards import Declined, Option
from treewarden.supervisor.core.symptom import Symptom
from treewarden.topologies.child import child
from treewarden.topologies.open import open_tree
from treewarden.topologies.running import Tree
from treewarden.topologies.tree import tree


@frozen
class Add(Request[int]):
    """Add one."""


class New(Agent[int]):
    state = 0

    @handles
    async def add(self, message: Add) -> int:
        self.state += 1
        if self.state > 2:
            raise TypeError("the new code")
        return self.state


class Old(Agent[int]):
    state = 0

    @handles
    async def add(self, message: Add) -> int:
        self.state += 1
        return self.state


@frozen
class Does:
    """Answers whatever comes with one action."""

    action: Action
    name: str = "does"
    counts_alike: bool = True
    escalates: bool = True
    stable_after: float | None = None

    def propose(self, case: Case) -> tuple[Option, ...]:
        return (Option(self.action, "rule", "because"),)

    def declined(self, case: Case) -> tuple[Declined, ...]:
        return ()


async def added(running: Tree) -> int | None:
    try:
        return await running.ref("new").ask(Add(), within=1000)
    except AgentFailed:
        return None


async def test_a_variant_goes_on_with_the_state_until_a_reload(autojump_clock: trio.testing.MockClock) -> None:
    spec = tree(child(New, variants={"old": Old}), policy=Does(FallBack("old")))
    async with open_tree(spec) as running:
        assert [await added(running) for _ in range(5)] == [1, 2, None, 3, 4]
        await running.reload(tree(child(New, variants={"old": Old}), policy=Does(Hold("?"))))
        assert await added(running) is None, "the new code again"


async def test_who_has_ended_is_started_with_its_intake_closed(autojump_clock: trio.testing.MockClock) -> None:
    async with open_tree(tree(New, policy=Does(Throttle(30.0)))) as running:
        assert [await added(running) for _ in range(3)] == [1, 2, None]
        (slot,) = running.snapshot()
        assert (slot.incarnation, slot.state) == (2, "up")
        begun = trio.current_time()
        assert await added(running) is None
        assert trio.current_time() - begun >= 30


async def test_a_living_agent_that_was_held_works_again_once_it_is_resumed(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with open_tree(tree(Old, id="t", policy=Does(Hold("what now?")))) as running:
        running.signal("old", {"kind": "odd", "severity": 0.9})
        await trio.sleep(1)
        with trio.move_on_after(5) as limit:
            await running.ref("old").ask(Add(), within=100)
        assert limit.cancelled_caught, "it takes nothing while it is held"
        running.resume("old", by="ada")
        assert await running.ref("old").ask(Add(), within=100) == 2, "the ask that was given up was handled too"


async def test_changed_code_is_seen(autojump_clock: trio.testing.MockClock) -> None:
    seen: list[bool] = []

    @frozen
    class Sees(Does):
        def propose(self, case: Case) -> tuple[Option, ...]:
            seen.append(case.context.shows(Symptom.CODE_CHANGED))
            return super().propose(case)

    async with open_tree(tree(New, policy=Sees(Restart()))) as running:
        for _ in range(3):
            await added(running)
        running.deployed("new", version="2")
        await added(running)
        await trio.sleep(700)
        await added(running)
    assert seen == [False, True, False]


async def test_a_rule_may_fall_back(autojump_clock: trio.testing.MockClock) -> None:
    spec = tree(child(New, variants={"old": Old}), policy=table([Rule("crash", "fall_back")]))
    async with open_tree(spec) as running:
        assert [await added(running) for _ in range(5)] == [1, 2, None, 3, 4]


async def test_one_that_is_stopped_when_it_is_down_says_so_to_whoever_asks(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Each ask waited as long as it would: nobody had said that nobody will live there."""
    spec = tree(child(New), policy=table([Rule("crash", "stop")]))
    async with open_tree(spec) as running:
        assert [await added(running) for _ in range(3)] == [1, 2, None]
        with pytest.raises(AgentStopped, match="it was stopped"):
            await running.ref("new").ask(Add(), within=1000)
        assert running.snapshot()[0].state is SlotState.DOWN
        await running.supervisor().restart_child("new")
        assert await added(running) is None, "with the state it had, of which it dies"
