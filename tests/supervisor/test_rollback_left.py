"""A rollback that an earlier process had decided and not done, over a state that cannot start: how far back it goes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path as File

import pytest
import trio.testing
from attrs import evolve, frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.diagnosis import Diagnosis
from treewarden.agents.core.message import Request
from treewarden.agents.core.path import Path
from treewarden.agents.errors import TreeFailed
from treewarden.supervisor.core.event import ChildStarted, Decided, Event, IncidentClosed, RolledBack
from treewarden.supervisor.core.spec import SupervisorSpec
from treewarden.supervisor.journal.port import Commit
from treewarden.topologies.child import child
from treewarden.topologies.open import open_tree
from treewarden.topologies.tree import tree

from ..journals import on_disk

CLOCK = trio.testing.MockClock
AGENT = Path("number")


@frozen
class Put:
    n: int


@frozen
class Get(Request[int]):
    pass


class Number(Agent[int]):
    """Cannot start with a state above its limit."""

    state = 0
    limit = 100

    async def on_start(self) -> None:
        if self.state > self.limit:
            raise ValueError("I cannot begin with this")

    @handles
    def put(self, message: Put) -> None:
        self.state = message.n

    @handles
    def get(self, message: Get) -> int:
        return self.state


class Weak(Number):
    limit = 2


def decided(action: str = "roll_back", incident: str = "now", **details: object) -> Decided:
    return Decided(
        path=AGENT, incident=incident, action=action, details=details, confidence=0.5, policy="ladder", rule="r"
    )


def rolled_back(to: int | None, incident: str = "now") -> RolledBack:
    return RolledBack(path=AGENT, to=to, checkpoint=to, diagnosis=Diagnosis(cause="bad_state", incident=incident))


STARTED = ChildStarted(path=AGENT, incarnation=2)


async def next_one(file: File, facts: Sequence[Event], kind: type[Number] = Number) -> int:
    """The state that the next process starts with, behind a process that left the states 1 to 4 as checkpoints, then
    999, which nobody can start with, and at last these facts."""

    def shape(agent: type[Number]) -> SupervisorSpec:
        return tree(child(agent, id="number"))

    numbers: dict[int | None, int | None] = {None: None}
    async with open_tree(shape(Number), journal=on_disk(file)) as running:
        for n in (1, 2, 3, 4):
            await running.ref("number").tell(Put(n))
            assert await running.ref("number").ask(Get()) == n
            numbers[n] = (await running.checkpoint("number", name=f"kept {n}")).number
        await running.ref("number").tell(Put(999))
    async with on_disk(file) as journal:
        for fact in facts:
            if isinstance(fact, RolledBack):  # by the state, which is known before there are numbers
                fact = evolve(fact, to=numbers[fact.to], checkpoint=numbers[fact.to])
            await journal.commit(Commit(events=((0.0, fact),)))
    async with open_tree(shape(kind), journal=on_disk(file)) as running:
        return await running.ref("number").ask(Get(), within=60)


@pytest.mark.parametrize(
    ("facts", "state"),
    [
        ([decided()], 4),
        ([decided(steps=1)], 4),
        ([decided(steps=2)], 3),
        ([decided(steps=-3)], 4),
        ([decided(steps="two")], 4),
        ([STARTED, decided(steps=2)], 3),
        ([decided("restart"), decided(steps=2)], 3),
        ([rolled_back(3), decided(steps=1)], 2),
        ([rolled_back(3), decided(steps=2)], 2),
        ([rolled_back(3), STARTED, decided(steps=1)], 2),
        ([rolled_back(None), decided(steps=1)], 0),
        ([rolled_back(3, "another"), decided(steps=1)], 3),
        ([rolled_back(4), decided(steps=1), rolled_back(3), decided(steps=1)], 2),
    ],
)
async def test_it_is_done_and_goes_further_back_than_the_one_before_it(
    facts: list[Event], state: int, tmp_path: File, autojump_clock: CLOCK
) -> None:
    assert await next_one(tmp_path / "tree.db", facts) == state


@pytest.mark.parametrize(
    "facts",
    [
        [],
        [decided("restart")],
        [decided(), rolled_back(4)],
        [decided(), STARTED],
        [decided(), decided("restart")],
        [decided(), IncidentClosed(path=AGENT, incident="now", outcome="fixed")],
        [Decided(path=Path("other"), incident="now", action="roll_back", confidence=0.5, policy="x", rule="r")],
    ],
)
async def test_without_one_the_tree_does_not_open(facts: list[Event], tmp_path: File, autojump_clock: CLOCK) -> None:
    with pytest.raises(TreeFailed, match="I cannot begin with this"):
        await next_one(tmp_path / "tree.db", facts)
