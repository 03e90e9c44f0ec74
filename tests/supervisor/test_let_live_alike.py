"""Mild reports are answered at once: nobody can tell that from a supervisor that looks at the whole case each time."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing
from attrs import frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import VOLATILE, MailboxSpec
from treewarden.supervisor import NamedAction, Policy, SupervisorSpec
from treewarden.supervisor.core.event import Decided, OutcomeObserved, SignalNoted, TreeOpened
from treewarden.supervisor.core.ladder import Ladder
from treewarden.supervisor.core.let_live import LetLive
from treewarden.supervisor.core.outcomes import Outcomes
from treewarden.supervisor.core.policies import Akka, Kubernetes, Otp
from treewarden.supervisor.core.spec import Intensity
from treewarden.supervisor.journal.memory import MemoryJournal
from treewarden.topologies import Tree, child, open_tree, tree
from treewarden.topologies.chaos.determinism import ordered_by


class LooksAtAllLadder(Ladder):
    """The same rules, of a class that is not known to let a child live whatever else is to be seen."""


class LooksAtAllOtp(Otp):
    """Likewise."""


class LooksAtAllKubernetes(Kubernetes):
    """Likewise."""


class LooksAtAllAkka(Akka):
    """Likewise."""


POLICIES: dict[str, tuple[type[Any], type[Any]]] = {
    "ladder": (Ladder, LooksAtAllLadder),
    "otp": (Otp, LooksAtAllOtp),
    "kubernetes": (Kubernetes, LooksAtAllKubernetes),
    "akka": (Akka, LooksAtAllAkka),
}


@frozen
class Fail: ...


class Fragile(Agent[None]):
    state = None

    @handles
    def fail(self, message: Fail) -> None:
        raise ValueError("told to")


async def nothing(_occasion: object) -> None:
    """What helps against nothing."""


def blueprint(policy: Policy) -> SupervisorSpec:
    plain = child(Fragile, id="plain", mailbox=MailboxSpec(durability=VOLATILE))
    acting = child(
        Fragile, id="acting", mailbox=MailboxSpec(durability=VOLATILE), actions={"warm_up": NamedAction(nothing)}
    )
    return tree(plain, acting, child(Fragile, id="kept"), policy=policy, restarts=Intensity(1000, 5))


Step = tuple[str, str, str, float]


async def step(running: Tree, what: Step) -> None:
    name, id, kind, number = what
    match name:
        case "signal":
            running.signal(f"/{id}", {"kind": kind, "severity": number, "n": 3})
        case "signals":
            for n in range(40):
                running.signal(f"/{id}", {"kind": kind if n % 7 else "odd", "severity": number})
        case "recovered":
            running.recovered(f"/{id}", kind)
        case "fail":
            await running.ref(id).tell(Fail())
        case "deployed":
            running.deployed(f"/{id}", version="2")
        case _:
            await trio.sleep(1000 * number)


async def story(policy: Policy, steps: list[Step], read: bool) -> tuple[list[Any], Outcomes]:
    """What is seen while these are done, what the journal tells in the end, and what was learned."""
    journal, seen = MemoryJournal(new_tree=lambda: "tree"), list[Any]()
    async with open_tree(blueprint(policy), journal=journal, seed=1, wall=trio.current_time) as running:
        for what in steps:
            await step(running, what)
            if number_of(what):
                await trio.testing.wait_all_tasks_blocked()
                seen.append((what, trio.current_time(), str(running.snapshot())))
                if read:
                    await journal.read(limit=7)
        await trio.testing.wait_all_tasks_blocked()
        outcomes = running._common.outcomes  # pyright: ignore[reportPrivateUsage]
    async with journal:
        records = await journal.read(limit=100_000)
    told = [(each.seq, each.at, each.event) for each in records if not isinstance(each.event, TreeOpened)]
    return [*seen, *told], outcomes


def number_of(what: Step) -> bool:
    """Whether it is waited for before the next step: otherwise both wait in the supervisor's queue together."""
    return what[3] != 0.2


def both(name: str, steps: list[Step], read: bool = False) -> tuple[Any, Any]:
    told: list[Any] = []
    for policy in POLICIES[name]:
        clock = trio.testing.MockClock(autojump_threshold=0)
        with ordered_by(1):
            told.append(trio.run(story, policy(), steps, read, clock=clock))
    return told[0], told[1]


STEPS = st.tuples(
    st.sampled_from(["signal", "signal", "signals", "signal", "recovered", "fail", "deployed", "wait"]),
    st.sampled_from(["plain", "plain", "acting", "kept"]),
    st.sampled_from(["slow", "slow", "odd", "memory", "queue_depth"]),
    st.sampled_from([0.0, 0.1, 0.2, 0.2, 0.59, 0.6, 0.9]),
)


@settings(max_examples=60)
@given(st.sampled_from(sorted(POLICIES)), st.lists(STEPS, min_size=1, max_size=14), st.booleans())
def test_nobody_can_tell_which_way_a_report_was_answered(name: str, steps: list[Step], read: bool) -> None:
    at_once, looked_at = both(name, steps, read)
    assert at_once == looked_at


@pytest.mark.parametrize("name", POLICIES)
def test_a_loud_day(name: str) -> None:
    """More than is remembered, in one trouble and in another, before and after other things happen."""
    steps: list[Step] = []
    for what in ("signals", "recovered", "fail", "deployed", "signals", "wait"):
        steps += [("signals", "plain", "slow", 0.2), ("signals", "plain", "memory", 0.1), (what, "plain", "slow", 0.7)]
        steps += [("signal", "acting", "slow", 0.3), ("signals", "kept", "slow", 0.0)]
    at_once, looked_at = both(name, steps)
    assert at_once == looked_at
    events = [each[2] for each in at_once[0] if isinstance(each[0], int)]
    for kind, least in ((SignalNoted, 500), (Decided, 500), (OutcomeObserved, 300)):
        assert sum(isinstance(event, kind) for event in events) > least


async def test_it_is_the_mild_ones_that_are_answered_at_once(
    autojump_clock: trio.abc.Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[tuple[str, float]] = []
    begin = LetLive.__init__

    def noted(self: LetLive, signal: Any, *given: Any) -> None:
        made.append((signal.kind, signal.severity))
        begin(self, signal, *given)

    monkeypatch.setattr(LetLive, "__init__", noted)
    async with open_tree(blueprint(Ladder())) as running:
        for kind, severity in (
            ("slow", 0.1),  # opens the incident
            ("slow", 0.2),
            ("odd", 0.3),
            ("slow", 0.6),  # severe
            ("slow", 0.4),
        ):
            running.signal("/plain", {"kind": kind, "severity": severity})
            await trio.testing.wait_all_tasks_blocked()
    assert made == [("slow", 0.2), ("odd", 0.3), ("slow", 0.4)]
