"""A tree that is cancelled from outside: who waits for one of its supervisors, and is not cancelled, hears of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest
import trio
import trio.testing
from attrs import frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.errors import AgentStopped, SupervisorGone
from treewarden.agents.ref import Ref
from treewarden.topologies.child import child

from .puppets import IN_MEMORY, Puppet, puppet, quiet, running, under


@frozen
class Ping:
    """Wake."""


class Sleeper(Agent[None]):
    @handles
    def ping(self, message: Ping) -> None:
        """Nothing to do."""


async def _never(_: Puppet) -> None:
    await trio.sleep_forever()


async def test_calls_from_elsewhere_are_answered(autojump_clock: trio.testing.MockClock) -> None:
    refused: list[str] = []

    async def calls(call: Callable[[], Awaitable[object]]) -> None:
        with trio.fail_after(60.0), pytest.raises(SupervisorGone, match=r"ended before it answered (\w+)$") as told:
            await call()
        refused.append(str(told.value).rpartition(" ")[2])

    async with trio.open_nursery() as elsewhere:
        with trio.CancelScope() as scope:
            async with running(under(puppet("a"))) as tree:
                ref = tree.supervisor()
                elsewhere.start_soon(calls, lambda: ref.start_child(puppet("b", args={"starting": _never})))
                await quiet()
                elsewhere.start_soon(calls, ref.count)  # waits behind the other one
                await quiet()
                scope.cancel()
    assert sorted(refused) == ["count", "start_child"]


async def test_nobody_is_woken_who_has_nowhere_to_live(autojump_clock: trio.testing.MockClock) -> None:
    """A message comes in the moment in which a supervisor has lost its nursery: there nobody can begin any more, and
    whoever told it, which may be the journal's writer, is not to end of that. Sleepers are told in each pass of the
    scheduler, in many trees, for the order in a pass is by chance."""

    async def told(refs: list[Ref]) -> None:
        for ref in refs:
            with suppress(AgentStopped):
                ref.tell_nowait(Ping())
            await trio.lowlevel.checkpoint()

    for _ in range(20):
        async with trio.open_nursery() as elsewhere:
            with trio.CancelScope() as scope:
                sleepers = [child(Sleeper, id=f"n{n}", mailbox=IN_MEMORY) for n in range(30)]
                async with running(under(under(*sleepers, id="s"))) as tree:
                    elsewhere.start_soon(told, [tree.ref(f"s/n{n}") for n in range(30)])
                    scope.cancel()
