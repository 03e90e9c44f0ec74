"""What was given up anywhere below a path is found by that path, in memory and on a file."""

from pathlib import Path as File

import pytest
import trio
from attrs import frozen
from trio.testing import wait_all_tasks_blocked

from treewarden.agents import Agent, MailboxSpec, Overflow, handles
from treewarden.topologies import child, open_tree, pool, tree

SMALL = MailboxSpec(capacity=1, overflow=Overflow.DROP_NEWEST)


@frozen
class Job:
    number: int


class Slow(Agent[None]):
    @handles
    async def job(self, message: Job) -> None:
        await trio.sleep(1)


@pytest.mark.parametrize("on_file", [False, True])
async def test_a_pool_or_a_supervisor_stands_for_all_below_it(
    autojump_clock: object, tmp_path: File, on_file: bool
) -> None:
    slow = child(Slow, mailbox=SMALL)
    shape = tree(pool(slow, size=2, id="desk"), tree(child(Slow, id="slow", mailbox=SMALL), id="desk-2"))
    async with open_tree(shape, journal=tmp_path / "desk.db" if on_file else None) as running:
        for path in ("desk", "desk", "desk-2/slow"):
            await running.ref(path).tell(Job(0))
        await wait_all_tasks_blocked()
        for path in ("desk", "desk", "desk", "desk-2/slow", "desk-2/slow"):
            await running.ref(path).tell(Job(1))
        everywhere = [str(letter.path) for letter in await running.dead_letters("/")]
        below = [str(letter.path) for letter in await running.dead_letters("desk")]
        assert everywhere == ["desk-2/slow", *below]
        assert len(below) == 1
        assert below[0].startswith("desk/")
        assert [str(letter.path) for letter in await running.dead_letters(below[0])] == below
        assert await running.dead_letters("desk-2", limit=1) == (await running.dead_letters())[:1]
