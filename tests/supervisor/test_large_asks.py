"""A large Request that a handler asks gets its name in slices, before it leaves: others have turns meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from attrs import field, frozen
from trio.testing import MockClock, wait_all_tasks_blocked

from treewarden.agents import Agent, Request, handles
from treewarden.supervisor.core.spec import NO_BACKOFF
from treewarden.supervisor.journal.codec import Codec
from treewarden.supervisor.journal.slices import at_once
from treewarden.topologies import child, open_tree, tree
from treewarden.topologies.core.blueprint import Blueprint
from treewarden.topologies.running import Tree

from ..journals import on_disk
from .clerks import MANY, short_slices, turns

__all__ = ["short_slices"]

pytestmark = pytest.mark.usefixtures("short_slices")

LINES = tuple((n,) * 7 for n in range(50))
TOTAL = sum(map(sum, LINES))


@frozen
class Weigh(Request[int]):
    lines: tuple[tuple[int, ...], ...] = ()
    facts: object = field(default=None, hash=False)


@frozen
class Order:
    lines: int


@frozen
class Ordered(Request[tuple[int, ...]]):
    pass


class Scales(Agent[int]):
    """Says what something weighs, and how often it was asked."""

    state = 0

    @handles
    def weigh(self, message: Weigh) -> int:
        self.state += 1
        return sum(map(sum, message.lines)) + 1_000_000 * self.state


class Desk(Agent[tuple[int, ...]]):
    """Fails where it is to, when it knows what its order weighs."""

    state = ()

    def __init__(self, fails: list[bool]) -> None:
        self.fails = fails

    @handles
    async def order(self, message: Order) -> None:
        weight = await self.ref("scales").ask(Weigh(LINES[: message.lines]))
        if self.fails:
            self.fails.clear()
            raise ValueError("again")
        self.state = (*self.state, weight)

    @handles
    def ordered(self, _: Ordered) -> tuple[int, ...]:
        return self.state


def desk(*fails: bool) -> Blueprint:
    return tree(child(Desk, args={"fails": list(fails)}, backoff=NO_BACKOFF), Scales, restarts=MANY)


async def test_others_have_turns_meanwhile(tmp_path: Path, autojump_clock: MockClock) -> None:
    async def turns_of(order: Order, running: Tree) -> int:
        seen = 0

        async def look() -> None:
            nonlocal seen
            while True:
                await trio.lowlevel.checkpoint()
                seen += 1

        before = await running.ref("desk").ask(Ordered())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(look)
            await running.ref("desk").tell(order)
            while await running.ref("desk").ask(Ordered()) == before:
                pass
            nursery.cancel_scope.cancel()
        return seen

    async with open_tree(desk(), journal=on_disk(tmp_path / "tree.db")) as running:
        small = await turns_of(Order(1), running)
        assert await turns_of(Order(50), running) - small >= len(LINES) // 2


async def test_a_handler_that_runs_again_gets_the_reply_that_it_had(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with open_tree(desk(True), journal=on_disk(tmp_path / "tree.db")) as running:
        await running.ref("desk").tell(Order(50))
        await wait_all_tasks_blocked()
        await trio.sleep(10)
        assert await running.ref("desk").ask(Ordered()) == (TOTAL + 1_000_000,)


@pytest.mark.parametrize("after", [0, 3, 10, 30])
async def test_killed_meanwhile_it_asks_again(after: int, tmp_path: Path, autojump_clock: MockClock) -> None:
    async with open_tree(desk(), journal=on_disk(tmp_path / "tree.db")) as running:
        await running.ref("desk").tell(Order(50))
        await turns(after)
        running.kill("desk")
        await trio.sleep(10)
        assert await running.ref("desk").ask(Ordered()) == (TOTAL + 1_000_000,)


@pytest.mark.parametrize(
    "value",
    [
        Weigh(),
        Weigh(LINES),
        Weigh(LINES * 100),
        Weigh(facts={"é": ["x" * 200_000, {"y": [1.5, None, True, 10**30] * 9000}], "z": None}),
    ],
    ids=["none", "some", "many", "facts"],
)
def test_it_is_the_name_that_it_had_at_once(value: Weigh) -> None:
    codec = Codec((Weigh,))
    kind, version, body = codec.encode(value)
    named = codec.name_of(value)
    assert at_once(codec.naming(value)) == named
    assert named.startswith(f"{kind}:{version}:")
    assert codec.name_of(Weigh((*value.lines, (1,)), value.facts)) != named
    assert body == codec.encode(value)[2]
