"""What is called for an agent has to be awaited: where it cannot be, the failure names the method and the remedy."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from trio.testing import MockClock

from treewarden.agents.agent import Agent
from treewarden.agents.core.exit import Exit, Failed
from treewarden.agents.errors import TreeFailed
from treewarden.supervisor.core.spec import RestartPolicy
from treewarden.topologies.child import child
from treewarden.topologies.open import open_tree
from treewarden.topologies.tree import tree


class PlainStart(Agent[None]):
    def on_start(self) -> Any:
        return None


class YieldingStart(Agent[None]):
    def on_start(self) -> Any:
        async def started() -> AsyncIterator[int]:
            yield 1

        return started()


class PlainBody(Agent[None]):
    def run(self) -> Any:
        return 3


class PlainStop(Agent[None]):
    def on_stop(self, exit: Exit) -> Any:
        return None


class Wrapped(Agent[None]):
    """As a decorator makes it: not `async def` itself."""

    done: tuple[str, ...] = ()

    def on_start(self) -> Any:
        return self.note("on_start")

    def run(self) -> Any:
        return self.note("run")

    def on_stop(self, exit: Exit) -> Any:
        return self.note("on_stop")

    async def note(self, what: str) -> None:
        Wrapped.done = (*Wrapped.done, what)


@pytest.mark.parametrize(
    ("agent", "gave"), [(PlainStart, "gave None"), (YieldingStart, "gave <async_generator object ")]
)
async def test_a_start_that_is_not_async(agent: type[Agent[None]], gave: str, autojump_clock: MockClock) -> None:
    where = (
        rf"ConfigurationError: {agent.__name__}\.on_start {gave}.*, which cannot be awaited; write it as `async def on_"
    )
    with pytest.raises(TreeFailed, match=where):
        async with open_tree(tree(agent)):
            pass


@pytest.mark.parametrize(
    ("agent", "text"),
    [
        (PlainBody, "PlainBody.run gave 3, which cannot be awaited; write it as `async def run`"),
        (PlainStop, "PlainStop.on_stop gave None, which cannot be awaited; write it as `async def on_stop`"),
    ],
)
async def test_an_end_by_what_is_not_async(agent: type[Agent[None]], text: str, autojump_clock: MockClock) -> None:
    async with (
        open_tree(tree(child(agent, id="it", restart=RestartPolicy.TEMPORARY), child(Agent, id="other"))) as running,
        running.watch("it") as ends,
    ):
        if agent is PlainStop:
            await running.supervisor().terminate_child("it")
        exit = (await anext(ends)).exit
        assert isinstance(exit, Failed)
        assert (exit.failure.type, exit.failure.text) == ("treewarden.agents.errors.ConfigurationError", text)


async def test_what_returns_something_to_await_is_good(autojump_clock: MockClock) -> None:
    Wrapped.done = ()
    async with (
        open_tree(tree(child(Wrapped, restart=RestartPolicy.TEMPORARY))) as running,
        running.watch("wrapped") as ends,
    ):
        await anext(ends)
    assert Wrapped.done == ("on_start", "run", "on_stop")
