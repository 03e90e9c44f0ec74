"""A pool that shares a queue is reloaded to code that cannot read what waits there, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from attrs import evolve

from treewarden.agents.core.durability import MailboxSpec
from treewarden.agents.core.message import Priority
from treewarden.supervisor import Rule, table
from treewarden.supervisor.core.spec import SupervisorSpec
from treewarden.topologies.child import child
from treewarden.topologies.open import open_tree
from treewarden.topologies.pool import pool
from treewarden.topologies.tree import tree

from ..agents.trees import slot_of
from ..journals import on_disk
from .generations import FIRST, WITH_UPCAST, code

CLOCK = trio.testing.MockClock
SLOW_CENTS = "import trio\n" + WITH_UPCAST.replace(
    "        self.state", "        await trio.sleep(1)\n        self.state", 1
)
UNLUCKY = FIRST.replace(
    "        self.state", "        if message.amount == 13:\n            raise ValueError\n        self.state", 1
)
STARTS = """
    async def on_start(self) -> None:
        pass
"""


def desks(module: Any, size: int) -> SupervisorSpec:
    return tree(pool(child(module.Desk), size=size, route="shared", id="desk"))


async def test_the_queue_of_a_pool_whose_workers_are_held_is_brought_up_for_those_who_can_read_it(
    tmp_path: Path, autojump_clock: CLOCK
) -> None:
    """It was taken for brought up by code that could read neither it nor the states: a dead letter for the next."""
    slow, newer, older = code(SLOW_CENTS), code(WITH_UPCAST), code(FIRST)

    async with open_tree(desks(slow, 1), journal=on_disk(tmp_path / "tree.db")) as running:
        desk = running.ref("desk")
        for cents in (1, 20, 300):
            await desk.tell(slow.Add(cents))
        await trio.sleep(1.5)
        await running.reload(desks(older, 1))
        await trio.testing.wait_all_tasks_blocked()
        assert [slot.held for slot in running.snapshot()] == [False, True]
        await running.reload(desks(newer, 1))
        assert await desk.ask(newer.Look(), priority=Priority.LOW) == ("Tally", 321)
        assert desk.statistics().dropped_kinds == {}


@pytest.mark.parametrize("asleep", [False, True])
async def test_a_pool_that_cannot_read_what_waits_in_its_queue_is_held(
    asleep: bool, tmp_path: Path, autojump_clock: CLOCK
) -> None:
    """A worker that was new, or had no state, was handed it, and made dead letters of it."""
    slow, newer, older = code(SLOW_CENTS), code(WITH_UPCAST), code(FIRST if asleep else FIRST + STARTS)

    async with open_tree(desks(slow, 1), journal=on_disk(tmp_path / "tree.db")) as running:
        desk = running.ref("desk")
        for cents in (1, 20, 300):
            await desk.tell(slow.Add(cents))
        await trio.sleep(1.5)
        await running.reload(desks(older, 3))
        await trio.sleep(1)
        for path in ("desk/0", "desk/2"):  # who may live, as far as that worker goes
            running.resume(path)
        await desk.tell(older.Add(4))
        await running.reload(desks(older, 4))
        await trio.sleep(1)
        assert [slot.held for slot in running.snapshot()] == [False, True, True, True, True]
        assert "message" in running.snapshot()[4].note
        await running.reload(desks(newer, 3))
        await trio.sleep(1)
        assert await running.dead_letters() == ()
        states: list[Any] = [slot_of(running, f"desk/{number}").state for number in range(3)]
        assert sum([state.total for state in states]) == 721


@pytest.mark.parametrize("released", [False, True])
async def test_a_variant_that_does_not_know_what_the_others_handle_is_held(
    released: bool, tmp_path: Path, autojump_clock: CLOCK
) -> None:
    """It was handed what waited for all of them, and made dead letters of it."""
    unlucky, newer, lucky = code(UNLUCKY), code(WITH_UPCAST), code(FIRST)
    desk = child(unlucky.Desk, variants={"newer": newer.Desk}, mailbox=MailboxSpec(deliveries=9))
    policy = table([Rule("crash", "fall_back")])
    falls_back = tree(pool(desk, size=2, route="shared", id="desk", policy=policy))
    async with open_tree(falls_back, journal=on_disk(tmp_path / "tree.db")) as running:
        for amount in (1, 13, 20, 300):
            await running.ref("desk").tell(unlucky.Add(amount))
        await trio.sleep(10)
        assert [slot.held for slot in running.snapshot()] == [False, True, True]
        assert "it would be handed desk:Add" in running.snapshot()[1].note
        running.resume("desk/0")
        await trio.sleep(1)
        now = evolve(desk, agent=newer.Desk, variants={}) if released else child(lucky.Desk)
        await running.reload(tree(pool(now, size=2, route="shared", id="desk", policy=policy)))
        await trio.sleep(1)
        assert await running.dead_letters() == ()
        states: list[Any] = [slot_of(running, f"desk/{number}").state for number in range(2)]
        assert sum([state.total for state in states]) == (33_400 if released else 334)
