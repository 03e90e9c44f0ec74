"""A tree that is cancelled from outside: who waits for one of its supervisors, and is not cancelled, hears of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import trio
import trio.testing

from treewarden.agents.errors import SupervisorGone

from .puppets import Puppet, puppet, quiet, running, under


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
