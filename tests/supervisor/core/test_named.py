"""Actions under names of a user's own: what is refused, how far they help, and what policies make of them."""

from __future__ import annotations

import re
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from treewarden.agents.core.exit import Failed, Failure
from treewarden.agents.core.path import Path
from treewarden.supervisor.core.action import Action, Hold, Perform, Restart, Resume, action_name
from treewarden.supervisor.core.believer import belief
from treewarden.supervisor.core.case import Case
from treewarden.supervisor.core.decision import attempted, decide, to_event
from treewarden.supervisor.core.event import OutcomeObserved
from treewarden.supervisor.core.guards import forbids
from treewarden.supervisor.core.incident import join, judge, open_incident, verdict
from treewarden.supervisor.core.likelihoods import CAUSES, SHIPPED, UNKNOWN, Cause
from treewarden.supervisor.core.named import NO_ACTIONS, RESERVED, NamedAction, helps_by_cause, knowing, named_actions
from treewarden.supervisor.core.outcomes import ENOUGH, Outcomes, Tally, learn
from treewarden.supervisor.core.plan import COSTS
from treewarden.supervisor.core.rule_table import Rule
from treewarden.supervisor.core.signal import ActionFailed, ChildExited, Overloaded, Signal
from treewarden.supervisor.core.spec import ChildSpec
from treewarden.supervisor.core.symptom import Risk
from treewarden.supervisor.core.table import ACTIONS, table

HERE = Path("desk/a")


async def run(_occasion: object) -> None:
    """Does nothing."""


WARM_UP = NamedAction(run)
SPEC = ChildSpec(id="a", agent=object, actions={"warm_up": WARM_UP})
CRASH = ChildExited(path=HERE, at=100.0, exit=Failed(Failure("ValueError", fingerprint="x")), uptime=60.0, settled=3)
FULL = Overloaded(path=HERE, at=100.0, depth=64, capacity=64)


def case(signal: Signal, **given: Any) -> Case:
    return evolve(Case(signal=signal, spec=SPEC, incident=open_incident("i", signal), now=signal.at), **given)


def after_its_failure(before: Case, *, down: bool) -> Case:
    """The case in which the action that was just decided has failed."""
    decision = decide(table([Rule("any", "perform:warm_up")]), before)
    assert isinstance(decision.action, Perform)
    failed = ActionFailed(path=HERE, at=101.0, action="warm_up", down=down, text="no cache")
    incident = attempted(decision, 100.0)
    outcome = verdict(incident, failed)
    assert outcome is not None
    incident, fact = judge(incident, outcome, 101.0)
    assert fact is not None
    assert (fact.action, fact.outcome) == ("warm_up", "failed")
    return evolve(before, signal=failed, incident=join(incident, failed), now=101.0)


def test_every_name_that_means_something_is_reserved() -> None:
    assert {*ACTIONS, *map(action_name, Action.__args__), "any"} == RESERVED


@pytest.mark.parametrize(
    ("given_", "text"),
    [
        (["warm_up"], "actions is ['warm_up']; give {'cache_warmup': function}"),
        ({"Warm up": run}, "actions has 'Warm up'; name an action in lower case"),
        ({"restart": run}, "actions has 'restart', which has a meaning already"),
        ({"warm_up": 3}, "actions.warm_up: run is 3; give an async function of one Occasion"),
    ],
)
def test_what_is_no_action_is_refused_by_its_name(given_: object, text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text)):
        named_actions(given_)


@pytest.mark.parametrize("within", [0, -1.0, float("inf"), float("nan"), True, "3"])
def test_a_limit_is_a_number_of_seconds(within: Any) -> None:
    with pytest.raises(ValueError, match="within is"):
        NamedAction(run, within=within)


@pytest.mark.parametrize("helps", [{"overlod": 0.5}, {"overload": 1.5}, {"overload": True}, ["overload"]])
def test_what_it_helps_against_is_a_share_of_a_cause(helps: Any) -> None:
    with pytest.raises(ValueError, match="helps"):
        NamedAction(run, helps=helps)


def test_what_is_left_out_helps_little() -> None:
    assert helps_by_cause(WARM_UP) == UNKNOWN == SHIPPED.fixes_of("nobody", down=True)
    row = dict(zip(CAUSES, helps_by_cause(NamedAction(run, helps={"leak": 0.9})), strict=True))
    assert row.pop(Cause.LEAK) == 0.9
    assert set(row.values()) == {0.05}


def test_a_function_alone_is_an_action_and_none_is_one_value() -> None:
    assert named_actions({"warm_up": run}) == {"warm_up": WARM_UP}
    assert named_actions({}) is NO_ACTIONS is ChildSpec(id="b", agent=object).actions
    assert evolve(SPEC, id="b").actions == SPEC.actions


def test_a_childs_own_action_takes_the_place_of_one_above() -> None:
    other = NamedAction(run, within=7.0)
    seen = case(CRASH, registered={"warm_up": other, "check": other}).actions
    assert seen == {"warm_up": WARM_UP, "check": other}


def test_a_rule_performs_it_and_another_answers_its_failure() -> None:
    policy = table([Rule("crash", "perform:warm_up"), Rule("action_failed:warm_up", "hold")])
    assert policy.performs == {"warm_up"}
    assert decide(policy, case(CRASH)).action == Perform("warm_up", 0.1)
    assert action_name(decide(policy, after_its_failure(case(CRASH), down=True)).action) == "hold"
    assert decide(policy, case(CRASH, spec=ChildSpec(id="a", agent=object))).rule == "crash", "nobody registers it"


@pytest.mark.parametrize(("signal", "down", "answer"), [(CRASH, True, Restart), (FULL, False, Resume)])
def test_a_failure_without_an_answer_is_a_restart_of_what_is_down(signal: Signal, down: bool, answer: type) -> None:
    policy = table([Rule("any", "perform:warm_up")])
    failed = after_its_failure(case(signal), down=down)
    assert forbids(failed, Perform("warm_up")), "two actions must not take turns for ever"
    decision = decide(policy, failed)
    assert isinstance(decision.action, answer)
    assert "did not succeed" in decision.because[0]


def proven() -> Outcomes:
    """Outcomes by which confidences have come true."""
    outcomes = Outcomes()
    for number in range(ENOUGH):
        p, outcome = (0.1, "failed") if number % 10 == 9 else (0.9, "fixed")
        seen = OutcomeObserved(
            path=HERE, incident="i", action="warm_up", kind="crash", confidence=p, model=p, outcome=outcome
        )
        outcomes = learn(outcomes, seen, 0.0)
    return outcomes


@pytest.mark.parametrize(
    ("needs", "calibrated", "done"),
    [(0.0, False, True), (0.3, False, False), (0.3, True, True), (0.999, True, False), (1.0, True, False)],
)
def test_what_cannot_be_taken_back_needs_a_proven_confidence(needs: float, calibrated: bool, done: bool) -> None:
    helps = NamedAction(run, helps=dict.fromkeys(map(str, Cause), 0.9), needs=needs)
    given_ = case(CRASH, spec=evolve(SPEC, actions={"warm_up": helps}), outcomes=proven() if calibrated else Outcomes())
    assert (forbids(given_, Perform("warm_up")) == "") is done
    decision = decide(table([Rule("any", "perform:warm_up")]), given_)
    assert isinstance(decision.action, Perform if done else Hold)
    assert decision.calibrated is to_event(decision).calibrated is calibrated
    if not done:
        assert decision.rule == "a person decides"
        assert decision.action == Hold("perform warm_up on desk/a, then resume it?")
        assert f"needs p {needs:g}" in decision.because[0]


def test_what_it_needs_is_reached_exactly_and_what_people_alone_may_do_never() -> None:
    """A confidence is rounded, so after enough good outcomes it says 1."""
    helps, known = dict.fromkeys(map(str, Cause), 0.9), proven()
    sure = evolve(known, cells={("warm_up", "crash", 2): Tally(1e9, 1e9)})
    for outcomes, value, needs, done in ((known, 0.9, None, True), (sure, 1.0, 0.999, True), (sure, 1.0, 1.0, False)):
        given_ = case(CRASH, spec=evolve(SPEC, actions={"warm_up": NamedAction(run, helps=helps)}), outcomes=outcomes)
        stated = given_.stated("warm_up").value
        assert stated == pytest.approx(value, abs=0.1)
        action = NamedAction(run, helps=helps, needs=stated if needs is None else needs)
        bound = evolve(given_, spec=evolve(SPEC, actions={"warm_up": action}))
        assert bound.stated("warm_up").value == stated
        assert (forbids(bound, Perform("warm_up")) == "") is done


def test_what_lives_goes_on_where_only_a_person_may_act() -> None:
    given_ = case(FULL, spec=evolve(SPEC, actions={"warm_up": NamedAction(run, needs=0.9)}))
    assert decide(table([Rule("any", "perform:warm_up")]), given_).action == Resume()


@pytest.mark.parametrize("needs", [-0.1, 1.1, float("nan"), True, "0.9"])
def test_what_it_needs_is_a_probability(needs: Any) -> None:
    with pytest.raises(ValueError, match="needs is"):
        NamedAction(run, needs=needs)


def test_it_goes_just_further_than_letting_live() -> None:
    table([Rule("overloaded", "throttle", Risk.HIGH), Rule("overloaded", "perform:warm_up")])
    with pytest.raises(ValueError, match="answers overloaded at risk medium with perform:warm_up, which is less"):
        table([Rule("overloaded", "throttle", Risk.HIGH), Rule("overloaded", "perform:warm_up", Risk.MEDIUM),
               Rule("overloaded", "throttle")])  # fmt: skip


@pytest.mark.parametrize("context", ["rate_limited"])
def test_a_rate_limit_is_no_occasion_for_it(context: str) -> None:
    with pytest.raises(ValueError, match="can never perform:warm_up"):
        table([Rule(context, "perform:warm_up")])


def test_belief_takes_it_where_it_is_the_cheapest() -> None:
    helps = NamedAction(run, helps={"overload": 0.95})
    given_ = case(FULL, spec=evolve(SPEC, actions={"warm_up": helps}))
    policy = belief({**COSTS, "warm_up": 2.0})
    decision = decide(policy, given_)
    assert decision.action == Perform("warm_up")
    assert decision.confidence > 0.3
    assert not isinstance(decide(belief(), given_).action, Perform), "without a cost it is not considered"
    failed = decide(policy, after_its_failure(given_, down=False))
    assert failed.context.failed == 1
    assert not isinstance(failed.action, Perform)
    assert failed.case.belief.causes[Cause.OVERLOAD] < decision.case.belief.causes[Cause.OVERLOAD]


@given(st.floats(allow_nan=True), st.text(max_size=5))
def test_costs_that_are_none_are_refused(cost: float, name: str) -> None:
    if 0 <= cost < float("inf"):
        assert belief({**COSTS, name: cost}).costs[name] == cost
        return
    with pytest.raises(ValueError, match="costs"):
        belief({**COSTS, name: cost})


def test_what_is_believed_with_registered_actions_is_remembered() -> None:
    def registered(help: float) -> dict[str, NamedAction]:
        return {"warm_up": NamedAction(run, helps={"overload": help})}

    assert knowing(SHIPPED, registered(0.5)) is knowing(SHIPPED, registered(0.5))
    assert knowing(SHIPPED, registered(0.5)) != knowing(SHIPPED, registered(0.6))
    one, other = case(CRASH, registered=registered(0.5)), case(CRASH, registered=registered(0.5))
    assert one.belief is other.belief
    for n in range(1000):
        knowing(SHIPPED, registered(n / 1000))
    assert len(SHIPPED.knowing) <= 64
