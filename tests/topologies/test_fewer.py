"""Pools and partitions that become fewer: what waited for those who are no more is put back to those who are left."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio
import trio.testing
from attrs import frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.errors import ReplayRefused
from treewarden.topologies.core.blueprint import Blueprint
from treewarden.topologies.open import open_tree
from treewarden.topologies.partition import partitions
from treewarden.topologies.pool import pool
from treewarden.topologies.tree import tree

CLOCK = trio.testing.MockClock


@frozen
class Item:
    n: int
    key: str


class Keeper(Agent[None]):
    """Takes what it is told, once the gate is open."""

    state = None
    gate: trio.Event
    seen: list[int]

    @handles
    async def item(self, message: Item) -> None:
        await Keeper.gate.wait()
        Keeper.seen.append(message.n)


@pytest.fixture(autouse=True)
def closed() -> None:
    Keeper.seen = []


def workers(count: int) -> Blueprint:
    return pool(Keeper, size=count, id="shelf")


def workers_by_key(count: int) -> Blueprint:
    return pool(Keeper, size=count, route="by_key", key="key", id="shelf")


def parts(count: int) -> Blueprint:
    return partitions(Keeper, count, key="key", id="shelf")


def parts_of_trees(count: int) -> Blueprint:
    return partitions(tree(Keeper, id="part"), count, key="key", entry="keeper", id="shelf")


def parts_of_pools(count: int) -> Blueprint:
    return partitions(tree(pool(Keeper, size=2, id="pool"), id="part"), count, key="key", entry="pool", id="shelf")


def pools_in_parts(count: int) -> Blueprint:
    return partitions(tree(pool(Keeper, size=count, id="pool"), id="part"), 2, key="key", entry="pool", id="shelf")


@pytest.mark.parametrize("shelf", [workers, workers_by_key, parts, parts_of_trees, parts_of_pools, pools_in_parts])
async def test_who_is_left_gets_what_is_put_back(shelf: Callable[[int], Blueprint], autojump_clock: CLOCK) -> None:
    Keeper.gate = trio.Event()
    async with open_tree(tree(shelf(4))) as running:
        for n in range(40):
            await running.ref("shelf").tell(Item(n, f"k{n}"))
        await running.reload(tree(shelf(1)))
        await trio.sleep(30)
        letters = await running.dead_letters("shelf")
        assert letters
        Keeper.gate.set()
        for letter in letters:
            await running.replay(letter.id)
        assert not await running.dead_letters()
        await running.drain()
    assert sorted(Keeper.seen) == list(range(40))


async def test_it_stays_a_dead_letter_where_nobody_can_take_its_place(autojump_clock: CLOCK) -> None:
    Keeper.gate = trio.Event()
    told = pool(Keeper, size=3, route="broadcast", id="shelf"), pool(Keeper, size=2, route="broadcast", id="shelf")
    async with open_tree(tree(told[0])) as running:
        await running.ref("shelf").tell(Item(1, "k"))
        await running.reload(tree(told[1]))
        await trio.sleep(30)
        (letter,) = await running.dead_letters("shelf")
        with pytest.raises(ReplayRefused, match="shelf tells each of its workers"):
            await running.replay(letter.id)
        await running.reload(tree())
        with pytest.raises(ReplayRefused, match="the tree has no such slot any more"):
            await running.replay(letter.id)
        Keeper.gate.set()
