"""What a journal in memory costs for children who came and went."""

from __future__ import annotations

import gc

from attrs import frozen
from trio.testing import MockClock

from treewarden.agents.agent import Agent, handles
from treewarden.supervisor.core.spec import Strategy
from treewarden.supervisor.journal.memory import MemoryJournal
from treewarden.topologies.open import open_tree
from treewarden.topologies.tree import tree


@frozen
class Vote: ...


class Poll(Agent[int]):
    state = 0

    @handles
    async def vote(self, message: Vote) -> None:
        self.state += 1


def slots_held() -> int:
    """For how many slots something is held."""
    gc.collect()
    kinds: list[type[object]] = [type(each) for each in gc.get_objects()]
    return sum(kind.__module__ == MemoryJournal.__module__ and kind is not MemoryJournal for kind in kinds)


async def test_nothing_stays_of_who_came_and_went(autojump_clock: MockClock) -> None:
    async with open_tree(tree(tree(Poll, id="polls", strategy=Strategy.DYNAMIC)), journal=MemoryJournal()) as running:
        before = slots_held()
        for number in range(4):
            poll = running.ref(str((await running.supervisor("polls").start_dynamic({}, id=f"p{number}")).path))
            await poll.tell(Vote())
            await poll.tell(Vote())
            if number % 2:
                await running.drain(str(poll.path))
            else:
                assert slots_held() > before
                await running.supervisor("polls").terminate_dynamic(f"p{number}")
            assert slots_held() == before
