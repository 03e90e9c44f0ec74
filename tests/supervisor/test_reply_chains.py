"""Chains of asks through several trees, where whoever asks gives up sooner than the others are done."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

import pytest
import trio
from attrs import frozen
from trio.testing import MockClock

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.message import Request
from treewarden.agents.core.path import Path
from treewarden.agents.errors import AskTimeout
from treewarden.agents.ref import Ref
from treewarden.supervisor.core.spec import ChildSpec
from treewarden.supervisor.journal.memory import MemoryJournal
from treewarden.topologies.child import child
from treewarden.topologies.open import open_tree
from treewarden.topologies.tree import tree


@frozen
class Pass(Request[int]):
    """Ask the first of these to pass it on to the others, for so long each; the last one works for three seconds."""

    to: tuple[str, ...]
    limits: tuple[float, ...] = ()


class Link(Agent[int]):
    state = 0

    def __init__(self, refs: dict[str, Ref]) -> None:
        self.refs = refs

    @handles
    async def on(self, message: Pass) -> int:
        if message.to:
            with suppress(AskTimeout):
                next, *others = message.to
                await self.refs[next].ask(Pass(tuple(others), message.limits[1:]), within=message.limits[0])
        else:
            await trio.sleep(3)
        self.state += 1
        return self.state


class Late(Link):
    """It takes its time before it asks, and fails when it has the reply."""

    @handles
    async def on(self, message: Pass) -> int:
        await trio.sleep(2)
        await super().on(message)
        raise ValueError("too late, and broken")


class Trees:
    """Several of them in one process, and who lives there."""

    def __init__(self) -> None:
        self.refs: dict[str, Ref] = {}
        self.journals: dict[tuple[str, ...], MemoryJournal] = {}

    @asynccontextmanager
    async def open(self, *names: str) -> AsyncGenerator[None]:
        """The next tree; of names, `late` is a `Late`."""
        journal = self.journals[names] = MemoryJournal()
        async with open_tree(tree(*map(self._link, names)), journal=journal) as running:
            self.refs.update({name: running.ref(name) for name in names})
            yield

    def _link(self, name: str) -> ChildSpec:
        return child(Late if name == "late" else Link, id=name, args={"refs": self.refs})

    async def kept(self) -> int:
        """How many replies all journals keep."""
        return sum(
            [
                len((await journal.recover(Path(name))).replies)
                for names, journal in self.journals.items()
                for name in names
            ]
        )


@pytest.mark.parametrize("limits", [(1, 9, 9), (9, 1, 9), (9, 9, 1), (1, 2, 9), (2, 1, 9), (1, 1, 1), (9, 9, 9)])
async def test_a_chain_that_comes_back_may_be_given_up_anywhere(
    limits: tuple[float, ...], autojump_clock: MockClock
) -> None:
    trees = Trees()
    async with trees.open("d"), trees.open("b"), trees.open("a", "c"):
        await trees.refs["a"].tell(Pass(("b", "c", "d"), limits))
        await trio.sleep(30)
        assert await trees.refs["a"].ask(Pass(())) == 2
        assert await trees.kept() == 0


@pytest.mark.parametrize("of", ["another tree", "this tree"])
async def test_who_asks_on_when_its_asker_has_settled_and_fails_leaves_nothing(
    of: str, autojump_clock: MockClock
) -> None:
    trees = Trees()
    with_it, alone = (("late",), ("a",)) if of == "another tree" else ((), ("a", "late"))
    async with trees.open("d"), trees.open(*with_it), trees.open(*alone):
        for _ in range(2):
            await trees.refs["a"].tell(Pass(("late", "d"), (1, 9)))
            await trio.sleep(30)
            assert await trees.kept() == 0
