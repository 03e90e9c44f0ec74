"""What stands at a path after a reload: a pool, a topic or an agent, and nothing of what stood there before."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio
import trio.testing
from attrs import frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.message import Request
from treewarden.agents.errors import NoSuchSlot
from treewarden.supervisor.core.spec import Spec
from treewarden.supervisor.journal.memory import MemoryJournal
from treewarden.topologies.child import child
from treewarden.topologies.core.blueprint import Blueprint
from treewarden.topologies.open import open_tree
from treewarden.topologies.partition import partitions
from treewarden.topologies.pool import pool
from treewarden.topologies.topic import topic
from treewarden.topologies.tree import tree

CLOCK = trio.testing.MockClock


@frozen
class Add:
    n: int


@frozen
class Total(Request[int]): ...


class Counter(Agent[int]):
    state = 0

    @handles
    def add(self, message: Add) -> None:
        self.state += message.n

    @handles
    def total(self, message: Total) -> int:
        return self.state


SHAPES: dict[str, tuple[Callable[[], Spec], tuple[str, ...]]] = {
    "agent": (lambda: child(Counter, id="x"), ("x",)),
    "pool": (lambda: pool(Counter, size=1, id="x"), ("x/0",)),
    "topic": (lambda: topic(Counter, id="x"), ("x/counter",)),
    "partitions": (lambda: partitions(tree(Counter, id="part"), 1, key="n", entry="counter", id="x"), ("x/0/counter",)),
    "supervisor": (lambda: tree(Counter, id="x"), ()),
}
"""What may stand at `x`, and which slots get what `x` is told."""
PAIRS = [(before, after) for before in SHAPES for after in SHAPES if before != after]


def with_(*specs: Spec) -> Blueprint:
    return tree(child(Counter, id="other"), *specs)


@pytest.mark.parametrize(("before", "after"), PAIRS)
async def test_what_is_told_reaches_what_stands_there_now(before: str, after: str, autojump_clock: CLOCK) -> None:
    (first, told), (second, tells) = SHAPES[before], SHAPES[after]
    async with open_tree(with_(first()), journal=MemoryJournal()) as running:
        held = running.ref("x") if told else None
        if held is not None:
            await held.tell(Add(1))
        await running.reload(with_(second()))
        if not tells:
            with pytest.raises(NoSuchSlot):
                running.ref("x")
            return
        before_it = [await running.ref(path).ask(Total()) for path in tells]
        for ref in (running.ref("x"), held or running.ref("x")):
            await ref.tell(Add(10))
        await trio.sleep(1)
        assert [await running.ref(path).ask(Total()) for path in tells] == [total + 20 for total in before_it]


@pytest.mark.parametrize("shape", [name for name, (_, told) in SHAPES.items() if told])
async def test_who_was_removed_can_be_told_nothing(shape: str, autojump_clock: CLOCK) -> None:
    """Also when it went with the supervisor above."""
    make, _ = SHAPES[shape]
    async with open_tree(with_(make(), tree(make(), id="desk")), journal=MemoryJournal()) as running:
        refs = [running.ref(path) for path in ("x", "desk/x")]
        for ref in refs:
            await ref.tell(Add(1))
        await running.reload(with_())
        for ref in refs:
            with pytest.raises(NoSuchSlot):
                await ref.tell(Add(1))
            with pytest.raises(NoSuchSlot):
                running.ref(ref.path)
