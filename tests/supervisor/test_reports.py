"""Many reports at once: handled together, and told as if each had come alone."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing
from attrs import frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.lifecycle import SlotState
from treewarden.agents.errors import TreewardenError
from treewarden.supervisor.core.action import Recycle, Resume
from treewarden.supervisor.core.case import Case
from treewarden.supervisor.core.decision import Declined, Option, Policy
from treewarden.supervisor.core.event import Decided, Event, SignalNoted
from treewarden.supervisor.core.ladder import ladder
from treewarden.supervisor.core.rule_table import Rule
from treewarden.supervisor.core.signal import Reported
from treewarden.supervisor.core.spec import Backoff
from treewarden.supervisor.core.table import table
from treewarden.supervisor.journal.memory import MemoryJournal
from treewarden.supervisor.journal.port import Commit, Seq
from treewarden.topologies.child import child
from treewarden.topologies.open import open_tree
from treewarden.topologies.tree import tree

CLOCK = trio.testing.MockClock
CHILDREN = ("a", "b", "c", "d")


@frozen
class Ping:
    pass


@frozen
class Die:
    pass


class Desk(Agent[None]):
    state = None

    @handles
    async def ping(self, message: Ping) -> None:
        pass

    @handles
    def die(self, message: Die) -> None:
        raise ValueError("told to")


@frozen
class Fresh:
    """Recycles who is reported sick, and lets everybody else be."""

    name: str = "fresh"
    counts_alike: bool = True
    escalates: bool = True
    stable_after: float | None = None

    def propose(self, case: Case) -> tuple[Option, ...]:
        sick = isinstance(case.signal, Reported) and case.signal.kind == "sick"
        return (Option(Recycle() if sick else Resume(), "fresh", "because"),)

    def declined(self, case: Case) -> tuple[Declined, ...]:
        return ()


class Counting(MemoryJournal):
    """How many commits of facts alone there were."""

    commits = 0

    def submit(self, commit: Commit, then: Any) -> None:
        self.commits += bool(commit.events)
        super().submit(commit, then)


async def told(policy: Policy, said: list[tuple[str, str, float]], *, one_by_one: bool) -> list[Event]:
    """What is journaled of these reports."""
    journal = MemoryJournal()
    blueprint = tree(*(child(Desk, id=id) for id in CHILDREN), policy=policy)
    async with open_tree(blueprint, journal=journal, seed=1) as running:
        supervisor = running.supervisor()
        before: Seq = await journal.commit(Commit())
        for id, kind, severity in said:
            running.signal(id, {"kind": kind, "severity": severity})
            if one_by_one:
                await supervisor.count()
        await supervisor.count()
        until = await journal.commit(Commit())
        return [record.event for record in await journal.read(before, limit=10_000) if record.seq <= until]


reports = st.lists(
    st.tuples(
        st.sampled_from(CHILDREN), st.sampled_from(["slow", "odd", "memory_slope", "sick"]), st.sampled_from([0.1, 0.8])
    ),
    max_size=40,
)


@pytest.mark.parametrize("policy", [ladder(), Fresh()], ids=["ladder", "fresh"])
@settings(max_examples=15)
@given(said=reports)
def test_together_they_are_told_as_one_by_one(policy: Policy, said: list[tuple[str, str, float]]) -> None:
    async def main() -> None:
        together = await told(policy, said, one_by_one=False)
        alone = await told(policy, said, one_by_one=True)
        assert [str(event) for event in together] == [str(event) for event in alone]
        assert sum(isinstance(event, SignalNoted) for event in together) == len(said)

    trio.run(main, clock=trio.testing.MockClock())


async def test_they_are_one_commit(autojump_clock: CLOCK) -> None:
    journal = Counting()
    async with open_tree(tree(child(Desk)), journal=journal) as running:
        before = journal.commits
        for _ in range(50):
            running.signal("desk", {"kind": "slow", "severity": 0.1})
        await running.supervisor().count()
        assert journal.commits == before + 1


async def test_a_flood_of_them_keeps_nobody_else_waiting(autojump_clock: CLOCK) -> None:
    async with open_tree(tree(child(Desk)), journal=None) as running:
        for _ in range(1000):
            running.signal("desk", {"kind": "slow", "severity": 0.1})
        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                await trio.lowlevel.checkpoint()
                turns += 1

        async with trio.open_nursery() as nursery:
            nursery.start_soon(other)
            await running.supervisor().count()
            nursery.cancel_scope.cancel()
        assert turns >= 1000 // 64


async def test_a_policy_that_fails_over_one_of_them_decides_about_the_others(autojump_clock: CLOCK) -> None:
    @frozen
    class Fussy(Fresh):
        def propose(self, case: Case) -> tuple[Option, ...]:
            if isinstance(case.signal, Reported) and case.signal.kind == "odd":
                raise LookupError("nothing is known of that")
            return super().propose(case)

    journal = MemoryJournal()
    async with open_tree(tree(child(Desk), policy=Fussy()), journal=journal) as running:
        for kind in ("slow", "odd", "slow"):
            running.signal("desk", {"kind": kind, "severity": 0.1})
        await running.supervisor().count()
        events = [record.event for record in await journal.read(limit=1000)]
        assert [event.policy for event in events if isinstance(event, Decided)] == ["fresh", "ladder", "fresh"]
        assert "policy_failed" in [event.kind for event in events if isinstance(event, SignalNoted)]


async def test_a_report_about_somebody_who_is_gone_is_about_nothing(autojump_clock: CLOCK) -> None:
    journal = MemoryJournal()
    async with open_tree(tree(child(Desk, id="a"), child(Desk, id="b")), journal=journal) as running:
        supervisor = running.supervisor()
        await supervisor.terminate_child("b")
        running.signal("a", {"kind": "slow", "severity": 0.1})
        running.signal("b", {"kind": "slow", "severity": 0.1})
        running.signal("a", {"kind": "slow", "severity": 0.1})
        await supervisor.count()
        decided = [record.event for record in await journal.read() if isinstance(record.event, Decided)]
        assert [event.path for event in decided] == ["a", "a"]
        with pytest.raises(TreewardenError, match="no such slot"):
            running.signal("c", {"kind": "slow", "severity": 0.1})


@pytest.mark.parametrize("held", [False, True])
async def test_what_is_said_of_somebody_who_is_down_is_noted_and_nothing_is_decided(
    held: bool, autojump_clock: CLOCK
) -> None:
    journal = MemoryJournal()
    policy = table([Rule("crash", "hold")]) if held else None
    desk = child(Desk, backoff=Backoff(first=5.0))
    async with open_tree(tree(desk, policy=policy), journal=journal, seed=1) as running:
        await running.ref("desk").tell(Die())
        await trio.testing.wait_all_tasks_blocked()
        assert running.snapshot()[0].state is (SlotState.HELD if held else SlotState.RESTARTING)
        before = len(await journal.read(limit=1000))
        running.signal("desk", {"kind": "slow", "severity": 0.9, "text": "nobody answers"})
        running.recovered("desk", "slow")
        await running.supervisor().count()
        said = [record.event for record in (await journal.read(limit=1000))[before:]]
        assert [(type(event).__name__, event.kind) for event in said if isinstance(event, SignalNoted)] == [
            ("SignalNoted", "slow"),
            ("SignalNoted", "Recovered"),
        ]
        assert len(said) == 2
