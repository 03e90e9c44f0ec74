"""An incident ends by what was observed: whoever is handed no messages proves nothing by being quiet."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing
from attrs import frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.loops import LoopLimit
from treewarden.agents.errors import RateLimited
from treewarden.supervisor.core.event import IncidentClosed, OutcomeObserved
from treewarden.supervisor.core.rule_table import Rule
from treewarden.supervisor.core.table import table
from treewarden.supervisor.journal.memory import MemoryJournal
from treewarden.topologies.child import child
from treewarden.topologies.open import open_tree
from treewarden.topologies.running import Tree
from treewarden.topologies.tree import tree

CLOCK = trio.testing.MockClock


@frozen
class Work:
    pass


@frozen
class Loop:
    """Go round in circles."""


class Desk(Agent[None]):
    state = None

    @handles
    async def work(self, message: Work) -> None:
        raise RateLimited(300.0)

    @handles
    async def loop(self, message: Loop) -> None:
        for _ in range(20):
            self.called("search", {"query": "tea"}, "nothing")


def desk(*rules: Rule, **options: Any) -> Any:
    policy = table(rules) if rules else None
    return tree(child(Desk, loops=LoopLimit(times=3), stable_after=10.0, **options), policy=policy)


async def ends(journal: MemoryJournal) -> list[tuple[str, str]]:
    events = [record.event for record in await journal.read(limit=10_000)]
    return [
        ("closed" if isinstance(event, IncidentClosed) else event.action, event.outcome)
        for event in events
        if isinstance(event, (IncidentClosed, OutcomeObserved))
    ]


async def held(running: Tree) -> None:
    await running.ref("desk").tell(Loop())
    await trio.sleep(1)
    assert running.snapshot()[0].note.startswith("held: ")


async def test_somebody_who_lives_and_is_held_is_not_fixed_by_waiting(autojump_clock: CLOCK) -> None:
    journal = MemoryJournal()
    async with open_tree(desk(Rule("stalled", "hold")), journal=journal) as running:
        await held(running)
        await trio.sleep(10_000)
        assert await ends(journal) == []
        running.resume("desk")
        await trio.sleep(100)
        assert await ends(journal) == [("hold", "unobserved"), ("restart", "fixed"), ("closed", "fixed")]


@pytest.mark.parametrize("wait", [1.0, 9.0, 11.0, 25.0])
async def test_the_wait_for_a_429_is_no_stable_time(wait: float, autojump_clock: CLOCK) -> None:
    journal = MemoryJournal()
    async with open_tree(desk(), journal=journal) as running:
        await running.ref("desk").tell(Work())
        await trio.sleep(299)
        assert await ends(journal) == []
        await trio.sleep(5)  # it was asked again, and has asked for as long again
        assert await ends(journal) == [("throttle", "failed")]
        await trio.sleep(wait)
        assert await ends(journal) == [("throttle", "failed")]
