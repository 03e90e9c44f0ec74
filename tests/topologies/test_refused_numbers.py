"""Wherever a number is asked for, what cannot be reckoned with is refused by name, however it is written."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final, TypeAlias

import pytest
import trio.testing
from attrs import frozen

from treewarden.agents import Agent, MailboxSpec, Request, every, handles
from treewarden.agents.core.durability import Checkpointed
from treewarden.agents.core.limiter import IntakeLimit
from treewarden.agents.core.loops import LoopLimit
from treewarden.agents.errors import ConfigurationError
from treewarden.agents.testing import ManualClock
from treewarden.supervisor import Intensity, Retention
from treewarden.supervisor.core.believer import COSTS, belief
from treewarden.supervisor.core.measures import LatencyLimit
from treewarden.supervisor.core.retention import EventRetention
from treewarden.supervisor.journal.anchoring import Anchoring
from treewarden.supervisor.journal.memory import MemoryJournal
from treewarden.supervisor.journal.sqlite import SqliteJournal
from treewarden.topologies import child, gather, open_tree, tree
from treewarden.topologies.chaos.marking import chaos
from treewarden.topologies.core.faults import Family, Fault
from treewarden.topologies.partition import partitions

BEYOND: Final = 10**400
UNWRITABLE: Final = 10**5000
"""CPython refuses to write so many digits, with a bare `ValueError`."""
NONE: Final[tuple[Any, ...]] = (
    True, False, math.nan, math.inf, -1, -math.inf, [1], 1j, -BEYOND, -UNWRITABLE, BEYOND, UNWRITABLE
)  # fmt: skip
"""What is nowhere a number of seconds, or of anything."""


@frozen
class Ask(Request[int]):
    pass


@frozen
class After(Request[str]):
    seconds: Any


class Desk(Agent[int]):
    state = 0

    @handles
    async def later(self, message: After) -> str:
        with pytest.raises(ConfigurationError) as refused:
            self.after(message.seconds, Ask())
        return str(refused.value)

    @handles
    async def ask(self, message: Ask) -> int:
        return 1


def ticking(period: Any) -> type[Agent[int]]:
    class Ticking(Agent[int]):
        state = 0

        @every(period)
        async def tick(self) -> None: ...

    return Ticking


Make: TypeAlias = Callable[[Any], object]
SECONDS: Final[dict[str, tuple[str, Make]]] = {
    "every": ("period", ticking),
    "anchor": ("every", lambda value: Anchoring(file="heads", every=value)),
    "lease": ("lease", lambda value: SqliteJournal("tree.db", clock=ManualClock(), lease=value)),
    "patience": ("patience", lambda value: SqliteJournal("tree.db", clock=ManualClock(), patience=value)),
    "chaos": ("within", lambda value: chaos(within=value)),
    "costs": ("restart", lambda value: belief({**COSTS, "restart": value})),
    "checkpointed": ("seconds", lambda value: Checkpointed(seconds=value)),
    "intake": ("oldest", lambda value: IntakeLimit(oldest=value)),
    "retention": ("within", lambda value: EventRetention(within=value)),
    "latency": ("most", lambda value: LatencyLimit(most=value)),
}
COUNTS: Final[dict[str, tuple[str, Make]]] = {
    "capacity": ("capacity", lambda value: MailboxSpec(capacity=value)),
    "deliveries": ("deliveries", lambda value: MailboxSpec(deliveries=value)),
    "checkpointed": ("messages", lambda value: Checkpointed(messages=value)),
    "intensity": ("max_restarts", lambda value: Intensity(value, 5.0)),
    "checkpoints": ("last", lambda value: Retention(last=value)),
    "retention": ("last", lambda value: EventRetention(last=value)),
    "events": ("events", lambda value: MemoryJournal(events=value)),
    "loops": ("times", lambda value: LoopLimit(times=value)),
    "seeds": ("seeds", lambda value: chaos(seeds=value)),
    "budget": ("budget", lambda value: Fault("crash", Family.AGENT, budget=value)),
    "partitions": ("count", lambda value: partitions(child(Desk), value)),
}


def named(value: object) -> str:
    return f"{type(value).__name__} of {value.bit_length()} bits" if isinstance(value, int) else repr(value)


@pytest.mark.parametrize("value", NONE, ids=named)
@pytest.mark.parametrize(("name", "make"), SECONDS.values(), ids=SECONDS)
def test_what_is_no_time_is_refused_by_name(name: str, make: Make, value: Any) -> None:
    with pytest.raises(ValueError, match=name):
        make(value)


@pytest.mark.parametrize("value", [*NONE, "1", 1.5, 2.0], ids=named)
@pytest.mark.parametrize(("name", "make"), COUNTS.values(), ids=COUNTS)
def test_what_counts_nothing_is_refused_by_name(name: str, make: Make, value: Any) -> None:
    with pytest.raises(ValueError, match=name):
        make(value)


@pytest.mark.parametrize("make", [make for _, make in SECONDS.values()], ids=SECONDS)
def test_a_whole_number_and_a_fraction_are_times(make: Make) -> None:
    assert make(2) is not None
    assert make(0.5) is not None


@pytest.mark.parametrize("make", [make for _, make in COUNTS.values()], ids=COUNTS)
def test_whole_numbers_count(make: Make) -> None:
    assert make(2) is not None


@pytest.mark.parametrize("value", [*NONE, "1"], ids=named)
async def test_what_is_no_time_is_refused_by_a_running_tree(value: Any, autojump_clock: trio.testing.MockClock) -> None:
    async with open_tree(tree(Desk)) as running:
        desk = running.ref("desk")
        with pytest.raises(ConfigurationError, match="within is"):
            await running.drain("desk", within=value)
        with pytest.raises(ConfigurationError, match="within is"):
            await gather([desk], Ask(), within=value)
        assert "is no delay" in await desk.ask(After(value), within=60)
        assert await desk.ask(Ask(), within=60) == 1


@pytest.mark.parametrize("value", [math.nan, "1", [1], BEYOND, UNWRITABLE, -UNWRITABLE], ids=named)
async def test_what_no_ask_can_wait_for_is_refused(value: Any, autojump_clock: trio.testing.MockClock) -> None:
    async with open_tree(tree(Desk)) as running:
        with pytest.raises(ConfigurationError, match="desk: within is"):
            await running.ref("desk").ask(Ask(), within=value)


@pytest.mark.parametrize("value", [math.nan, True, "1", [1], BEYOND, UNWRITABLE, math.inf], ids=named)
async def test_what_is_no_moment_is_not_looked_for(value: Any, autojump_clock: trio.testing.MockClock) -> None:
    async with open_tree(tree(Desk)) as running:
        for edge in ("since", "until"):
            with pytest.raises(ConfigurationError, match=f"{edge} is"):
                await running.checkpoints(**{edge: value})


@pytest.mark.parametrize("value", [0, 2, 1.0, 0.5, True, math.nan, "1", BEYOND, UNWRITABLE], ids=named)
async def test_a_quorum_is_one_of_those_who_are_asked(value: Any, autojump_clock: trio.testing.MockClock) -> None:
    async with open_tree(tree(Desk)) as running:
        with pytest.raises(ConfigurationError, match="quorum is"):
            await gather([running.ref("desk")], Ask(), within=1, quorum=value)
