"""Resuming whoever stays away when it is started again, so that its supervisor forgets it."""

from __future__ import annotations

from pathlib import Path

import trio
import trio.testing

from treewarden.agents import Agent, Ignore, handles
from treewarden.supervisor.core.rule_table import Rule
from treewarden.supervisor.core.spec import Strategy
from treewarden.supervisor.core.table import table
from treewarden.topologies import child, open_tree, tree

from ..journals import on_disk
from .commanded import Add, order


class Fickle(Agent[None]):
    """Stays away when it is started a second time."""

    def __init__(self, starts: list[int]) -> None:
        self.starts = starts

    async def on_start(self) -> None:
        self.starts.append(1)
        if len(self.starts) > 1:
            raise Ignore

    @handles
    def add(self, message: Add) -> None:
        raise ValueError("unlucky")


async def test_who_is_gone_after_that_is_said_to_be(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    """The whole tree ended with that command."""
    file = tmp_path / "tree.db"
    jobs = tree(child(Fickle, args={"starts": []}), id="jobs", strategy=Strategy.DYNAMIC)
    async with open_tree(tree(jobs, policy=table([Rule("crash", "hold")])), journal=on_disk(file)) as running:
        await running.supervisor("jobs").start_dynamic(id="a")
        await running.ref("jobs/a").tell(Add(1))
        await trio.sleep(1)
        outcome = await order(file, "resume", "jobs/a")
        assert outcome.state == "refused"
        assert outcome.text == "jobs/a was started and did not stay: its supervisor has it no more"
        assert (await order(file, "stop", "jobs", "c2")).state == "applied"
