"""As many commands as are carried out side by side, and one more that they wait for."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import trio
import trio.testing
from attrs import frozen

from treewarden.agents import Agent, handles
from treewarden.supervisor import Grace
from treewarden.topologies import child, open_tree, tree

from ..journals import on_disk
from .commanded import order

CLOCK = trio.testing.MockClock
MANY = 17


@frozen
class Sleep:
    seconds: float


class Sleeper(Agent[None]):
    @handles
    async def sleep(self, message: Sleep) -> None:
        await trio.sleep(message.seconds)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "tree.db"


@pytest.mark.parametrize("what", ["drain", "stop"])
async def test_the_end_of_the_tree_waits_behind_none(what: str, file: Path, autojump_clock: CLOCK) -> None:
    shape = tree(child(Sleeper, id="busy", shutdown=Grace(12)))
    async with open_tree(shape, journal=on_disk(file)) as running, trio.open_nursery() as nursery:
        await running.ref("busy").tell(Sleep(20))
        await trio.sleep(1)
        for number in range(MANY):
            nursery.start_soon(partial(order, file, what, "busy", f"c{number}", within=12.0))
        await trio.sleep(3)
        with trio.fail_after(8):
            assert (await order(file, "stop", "/", "all")).text == "the tree stops"
        await running.wait_ended()
