"""Who uses two dependencies that are down begins when both are back, and tries neither while it waits for the other."""

from __future__ import annotations

import pytest
import trio
import trio.testing
from attrs import define, field, frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.lifecycle import SlotState
from treewarden.supervisor.core.action import Action, Break, Restart
from treewarden.supervisor.core.case import Case
from treewarden.supervisor.core.event import DependencyChanged
from treewarden.supervisor.core.guards import Declined, Option
from treewarden.supervisor.core.spec import ChildSpec
from treewarden.supervisor.core.symptom import failure_in
from treewarden.supervisor.journal.memory import MemoryJournal
from treewarden.topologies.child import child
from treewarden.topologies.open import open_tree
from treewarden.topologies.tree import tree

SECONDS = {"slow": 30.0, "fast": 5.0}


@frozen
class Call:
    """Use it."""


@define
class Outside:
    down: set[str] = field(factory=set[str])

    def use(self, *names: str) -> None:
        for name in names:
            if name in self.down:
                raise ConnectionRefusedError(name)


class User(Agent[None]):
    state = None

    def __init__(self, outside: Outside, name: str) -> None:
        self.outside, self.name = outside, name

    @handles
    def call(self, message: Call) -> None:
        self.outside.use(self.name)


class Both(Agent[None]):
    state = None

    def __init__(self, outside: Outside) -> None:
        self.outside = outside

    async def on_start(self) -> None:
        self.outside.use(*SECONDS)


@frozen
class Breaks:
    """Breaks what refused a connection."""

    name: str = "breaks"
    counts_alike: bool = True
    escalates: bool = False
    stable_after: float | None = None

    def propose(self, case: Case) -> tuple[Option, ...]:
        failure = failure_in(case.signal)
        refused = failure is not None and failure.type == "ConnectionRefusedError"
        action: Action = Break(failure.text, SECONDS[failure.text]) if failure is not None and refused else Restart()
        return (Option(action, "rule", "because"),)

    def declined(self, case: Case) -> tuple[Declined, ...]:
        return ()


def users(outside: Outside, *, first: bool) -> tuple[ChildSpec, ...]:
    both = child(Both, id="both", args={"outside": outside}, uses=("slow", "fast"))
    others = [child(User, id=name, args={"outside": outside, "name": name}, uses=(name,)) for name in SECONDS]
    return (both, *others) if first else (*others, both)


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("found", ["slow", "fast"])
async def test_it_begins_when_both_are_back(first: bool, found: str, autojump_clock: trio.testing.MockClock) -> None:
    outside, journal = Outside(), MemoryJournal()
    async with open_tree(tree(*users(outside, first=first), policy=Breaks()), journal=journal) as running:
        outside.down = {found}
        running.kill("both")
        await trio.sleep(0.125)
        outside.down = set(SECONDS)
        for name in SECONDS:
            for _ in range(3):
                await running.ref(name).tell(Call())
        await trio.sleep(1)
        outside.down = set()
        await trio.sleep(27)
        (both,) = [slot for slot in running.snapshot() if str(slot.path) == "both"]
        assert both.state is SlotState.RESTARTING
        await trio.sleep(6)
        assert {slot.state for slot in running.snapshot()} == {SlotState.UP}
        records = await journal.read(limit=10_000)
        told = [record.event for record in records if isinstance(record.event, DependencyChanged)]
        tries = [str(event.path) for event in told if event.passage == "half_open" and event.dependency == "fast"]
        assert tries == ["fast"], "the other one could not have found out"
