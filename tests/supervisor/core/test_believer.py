"""belief(): what it thinks is wrong, what it does about it, and when it leaves the decision to the ladder."""

from __future__ import annotations

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from treewarden.supervisor.core.action import FallBack, Hold, Restart, RollBack, SetAside, Throttle, action_name
from treewarden.supervisor.core.believer import JUDGED_FROM, belief, discredited
from treewarden.supervisor.core.case import Case
from treewarden.supervisor.core.confidence import PRIOR, Belief, Cause
from treewarden.supervisor.core.decision import decide
from treewarden.supervisor.core.ladder import ladder
from treewarden.supervisor.core.likelihoods import SHIPPED
from treewarden.supervisor.core.outcomes import Outcomes
from treewarden.supervisor.core.plan import COSTS, plan
from treewarden.supervisor.core.signal import Reported, Stalled
from treewarden.supervisor.core.spec import ChildSpec
from treewarden.supervisor.core.symptom import Symptom

from .cases import PATH, SPEC, answer_of, case, cases, exited, failed

BELIEF = belief()


def likeliest(given: Case) -> str:
    return str(next(iter(given.belief.causes)))


def test_a_first_crash_is_started_again() -> None:
    assert isinstance(answer_of(BELIEF, case()), (Restart, Throttle))


def test_a_message_that_was_in_hand_each_time_is_set_aside() -> None:
    crash = exited(failed("TypeError", message="m1"), deliveries=2)
    given = case(crash, crash)
    assert likeliest(given) == Cause.POISON_MESSAGE
    assert answer_of(BELIEF, given) == SetAside("m1", 2.0)


def test_a_state_that_does_not_hold_together_is_rolled_back() -> None:
    crash = exited(failed("CorruptLedger"), at=100.0)
    given = case(crash, crash, checkpoints=3)
    assert likeliest(given) == Cause.BAD_STATE
    assert isinstance(answer_of(BELIEF, given), RollBack)


def test_new_code_that_fails_everywhere_falls_back_where_a_variant_is_declared() -> None:
    crash = exited(failed("TypeError"), at=100.0)
    spec = evolve(SPEC, variants={"old": object})
    given = case(crash, crash, crash, spec=spec, code_changed_at=50.0, actions=(Restart(), Restart()))
    assert likeliest(given) == Cause.BAD_VERSION
    assert answer_of(BELIEF, given) == FallBack("old", answer_of(BELIEF, given).after)  # type: ignore[union-attr]
    assert not isinstance(answer_of(BELIEF, evolve(given, spec=SPEC)), FallBack)


def test_who_drowns_is_started_again_with_its_intake_closed() -> None:
    crash = exited(failed("ServiceOverloaded"), at=100.0)
    queue = Reported(path=PATH, at=90.0, kind="queue_depth", severity=0.4)
    given = case(queue, crash)
    assert likeliest(given) == Cause.OVERLOAD
    assert isinstance(answer_of(BELIEF, given), Throttle)


def test_growing_memory_speaks_for_a_leak_and_its_absence_says_nothing() -> None:
    memory = Reported(path=PATH, at=90.0, kind="memory_slope", severity=0.4)
    assert likeliest(case(memory, exited(failed("MemoryError")))) == Cause.LEAK
    seen, plain = PRIOR.seeing(Symptom.CRASH, Symptom.MEMORY_GROWS), PRIOR.seeing(Symptom.CRASH)
    assert seen.causes[Cause.LEAK] > 3 * plain.causes[Cause.LEAK]
    old = case(evolve(memory, at=-900.0), exited(failed("MemoryError")))
    assert not old.context.shows(Symptom.MEMORY_GROWS)


def test_in_the_end_a_person_is_asked() -> None:
    crash = exited(at=100.0)
    given = case(*[crash] * 30, actions=(Restart(),) * 29, checkpoints=0)
    assert isinstance(answer_of(belief({**COSTS, "hold": 1.0}), given), Hold)


def test_what_failed_is_not_what_is_tried_for_ever() -> None:
    stall = Stalled(path=PATH, at=100.0, idle=20.0, limit=20.0)
    first = answer_of(BELIEF, case(stall))
    assert isinstance(first, Restart)
    later = answer_of(BELIEF, case(*[stall] * 8, actions=(Restart(),) * 7, checkpoints=3))
    assert not isinstance(later, Restart)


def test_where_its_record_shows_no_skill_the_ladder_decides() -> None:
    wrong = Outcomes(recent=((0.9, False), (0.1, True)) * (JUDGED_FROM // 2))
    few = Outcomes(recent=tuple(wrong.recent)[:-1])
    good = Outcomes(recent=((0.9, True), (0.1, False)) * (JUDGED_FROM // 2))
    assert discredited(wrong)
    assert not discredited(few)
    assert not discredited(good)
    crash = exited(failed("TypeError", message="m1"), deliveries=2)
    given = case(crash, crash, outcomes=wrong)
    assert decide(BELIEF, given).rule == decide(ladder(), given).rule
    assert decide(BELIEF, given).rejected == decide(ladder(), given).rejected
    assert decide(BELIEF, evolve(given, outcomes=good)).rule == "expected cost"


@given(cases())
def test_its_plans_are_priced_in_order_and_explained(given: Case) -> None:
    decision = decide(BELIEF, given)
    assert decision.chosen == decide(BELIEF, given).chosen
    if decision.rule == "expected cost":
        assert "nats; expected cost" in decision.chosen.reason
        assert all(other.why.startswith("expected cost") for other in decision.rejected)


def test_a_plan_costs_what_its_parts_cost() -> None:
    steps = plan(PRIOR.seeing(Symptom.CRASH), ("restart", "roll_back", "hold"))
    assert [step.cost for step in steps] == sorted(step.cost for step in steps)
    assert {step.action for step in steps} == {"restart", "roll_back", "hold"}
    for step in steps:
        assert 0 <= step.p <= 1
        assert COSTS[step.action] <= step.cost
    hold = next(step for step in steps if step.action == "hold")
    assert (hold.cost, hold.then) == (COSTS["hold"], ())
    assert steps[0].then
    assert plan(PRIOR, ("restart",), depth=1)[0].cost == pytest.approx(18 + (1 - plan(PRIOR, ("restart",))[0].p) * 1400)


def test_dear_actions_are_avoided() -> None:
    crash = exited(failed("CorruptLedger"), at=100.0)
    given = case(crash, crash, checkpoints=3)
    dear = belief({**COSTS, "roll_back": 1e6})
    assert action_name(answer_of(dear, given)) != "roll_back"


@pytest.mark.parametrize("cost", [None, -1.0, float("nan"), float("inf")])
def test_costs_that_are_none_are_refused(cost: float | None) -> None:
    costs = {name: price for name, price in {**COSTS, "restart": cost}.items() if price is not None}
    with pytest.raises(ValueError, match=r"costs\['restart'\] is"):
        belief(costs)


def test_a_variant_that_is_not_declared_is_never_taken() -> None:
    spec = ChildSpec(id="a", agent=object)
    assert case(spec=spec).variant == ""
    assert case(spec=evolve(spec, variants={"b": object, "a": object})).variant == "b"


@given(
    st.permutations(["restart", "roll_back", "throttle", "break", "hold"]),
    st.dictionaries(st.sampled_from(["restart", "throttle"]), st.integers(0, 3)),
    st.booleans(),
    st.sampled_from([1.0, 20.0]),
    st.integers(1, 3),
)
def test_a_plan_that_is_remembered_is_the_one_that_would_be_made(
    actions: list[str], failed: dict[str, int], down: bool, dearer: float, depth: int
) -> None:
    costs = {**COSTS, "restart": COSTS["restart"] * dearer}
    belief, new = PRIOR.seeing(Symptom.CRASH), Belief(by=evolve(SHIPPED)).seeing(Symptom.CRASH)
    expected = plan(new, actions[:3], costs, failed=failed, down=down, depth=depth)
    for _ in range(2):
        assert plan(belief, actions[:3], costs, failed=failed, down=down, depth=depth) == expected
