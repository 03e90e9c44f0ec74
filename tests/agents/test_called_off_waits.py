"""A wait that is over is a checkpoint all the same: whoever is called off there does not go on."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from attrs import frozen

from treewarden.agents import Agent, Approved, Done, handles
from treewarden.agents.testing import run_handler


@frozen
class Go:
    how: str


class Called(Agent[bool]):
    """Is called off where it comes to its wait."""

    state = False

    @handles
    async def go(self, message: Go) -> None:
        with trio.CancelScope() as scope:
            scope.cancel()
            match message.how:
                case "time":
                    await self.sleep_until(1e6)
                case "time that has passed":
                    await self.sleep_until(-1.0)
                case "event":
                    await self.wait_event("shipped")
                case _:
                    await self.approval("pay", about=5)
        self.state = scope.cancelled_caught


@pytest.mark.parametrize(
    ("how", "waits"),
    [
        ("time", {"sleep": Done(None)}),
        ("time that has passed", {}),
        ("event", {"event": Done(None)}),
        ("approval", {"pay": Approved("ada")}),
    ],
    ids=["time", "time that has passed", "event", "approval"],
)
async def test_a_wait_that_is_over_is_a_checkpoint(how: str, waits: dict[str, Any]) -> None:
    assert (await run_handler(Called(), Go(how), waits=waits)).state
