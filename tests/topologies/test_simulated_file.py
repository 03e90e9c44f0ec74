"""A tree on a file under a mock clock: the clock stands still while something is on its way to the disk."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import trio
import trio.testing
from attrs import frozen

from treewarden.agents.agent import Agent, every, handles
from treewarden.agents.core.message import Request
from treewarden.supervisor.journal.anchoring import Anchoring
from treewarden.topologies.open import open_tree
from treewarden.topologies.tree import tree

CLOCK = trio.testing.MockClock
FOUR_HOURS = 4 * 3600.0


@frozen
class Count(Request[int]):
    pass


class Desk(Agent[int]):
    state = 0

    @every(3600)
    async def tick(self) -> None:
        self.state += 1

    @handles
    async def count(self, _: Count) -> int:
        return self.state


def wall() -> float:
    return 1_800_000_000.0 + trio.current_time()


async def test_nothing_times_out_while_it_is_written(tmp_path: Path, autojump_clock: CLOCK) -> None:
    for run in (1, 2):
        async with open_tree(tree(Desk), journal=tmp_path / "desk.db", wall=wall) as running:
            assert trio.current_time() == (run - 1) * FOUR_HOURS, "to open and close takes no time"
            await trio.sleep(FOUR_HOURS)
            assert await running.ref("desk").ask(Count()) == run * 4 + 1, "the first tick came at once"


async def test_nor_while_heads_are_kept(tmp_path: Path, autojump_clock: CLOCK) -> None:
    kept = tmp_path / "heads.jsonl"
    heads = Anchoring(file=kept, every=1)
    with trio.fail_after(1.0):
        async with open_tree(tree(Desk), journal=tmp_path / "desk.db", anchor=heads):
            await trio.testing.wait_all_tasks_blocked()
    assert kept.exists()


async def test_its_lease_is_not_renewed_all_the_time(tmp_path: Path, autojump_clock: CLOCK) -> None:
    file = tmp_path / "desk.db"

    def lease() -> float:
        with closing(sqlite3.connect(file)) as connection:
            return connection.execute("SELECT lease_until FROM owner").fetchone()[0]

    async with open_tree(tree(Desk), journal=file):
        await trio.testing.wait_all_tasks_blocked()
        before = lease()
        await trio.sleep(600.0)
        assert lease() == before, "the usual lease would have been written anew 180 times"
