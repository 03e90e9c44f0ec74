"""A state that is what it was is not written again: not with what else a handler leaves, and only under a name kept."""

from __future__ import annotations

import pytest
from attrs import evolve, frozen
from trio.testing import MockClock, wait_all_tasks_blocked

from treewarden.agents.agent import handles
from treewarden.agents.core.durability import MESSAGE
from treewarden.supervisor.core.checkpoint import Retention, Search
from treewarden.supervisor.settling import SlotStore

from .trees import Add, Counter, Disk, Total, kept, opened, slot_of


@frozen
class Same:
    """Makes a state that is equal to the one before."""

    name: str = ""
    tell: bool = False
    say: bool = False


@frozen
class Said:
    number: int


class Keeper(Counter):
    @handles
    async def same(self, message: Same) -> None:
        self.state = evolve(self.state)
        if message.name:
            self.checkpoint(message.name)
        if message.tell:
            await self.ref("counter").tell(Add(1))
        if message.say:
            self.record(Said(1))


@pytest.mark.parametrize("every", [1, 0])
@pytest.mark.parametrize("message", [Same(), Same(tell=True), Same(say=True), Same(tell=True, say=True)])
async def test_it_is_not_written_whatever_else_is(message: Same, every: int, autojump_clock: MockClock) -> None:
    journal, keeper = Disk(), kept(Keeper, MESSAGE, retention=Retention(every=every))
    async with opened(kept(Counter, MESSAGE), keeper, journal=journal) as running:
        for each in (Add(4), message, message):
            await running.ref("keeper").tell(each)
            await wait_all_tasks_blocked()
        mine = [commit for commit in journal.seen if commit.by == "keeper" and commit.acked]
        assert [(len(commit.states), len(commit.checkpoints)) for commit in mine] == [(1, every == 1), (0, 0), (0, 0)]
        assert [len(commit.events) for commit in mine[1:]] == [message.say] * 2
        assert [len(commit.accepted) for commit in mine[1:]] == [message.tell] * 2
        assert len(await journal.checkpoints(running.ref("keeper").path)) == (every == 1)
        store, held = slot_of(running, "keeper").store, (await journal.recover(running.ref("keeper").path)).state
        assert isinstance(store, SlotStore)
        assert held is not None
        assert (store.settles, store.state_settled, held.settled) == (3, 1, 1), "what a rollback says it undoes"
        assert await running.ref("counter").ask(Total()) == 2 * message.tell


async def test_it_is_kept_under_a_name(autojump_clock: MockClock) -> None:
    journal = Disk()
    async with opened(kept(Keeper, MESSAGE), journal=journal) as running:
        for each in (Add(4), Same("here")):
            await running.ref("keeper").tell(each)
            await wait_all_tasks_blocked()
        (found,) = await journal.checkpoints(running.ref("keeper").path, search=Search(name="here"))
        held = await journal.checkpoint(found.number)
        assert held is not None
        assert (held.state.body, held.state.settled) == ('{"total":4,"seen":[4]}', 2)
