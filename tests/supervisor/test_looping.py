"""An agent that goes round in circles, in a tree that runs."""

from __future__ import annotations

import pytest
import trio
import trio.testing
from attrs import frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.loops import LoopLimit
from treewarden.agents.core.message import Request
from treewarden.agents.errors import AgentFailed, ConfigurationError
from treewarden.supervisor.core.event import Decided, SignalNoted
from treewarden.topologies.child import child
from treewarden.topologies.open import open_tree
from treewarden.topologies.running import Tree
from treewarden.topologies.tree import tree

from .test_performing import of_kind, so_far

CLOCK = trio.testing.MockClock


@frozen
class Find(Request[int]):
    """Search until something is found."""

    steps: tuple[str, ...]
    """What each search gives; the last one for ever."""


class Researcher(Agent[None]):
    state = None

    @handles
    async def find(self, message: Find) -> int:
        for turn in range(20):
            found = message.steps[min(turn, len(message.steps) - 1)]
            await trio.sleep(1)
            self.called("search", {"query": "tea", "page": 1}, found)
            self.called("read", {"id": 7}, "nothing")
        return 20


class Odd(Agent[None]):
    state = None

    @handles
    async def find(self, message: Find) -> int:
        self.called("search", object())
        return 1


class Circling(Agent[None]):
    state = None

    @handles
    async def find(self, message: Find) -> int:
        for turn in range(100):
            await trio.sleep(1)
            self.progress("ab"[turn % 2])
        return 100


async def ask(running: Tree, path: str, *steps: str) -> int:
    return await running.ref(path).ask(Find(steps), within=500)


async def test_a_loop_is_a_hang_with_its_cycle(autojump_clock: CLOCK) -> None:
    async with open_tree(tree(child(Researcher, loops=LoopLimit()))) as running:
        with pytest.raises(AgentFailed, match="Stalled"):
            await ask(running, "researcher", "nothing")
        told = await so_far(running)
        (noted,) = of_kind(told, SignalNoted)
        (decided,) = of_kind(told, Decided)
        assert noted.kind == "Stalled"
        assert decided.action == "restart"
        assert decided.signal == (
            "goes round in circles: search -> read, 3 times with the same arguments and results, handling Find"
        )


async def test_what_changes_is_none_and_nobody_looks_without_a_limit(autojump_clock: CLOCK) -> None:
    spec = tree(child(Researcher, loops=LoopLimit()), child(Researcher, id="free"), child(Odd))
    async with open_tree(spec) as running:
        assert await ask(running, "researcher", *map(str, range(20))) == 20
        assert await ask(running, "free", "nothing") == 20
        assert await ask(running, "odd") == 1


async def test_what_cannot_be_compared_is_refused(autojump_clock: CLOCK) -> None:
    async with open_tree(tree(child(Odd, loops=LoopLimit()))) as running:
        with pytest.raises(AgentFailed, match=r"odd: search: Object of type object .*; give what JSON can say"):
            await ask(running, "odd")
    assert issubclass(ConfigurationError, ValueError)


async def test_tokens_that_come_back_are_no_progress(autojump_clock: CLOCK) -> None:
    lost = child(Circling, id="lost", loops=LoopLimit(), progress_within=10.0)
    async with open_tree(tree(lost, child(Circling, id="free", progress_within=10.0))) as running:
        assert await ask(running, "free") == 100
        with pytest.raises(AgentFailed, match="Stalled"):
            await ask(running, "lost")
