"""decide() with any policy in any case: total, explained, within the hard rules; and what the shell calls around it."""

from __future__ import annotations

import json
import math

import pytest
from attrs import evolve, frozen
from hypothesis import given
from hypothesis import strategies as st

from treewarden.agents.core.exit import Finished
from treewarden.agents.core.path import Path
from treewarden.supervisor.core.action import (
    Break,
    Escalate,
    Hold,
    Recycle,
    Restart,
    Resume,
    RollBack,
    Scope,
    SetAside,
    Stop,
    Throttle,
    scope_of,
)
from treewarden.supervisor.core.case import Case, counts
from treewarden.supervisor.core.decision import (
    Declined,
    Option,
    Policy,
    attempted,
    backoff_of,
    counted,
    decide,
    is_paced,
    looks_back,
    stable_after,
    to_event,
)
from treewarden.supervisor.core.guards import forbids, forced, retry_after
from treewarden.supervisor.core.history import RestartHistory
from treewarden.supervisor.core.incident import join
from treewarden.supervisor.core.ladder import ladder
from treewarden.supervisor.core.policies import kubernetes, otp
from treewarden.supervisor.core.signal import (
    ActionFailed,
    RateLimitReached,
    Recovered,
    Reported,
    RestartFailed,
    Signal,
)
from treewarden.supervisor.core.spec import Backoff, Intensity, RestartPolicy, SupervisorSpec

from .cases import PATH, SPEC, Tree, Wants, actions, case, cases, exited, failed, signals

ONCE = Intensity(1, 5.0)
SLOW = Reported(path=PATH, at=100.0, kind="slow", severity=0.9)
LIMITED = RateLimitReached(path=PATH, at=100.0, after=7.0, message="m1")
START = RestartFailed(path=PATH, at=100.0, failure=failed().failure)


policies: st.SearchStrategy[Policy] = st.one_of(
    st.sampled_from([otp(), kubernetes(), ladder()]), st.builds(Wants, st.lists(actions, max_size=4).map(tuple))
)


# Any policy, any case --------------------------------------------------------------------------------------------


@given(policies, cases())
def test_it_is_total_explained_and_keeps_every_hard_rule(policy: Policy, given: Case) -> None:
    decision = decide(policy, given)
    action, signal = decision.action, given.signal
    again = decide(policy, given)
    assert (action, decision.chosen, decision.passed_over) == (again.action, again.chosen, again.passed_over)
    assert decision.because
    assert all(decision.because)
    assert 0.0 <= decision.confidence <= 1.0
    assert decision.evidence == decision.stated.evidence >= 0.0
    assert decision.calibrated is decision.stated.calibrated is False
    assert all(0.0 <= other.confidence <= 1.0 and other.why for other in decision.rejected)
    assert all(0.0 <= p <= 1.0 for p in decision.causes.values())

    if given.down:
        assert not isinstance(action, (Resume, Recycle))
    if isinstance(action, SetAside):
        assert action.message
    if isinstance(action, RollBack):
        assert 1 <= action.steps <= given.checkpoints + 1
    if isinstance(action, Restart):
        declared = scope_of(given.strategy)
        assert declared <= action.scope <= declared + given.incident.failed
    if isinstance(signal, RateLimitReached):
        assert isinstance(action, (Throttle, Break, SetAside, Hold, Stop, Escalate))
    wait = getattr(action, "seconds", getattr(action, "after", math.inf))
    assert retry_after(given) <= wait
    assert wait >= 0.0
    if not counts(signal, given.spec) and given.down and not isinstance(signal, ActionFailed):
        assert action == Stop()
    elif counts(signal, given.spec) and policy.escalates and given.history.exceeded(given.intensity):
        assert isinstance(action, (Escalate, Hold))
    if forced(given, escalates=policy.escalates) is None:
        assert forbids(given, action) == ""


@given(policies, cases())
def test_its_fact_is_complete_and_plain(policy: Policy, given: Case) -> None:
    fact = to_event(decide(policy, given))
    assert (fact.path, fact.incident, fact.policy) == (given.signal.path, given.incident.id, policy.name)
    assert fact.rule
    assert fact.signal
    assert fact.because
    assert fact.risk in ("low", "medium", "high", "critical")
    assert 0.0 <= fact.pressure <= 1.0
    assert fact.risk == str(given.context.risk)
    assert fact.pressure == pytest.approx(given.context.pressure, abs=5e-5)
    assert fact.symptoms == given.context.named
    assert all(0.01 <= p <= 1.0 for p in fact.causes.values())
    assert json.loads(json.dumps(dict(fact.details), allow_nan=False)) == fact.details
    assert fact.action not in {other.action for other in fact.rejected}


def test_half_a_character_in_what_a_policy_says_is_written_out() -> None:
    fact = to_event(decide(Wants((Hold("why \udcff?"),), name="odd \udcff"), case()))
    assert (fact.policy, fact.details["question"]) == ("odd \\udcff", "why \\udcff?")


def test_a_policy_that_says_nothing_of_it_waits_for_its_turn_and_looks_back() -> None:
    assert is_paced(Wants(()))
    assert looks_back(Wants(()), SLOW)
    assert (is_paced(otp()), looks_back(otp(), exited())) == (False, False)
    assert (is_paced(ladder()), looks_back(ladder(), exited()), looks_back(ladder(), LIMITED)) == (True, True, False)


@given(
    st.sampled_from([otp(), ladder()]),
    st.builds(Intensity, st.integers(0, 4), st.floats(0.5, 10)),
    st.lists(st.tuples(st.floats(0, 3), st.sampled_from("abcd"), st.sampled_from("fg")), max_size=40),
)
def test_no_sequence_of_failures_gets_more_restarts_than_the_intensity_allows(
    policy: Policy, intensity: Intensity, failures: list[tuple[float, str, str]]
) -> None:
    """Restarts that a fault caused together (within one second, each child once) are one; every other is counted."""
    tree, now = Tree(policy, intensity), 0.0
    allowed: list[float] = []
    groups: dict[str, tuple[float, set[str]]] = {}
    for step, child, fault in failures:
        now += step
        decision = tree.meet(exited(failed(fault), at=now, path=Path("desk") / child))
        if isinstance(decision.action, Escalate):
            break
        first, members = groups.get(fault, (-math.inf, set[str]()))
        if policy.counts_alike and now - first <= 1.0 and child not in members:
            members.add(child)
            continue
        groups[fault] = (now, {child})
        allowed.append(now)
    for first in allowed:
        assert sum(first <= at <= first + intensity.within for at in allowed) <= intensity.max_restarts


@given(st.lists(signals(st.just(PATH)), min_size=1, max_size=12))
def test_an_incident_goes_on_from_decision_to_decision(history: list[Signal]) -> None:
    tree = Tree(ladder(), checkpoints=1)
    for signal in history:
        before = tree.incidents.get("a")
        decision = tree.meet(signal)
        pending = tree.incidents["a"].pending
        if isinstance(signal, Recovered):
            assert pending is None or (before is not None and pending == before.pending), "nothing is tried"
            continue
        assert pending is not None
        assert (pending.action, pending.kind) == (decision.action, decision.context.label)
        assert (pending.confidence, pending.model) == (decision.confidence, decision.stated.model)


# What the shell calls around it ----------------------------------------------------------------------------------


def test_counting_a_restart() -> None:
    none = RestartHistory()
    wide = Intensity(10, 5.0)
    both = counted(otp(), exited(), SPEC, wide, none, none)
    assert [history.count for history in both] == [1, 0]
    own = evolve(SPEC, restarts=ONCE)
    both = counted(otp(), exited(), own, wide, *counted(otp(), exited(), own, wide, none, none))
    assert [history.count for history in both] == [1, 2]
    assert counted(otp(), SLOW, SPEC, wide, none, none) == (none, none)


def test_a_supervisor_below_has_no_limit_of_its_own() -> None:
    none = RestartHistory()
    history, own = counted(otp(), exited(), SupervisorSpec(id="a"), Intensity(10, 5.0), none, none)
    assert (history.count, own) == (1, none)


@pytest.mark.parametrize(("policy", "count"), [(otp(), 3), (kubernetes(), 3), (ladder(), 1)])
def test_siblings_taken_down_by_one_fault(policy: Policy, count: int) -> None:
    history = RestartHistory()
    for name in "abc":
        signal = exited(path=Path("desk") / name)
        history, _ = counted(policy, signal, SPEC, Intensity(10, 5.0), history, RestartHistory())
    assert history.count == count


def test_ends_in_order_have_no_fault_to_share() -> None:
    history = RestartHistory()
    for name in "abc":
        signal = exited(Finished(), path=Path("desk") / name)
        history, _ = counted(ladder(), signal, SPEC, Intensity(10, 5.0), history, RestartHistory())
    assert history.count == 3


def test_what_a_spec_leaves_open() -> None:
    assert backoff_of(SupervisorSpec(id="a")) == Backoff()
    assert backoff_of(SPEC) == SPEC.backoff
    assert stable_after(otp(), SPEC) == 10.0
    assert stable_after(kubernetes(), SPEC) == 600.0


@pytest.mark.parametrize("failures", [0, 1, 2, 3])
def test_where_a_policy_has_no_answer_each_restart_waits_longer_than_the_last(failures: int) -> None:
    """After an exit, and after an action that was to help: one failure is the first attempt's, two the second's."""
    crashes = [exited(at=100.0 + place) for place in range(failures + 1)]
    incident = case(*crashes).incident
    assert incident.failed == failures
    useless = ActionFailed(path=PATH, at=200.0, action="warm_up", down=True)
    for after in (case(*crashes), case(useless, incident=join(incident, useless))):
        assert decide(Wants(()), after).action == Restart(Scope.ONE, 2.0**failures)


def test_of_a_failed_action_on_a_slot_that_lives_nothing_comes() -> None:
    useless = ActionFailed(path=PATH, at=200.0, action="warm_up")
    decision = decide(Wants(()), case(useless))
    assert (decision.action, decision.rule) == (Resume(), "action failed")


def test_what_was_passed_over_says_why() -> None:
    """The second proposal of a rule has that rule's reason; that of another one comes after it."""

    @frozen
    class Twice(Wants):
        def propose(self, case: Case) -> tuple[Option, ...]:
            first = Option(Restart(), "one", "it helped before")
            return (first, Option(Hold("?"), "one", "or ask"), Option(RollBack(), "two", "or go back"))

    decision = decide(Twice(()), case())
    assert decision.passed_over == (Declined("hold", "or ask"), Declined("roll_back", "'one' comes first"))
    assert [other.action for other in decision.rejected] == ["hold", "roll_back"]


def test_what_comes_to_be_is_not_among_what_was_declined() -> None:
    decision = decide(Wants((Hold("?"), Hold("again?"))), case())
    assert decision.passed_over
    assert decision.rejected == ()


def test_grounds_are_worked_out_only_when_they_are_asked_for() -> None:
    given = case()
    decision = decide(otp(), given)
    assert given._context is given._belief is None  # pyright: ignore[reportPrivateUsage]
    assert decision.confidence > 0.5
    assert given._context is not None is not given._belief  # pyright: ignore[reportPrivateUsage]


def test_an_attempt_carries_what_was_stated() -> None:
    decision = decide(ladder(), case())
    incident = attempted(decision, 100.0)
    assert incident.attempts[-1].kind == "crash"
    assert incident.attempts[-1].outcome is None
    assert incident.attempts[-1].confidence == decision.confidence
    assert incident.attempts[-1].symptom == decision.case.symptom


def test_what_a_hard_rule_demands_is_certain() -> None:
    """A slot that is not to be restarted is stopped: nothing is believed of it, and nothing learned from it."""
    decision = decide(ladder(), case(exited(Finished()), spec=evolve(SPEC, restart=RestartPolicy.TEMPORARY)))
    assert decision.action == Stop()
    assert (decision.confidence, decision.stated.model, decision.evidence) == (1.0, 1.0, 0.0)
    attempt = attempted(decision, 100.0).attempts[-1]
    assert (attempt.confidence, attempt.model) == (1.0, 1.0)
