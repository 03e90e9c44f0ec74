"""What was observed, and what it makes of a stated confidence."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treewarden.supervisor.core.curve import NOTHING, mapped
from treewarden.supervisor.core.event import Event, OutcomeObserved, TreeClosed
from treewarden.supervisor.core.head_start import head_start
from treewarden.supervisor.core.outcomes import ENOUGH, Outcomes, Tally, learn
from treewarden.supervisor.core.outcomes_data import as_data, outcomes_of

from .cases import PATH

DAY = 86400.0


def seen(outcome: str = "fixed", **given: Any) -> OutcomeObserved:
    defaults: dict[str, Any] = {"action": "restart", "kind": "crash", "confidence": 0.7, "model": 0.7}
    return OutcomeObserved(path=PATH, incident="i1", outcome=outcome, **{**defaults, **given})


def learned(*events: Event, at: float = 0.0, outcomes: Outcomes | None = None) -> Outcomes:
    found = outcomes or Outcomes()
    for event in events:
        found = learn(found, event, at)
    return found


def test_a_number_without_cases_is_the_models_own() -> None:
    stated = Outcomes().stated(0.62, "restart", "crash")
    assert (stated.value, stated.model, stated.evidence, stated.calibrated) == (0.62, 0.62, 0.0, False)
    mapped_only = Outcomes().stated(0.62, "restart", "crash", pooled=True)
    start = head_start("restart", "crash", "crash")
    assert (mapped_only.value, mapped_only.model) == (round(mapped(NOTHING, 0.62, start=start), 4), 0.62)


def test_it_is_shrunk_towards_what_was_observed() -> None:
    outcomes = learned(*[seen("failed")] * 8, *[seen("fixed")] * 2)
    stated = outcomes.stated(0.7, "restart", "crash")
    assert stated.value == pytest.approx((10 * 0.7 + 2) / (10 + 10))
    assert stated.evidence == 10
    start, ease = head_start("restart", "crash", "crash"), outcomes.eases["restart", "crash"].ease
    mapped_here = mapped(outcomes.curve, 0.7, start=start, ease=ease)
    assert mapped_here < mapped(outcomes.curve, 0.7, start=start) < mapped(NOTHING, 0.7, start=start)
    pooled = outcomes.stated(0.7, "restart", "crash", pooled=True)
    assert pooled.value == pytest.approx((400 * mapped_here + 2) / (400 + 10), abs=1e-4)
    assert outcomes.stated(0.7, "roll_back", "crash").value == 0.7
    elsewhere = outcomes.stated(0.7, "roll_back", "crash", pooled=True)
    more = head_start("roll_back", "crash", "crash")
    assert elsewhere.value == round(mapped(outcomes.curve, 0.7, start=more), 4) > pooled.value
    again = outcomes.stated(0.7, "roll_back", "crash", pooled=True, failed=2)
    assert again.value == round(mapped(outcomes.curve, 0.7, 2, start=more), 4) < elsewhere.value
    assert outcomes.stated(0.7, "roll_back", "crash").evidence == elsewhere.evidence == 0
    assert outcomes.stated(0.7, "restart", "stalled").evidence == 0
    assert outcomes.stated(0.5, "restart", "crash").evidence == 0
    assert outcomes.tally("restart", "crash") == Tally(10, 2)


def test_what_an_action_comes_to_is_kept_for_each_symptom() -> None:
    code = [seen("failed", symptom="code_error")] * 6
    outcomes = learned(*code, *[seen("fixed", symptom="timeout")] * 6)
    assert set(outcomes.eases) == {("restart", "code_error"), ("restart", "timeout")}

    def stated(symptom: str) -> float:
        return outcomes.stated(0.5, "restart", "crash", pooled=True, symptom=symptom).value

    assert stated("code_error") < Outcomes().stated(0.5, "restart", "crash", pooled=True, symptom="code_error").value
    assert stated("code_error") + 0.2 < stated("connection") < stated("timeout")


def apart(*steps: float, failed: tuple[int, ...] = (0,)) -> float:
    """What is stated after outcomes so many seconds after one another, each after so many failures."""
    outcomes, at = Outcomes(), 1000.0
    for place, step in enumerate(steps):
        at += step
        outcomes = learn(outcomes, seen("failed", failed=failed[place % len(failed)]), at)
    value, _ = outcomes.numbers(0.7, "roll_back", "stalled", pooled=True)
    return value


def test_outcomes_of_one_fault_are_hardly_more_than_one() -> None:
    nothing, one = apart(), apart(0)
    assert one - apart(0, 5, 0, 30) < 0.5 * (nothing - one)
    assert one - apart(0, 60, 3600, 60) > 1.2 * (nothing - one), "those of several faults are more"
    assert one - apart(0, 1, 1, 1, failed=(0, 1, 2, 3)) > nothing - one, "one after the other in one incident"
    assert apart(0, 1, 1, failed=(4, 4, 4)) == apart(0, 60, 60, failed=(4,)), "so long are the incidents of few"


def test_a_clock_that_goes_back_makes_no_other_fault_of_it() -> None:
    assert apart(0, -5000) == apart(0, 0)


@pytest.mark.parametrize(
    ("action", "symptom", "kind", "sign"),
    [
        ("restart", "code_error", "crash", -1),
        ("throttle", "bad_state", "start_failed", -1),
        ("restart", "crash", "crash", -1),
        ("restart", "timeout", "crash", 0),
        ("restart", "stalled", "stalled", 0),
        ("throttle", "rate_limited", "rate_limited", 1),
        ("throttle", "reported", "reported", 0),
        ("roll_back", "bad_state", "crash", 1),
        ("roll_back", "stalled", "stalled", 1),
        ("break", "connection", "crash", 1),
        ("break", "rate_limited", "rate_limited", 0),
        ("resume", "reported", "reported", -1),
        ("hold", "stalled", "stalled", 1),
        ("cache_warmup", "crash", "crash", 0),
        ("restart", "siblings_alike", "crash", 1),
        ("resume", "siblings_alike", "reported", -1),
    ],
)
def test_where_attempts_begin(action: str, symptom: str, kind: str, sign: int) -> None:
    start = head_start(action, symptom, kind)
    assert (start > 0) - (start < 0) == sign


def test_what_has_struck_several_begins_higher_than_what_is_one_childs_own() -> None:
    for action in ("restart", "throttle", "break", "roll_back", "resume"):
        assert head_start(action, "siblings_alike", "crash") > head_start(action, "timeout", "crash")
    assert head_start("hold", "siblings_alike", "crash") == head_start("hold", "timeout", "crash")


def test_certainty_is_no_band_of_its_own() -> None:
    outcomes = learned(seen(confidence=0.0, model=1.0), seen(model=0.81))
    assert outcomes.stated(1.0, "restart", "crash").evidence == 2


def test_reports_are_counted_together() -> None:
    outcomes = learned(seen(kind="reported:slow"), seen(kind="reported:down"))
    assert outcomes.stated(0.7, "restart", "reported").evidence == 2
    assert outcomes.tally("restart", "reported:odd").cases == 2


@pytest.mark.parametrize(
    "event",
    [
        seen("unobserved"),
        seen("odd"),
        TreeClosed(reason="done"),
        seen(confidence=math.nan),
        seen(confidence=-0.1),
        seen(model=1.1),
        seen(model=math.inf),
        seen(kind="recovered:slow"),
        seen(kind="operator:restart"),
    ],
)
def test_what_teaches_nothing(event: Event) -> None:
    assert learned(event) == Outcomes()


def test_an_odd_time_teaches_nothing() -> None:
    assert learned(seen(), at=math.nan) == Outcomes()


def test_evidence_fades_with_time_and_not_with_calls() -> None:
    outcomes = learned(*[seen()] * 100)
    assert outcomes.stated(0.7, "restart", "crash").evidence == 100
    assert outcomes.aged(30 * DAY).stated(0.7, "restart", "crash").evidence == pytest.approx(50)
    later = learn(outcomes, seen("failed", action="hold"), 60 * DAY)
    assert later.stated(0.7, "restart", "crash").evidence == pytest.approx(25)
    assert outcomes.aged(-DAY) == outcomes
    assert outcomes.aged(10_000 * DAY).cells == outcomes.aged(10_000 * DAY).eases == {}
    forgotten = outcomes.aged(10_000 * DAY).stated(0.7, "restart", "crash", pooled=True).value
    assert forgotten == Outcomes().stated(0.7, "restart", "crash", pooled=True).value
    for _ in range(1000):
        outcomes.stated(0.7, "restart", "crash")
    assert outcomes.stated(0.7, "restart", "crash").evidence == 100


def test_a_confidence_is_calibrated_once_it_has_earned_it() -> None:
    good = [seen("fixed", confidence=0.9), seen("fixed", confidence=0.9), seen("failed", confidence=0.1)]
    outcomes = learned(*good * (ENOUGH // 3))
    assert outcomes.brier_skill > 0.9
    assert not outcomes.calibrated
    outcomes = learned(*good, outcomes=outcomes)
    assert outcomes.calibrated
    assert outcomes.stated(0.7, "restart", "crash").calibrated
    wrong = [seen("failed", confidence=0.9), seen("fixed", confidence=0.1)]
    assert not learned(*wrong * 60, outcomes=outcomes).calibrated


def test_the_base_rate_alone_is_no_skill() -> None:
    fair = [seen("fixed", confidence=0.5), seen("failed", confidence=0.5)]
    assert learned(*fair * ENOUGH).brier_skill == pytest.approx(0.0)
    assert learned(*[seen("fixed", confidence=1.0)] * ENOUGH).brier_skill == 0.0
    assert Outcomes().brier_skill == 0.0


@given(
    st.lists(
        st.tuples(st.sampled_from(["fixed", "failed"]), st.floats(0, 1), st.floats(0, 1), st.floats(-DAY, 90 * DAY)),
        max_size=30,
    ),
    st.floats(0, 1),
)
def test_what_is_stated_is_a_probability(events: list[tuple[str, float, float, float]], model: float) -> None:
    outcomes, at = Outcomes(), 0.0
    for outcome, confidence, said, step in events:
        at += step
        outcomes = learn(outcomes, seen(outcome, confidence=confidence, model=said), at)
    stated = outcomes.stated(model, "restart", "crash")
    assert 0.0 <= stated.value <= 1.0
    assert 0.0 <= stated.evidence <= len(events) + 1e-9
    assert outcomes.brier_skill <= 1.0
    assert len(outcomes.recent) <= ENOUGH


def test_what_is_stored_states_the_same() -> None:
    outcomes = learned(*[seen("failed")] * 8, seen(model=0.2), at=5.0)
    again = outcomes_of(as_data(outcomes))
    for model in (0.2, 0.7):
        assert again.stated(model, "restart", "crash", pooled=True) == outcomes.stated(
            model, "restart", "crash", pooled=True
        )
        assert again.bin(model) == outcomes.bin(model)
    assert again.eases == outcomes.eases
    assert again.lately == outcomes.lately == {0: 5.0}


@pytest.mark.parametrize("half_life", [0.0, -1.0, math.nan, math.inf])
def test_a_half_life_is_a_time(half_life: float) -> None:
    with pytest.raises(ValueError, match="half_life"):
        Outcomes(half_life)
