"""A drain in which something comes between: its supervisor ends, its caller is cancelled, its tree is forced."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
import trio.testing

from treewarden.agents.core.lifecycle import SlotState
from treewarden.agents.errors import SupervisorGone
from treewarden.supervisor.core.spec import Grace, Strategy
from treewarden.topologies.child import child
from treewarden.topologies.open import open_tree
from treewarden.topologies.tree import tree

from .drain_desk import Got, Item, Keeper

CLOCK = trio.testing.MockClock


async def test_a_drain_whose_supervisor_ends_meanwhile_says_so_once(autojump_clock: CLOCK) -> None:
    workers = tree(child(Keeper, shutdown=Grace(60)), id="workers", strategy=Strategy.DYNAMIC)
    async with open_tree(tree(workers)) as running:
        supervisor = running.supervisor("workers")
        for id in ("a", "b", "c"):
            await supervisor.start_dynamic(id=id)
            await running.ref(f"workers/{id}").tell(Item(-1))

        async def kill() -> None:
            await trio.sleep(10)
            assert running.kill("workers")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(kill)
            with pytest.raises(SupervisorGone):
                await running.drain("workers/a", within=5)


@pytest.mark.parametrize("path", ["/", "group", "group/keeper"])
async def test_cancelled_while_it_is_stopped_what_is_left_stays_on_disk(
    path: str, autojump_clock: CLOCK, tmp_path: Path
) -> None:
    """The stopping goes on, of all that was drained, and what waits there is no dead letter."""
    keeper = child(Keeper, shutdown=Grace(10))
    blueprint = tree(child(Keeper, id="first"), tree(keeper, id="group"))
    async with open_tree(blueprint, journal=tmp_path / "kept.db") as running:
        for n in (0, 1, 2):
            await running.ref("first").tell(Item(n))
            await running.ref("group/keeper").tell(Item(n))
        with trio.move_on_after(0.7) as limit:
            await running.drain(path, within=0.5)
        assert limit.cancelled_caught
        await trio.sleep(20)
        assert await running.dead_letters() == ()
        if path == "/":
            assert {slot.state for slot in running.snapshot()} == {SlotState.DOWN}
            await running.supervisor().restart_child("group")
        else:
            at, _, name = path.rpartition("/")
            await running.supervisor(at or "/").restart_child(name)
        assert await running.ref("group/keeper").ask(Got(), within=10) == (0, 1, 2)
    async with open_tree(blueprint, journal=tmp_path / "kept.db") as running:
        assert await running.ref("first").ask(Got(), within=10) == (0, 1, 2)


@pytest.mark.parametrize("path", ["/", "group"])
async def test_one_whose_tree_is_ended_by_force_meanwhile_says_so(path: str, autojump_clock: CLOCK) -> None:
    """To whoever waits for it outside of the tree's block, which nobody cancels."""
    keeper = child(Keeper, shutdown=Grace(60))
    blueprint = tree(child(Keeper, id="first"), tree(keeper, id="group"))
    async with trio.open_nursery() as outside, open_tree(blueprint) as running:

        async def drain() -> None:
            with pytest.raises(SupervisorGone):
                await running.drain(path, within=1)

        await running.ref("group/keeper").tell(Item(-1))
        outside.start_soon(drain)
        await trio.sleep(5)
        running.force()
