"""The belief over causes: what symptoms and failed attempts say, and P(fix)."""

from __future__ import annotations

import math

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from treewarden.supervisor.core.action import Action, Hold, Restart, RollBack, SetAside, Throttle, action_name
from treewarden.supervisor.core.case import Case
from treewarden.supervisor.core.confidence import PRIOR, Belief, Cause, believe, p_fix
from treewarden.supervisor.core.signal import RateLimitReached, Stalled
from treewarden.supervisor.core.symptom import Symptom

from .cases import PATH, actions, case, cases, exited, failed, grown

S = Symptom
NAMES = ["resume", "restart", "roll_back", "throttle", "break", "set_aside", "recycle", "hold", "stop", "escalate"]


def most_likely(*symptoms: Symptom) -> Cause:
    return next(iter(PRIOR.seeing(*symptoms).causes))


@pytest.mark.parametrize(
    ("symptoms", "cause"),
    [
        ((), Cause.TRANSIENT),
        ((S.CRASH,), Cause.TRANSIENT),
        ((S.KILLED,), Cause.TRANSIENT),
        ((S.OVERLOADED,), Cause.OVERLOAD),
        ((S.BAD_STATE, S.REFAIL_FAST, S.NOTHING_SETTLED), Cause.BAD_STATE),
        ((S.CODE_ERROR, S.REFAIL_FAST, S.CODE_CHANGED), Cause.BAD_VERSION),
        ((S.CONNECTION, S.SIBLINGS_ALIKE), Cause.DEPENDENCY_DOWN),
        ((S.OUT_OF_MEMORY,), Cause.LEAK),
        ((S.STALLED,), Cause.HANG),
        ((S.RATE_LIMITED,), Cause.RATE_LIMITED),
        ((S.CODE_ERROR, S.REFAIL_FAST, S.SAME_MESSAGE), Cause.POISON_MESSAGE),
    ],
)
def test_the_most_likely_cause(symptoms: tuple[Symptom, ...], cause: Cause) -> None:
    assert most_likely(*symptoms) is cause


def test_failed_attempts_move_the_belief() -> None:
    """b(cause) *= 1 - P(fix | cause, action), to the digit."""
    before = PRIOR.seeing(S.CRASH)
    after = before.without_help_from("restart")
    ratio = {cause: after.causes[cause] / before.causes[cause] for cause in Cause}
    assert ratio[Cause.TRANSIENT] / ratio[Cause.BAD_STATE] == pytest.approx((1 - 0.92) / (1 - 0.05))
    assert before.causes[Cause.TRANSIENT] > 0.7
    assert next(iter(after.without_help_from("restart").causes)) is not Cause.TRANSIENT
    assert p_fix(after, "restart") < p_fix(before, "restart") - 0.3
    assert p_fix(after, "roll_back") < p_fix(before, "roll_back")


def test_a_belief_looks_at_failed_attempts_only() -> None:
    crash = exited()
    context = case(crash).context
    assert believe(context, grown(crash)) == PRIOR.seeing(S.CRASH, first=True)
    after = believe(context, grown(crash, crash, actions=(RollBack(1),)))
    assert after == PRIOR.seeing(S.CRASH).without_help_from("roll_back")


def test_what_takes_two_failures_to_be_seen_is_not_missed_at_the_first() -> None:
    first, later = PRIOR.seeing(S.CRASH, first=True).causes, PRIOR.seeing(S.CRASH).causes
    assert first[Cause.BAD_STATE] / first[Cause.TRANSIENT] == pytest.approx(
        later[Cause.BAD_STATE] / later[Cause.TRANSIENT] * (0.88 * 0.92) / (0.30 * 0.40)
    )
    crash = exited()
    context = case(crash).context
    assert believe(context, grown(crash)).causes == first
    assert believe(context, grown(crash, crash, actions=(Throttle(1.0),))).causes != first


def test_no_cause_is_ever_impossible() -> None:
    belief = PRIOR.seeing(S.CRASH).without_help_from(*["restart"] * 1000)
    assert min(belief.weights) >= 1e-10
    assert next(iter(belief.without_help_from(*["roll_back", "set_aside", "break", "throttle"] * 40).causes))


def test_asking_a_person_says_nothing_about_the_cause() -> None:
    assert PRIOR.without_help_from("hold", "stop", "escalate") == Belief(
        tuple(w / sum(PRIOR.weights) for w in PRIOR.weights)
    )


@pytest.mark.parametrize(
    ("given", "best"),
    [
        (case(exited(failed("MemoryError"))), Restart()),
        (case(Stalled(path=PATH, at=1.0, idle=9.0, limit=3.0)), Restart()),
        (case(*[exited(failed("KeyError", message="m1"), deliveries=n) for n in (1, 2)]), SetAside("m1")),
        (case(*[exited(failed("json.JSONDecodeError"), at=float(at)) for at in range(4)]), RollBack(1)),
    ],
)
def test_the_best_machine_answer(given: Case, best: Action) -> None:
    machine = [name for name in NAMES if name not in ("hold", "stop", "escalate", "recycle")]
    ranked = sorted(machine, key=lambda name: -p_fix(given.belief, name))
    assert ranked[0] == action_name(best)


def test_a_rate_limit_is_best_throttled() -> None:
    given = case(RateLimitReached(path=PATH, at=1.0))
    assert max(NAMES[:7], key=lambda name: p_fix(given.belief, name)) == "throttle"


@given(
    st.lists(st.sampled_from(list(S)), max_size=8),
    st.lists(st.sampled_from(NAMES), max_size=50),
    actions.map(action_name),
)
def test_every_number_is_a_probability(symptoms: list[Symptom], tried: list[str], action: str) -> None:
    belief = PRIOR.seeing(*symptoms).without_help_from(*tried)
    causes = belief.causes
    assert set(causes) == set(Cause)
    assert sum(causes.values()) == pytest.approx(1.0)
    assert list(causes.values()) == sorted(causes.values(), reverse=True)
    assert 0.0 < p_fix(belief, action) <= 1.0


@given(cases(), st.sampled_from(NAMES[:7]))
def test_an_action_that_failed_is_believed_in_less(given: Case, action: str) -> None:
    belief = given.belief
    assert p_fix(belief.without_help_from(action), action) <= p_fix(belief, action) + 1e-12


@pytest.mark.parametrize(
    "weights",
    [(), (1.0,) * 8, (1.0,) * 10, (math.nan, *[1.0] * 8), (-0.1, *[1.0] * 8), (math.inf, *[1.0] * 8), (0.0,) * 9],
)
def test_what_is_no_weight_gets_in_nowhere(weights: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="weights"):
        Belief(weights)
    with pytest.raises(ValueError, match="weights"):
        evolve(PRIOR, weights=weights)


def test_a_cause_may_be_ruled_out() -> None:
    assert Belief((1.0, *[0.0] * 8)).causes[Cause.TRANSIENT] == 1.0


def test_holding_is_the_surest_and_the_slowest() -> None:
    assert p_fix(PRIOR, action_name(Hold("?"))) > 0.85
