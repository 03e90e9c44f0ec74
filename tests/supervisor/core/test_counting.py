"""Outcomes that are counted on in place are those that are learned one by one, whoever looks at them and when."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from treewarden.supervisor.core.counting import Counting
from treewarden.supervisor.core.event import OutcomeObserved
from treewarden.supervisor.core.outcomes import ENOUGH, Outcomes, learn, learn_failed
from treewarden.supervisor.core.outcomes_data import as_data
from treewarden.supervisor.core.symptom import Symptom

from .cases import PATH

LET_LIVE = ("resume", Symptom.REPORTED)
FIXED = OutcomeObserved(
    path=PATH, incident="i", action="restart", kind="crash", outcome="fixed", confidence=0.7, model=0.7
)
DAY = 86400.0

models = st.one_of(st.sampled_from([0.0, 0.3, 0.34, 0.7, 1.0]), st.floats(0, 1))
lessons = st.tuples(
    st.floats(0, 1), models, st.sampled_from([0.0, 0.0, 0.001, 3.0, 60.0, DAY, 300 * DAY, -5.0]), st.integers(0, 40)
)
others = st.tuples(st.sampled_from([("restart", "crash"), ("throttle", "overloaded"), LET_LIVE]), lessons)


def learned(outcomes: Outcomes, lesson: tuple[float, float, float, int], at: float, of: tuple[str, str]) -> Outcomes:
    confidence, model, _, failed = lesson
    action, symptom = of
    return learn_failed(outcomes, action, f"{symptom}:slow", confidence, model, at, failed, symptom)


def all_of(outcomes: Outcomes) -> tuple[Any, ...]:
    """Everything that can be seen of them, also in which order; and as of when each count is."""
    cells, eases = ([(key, each, each.at) for key, each in part.items()] for part in (outcomes.cells, outcomes.eases))
    return outcomes, cells, eases, as_data(outcomes), outcomes.brier_skill, list(outcomes.recent)


@settings(max_examples=150)
@given(
    st.lists(others, max_size=4),
    st.lists(st.tuples(lessons, st.booleans()), min_size=1, max_size=80),
    st.lists(st.integers(0, 80), max_size=6),
    st.lists(st.tuples(models, st.integers(0, 9)), min_size=1, max_size=3),
)
def test_counted_in_place_or_learned_one_by_one(
    before: list[tuple[tuple[str, str], tuple[float, float, float, int]]],
    told: list[tuple[tuple[float, float, float, int], bool]],
    asked: list[int],
    numbers: list[tuple[float, int]],
) -> None:
    at, outcomes = 1000.0, Outcomes()
    for of, lesson in before:
        at += lesson[2]
        outcomes = learned(outcomes, lesson, at, of)
    counting, one_by_one = Counting(outcomes), [outcomes]
    for place, (lesson, looked_at) in enumerate(told, 1):
        at += lesson[2]
        confidence, model, _, failed = lesson
        counting.failed(confidence, model, at, failed)
        one_by_one.append(learned(one_by_one[-1], lesson, at, LET_LIVE))
        assert counting.count == place
        for number, times in numbers:
            action, symptom = LET_LIVE
            slow = one_by_one[-1].numbers(number, action, "reported:odd", pooled=True, failed=times, symptom=symptom)
            assert counting.numbers(number, times) == slow
        if looked_at:
            assert all_of(counting.outcomes) == all_of(one_by_one[-1])
    for count in (*asked, len(told), 0):
        if count <= len(told):
            assert all_of(counting.as_of(count)) == all_of(one_by_one[count])


def test_more_than_are_remembered() -> None:
    """The last outcomes, and their errors, go on where there were some before, and where all of those are gone."""
    outcomes = Outcomes(recent=tuple((0.9, n % 3 > 0) for n in range(ENOUGH - 30)))
    for many in (1, 29, 30, 31, ENOUGH - 1, ENOUGH, 2 * ENOUGH + 7):
        counting, one_by_one = Counting(outcomes), outcomes
        for n in range(many):
            lesson = n / many, 0.3, 0.0, 2
            counting.failed(*lesson[:2], 5.0 + n, 2)
            one_by_one = learned(one_by_one, lesson, 5.0 + n, LET_LIVE)
        assert all_of(counting.outcomes) == all_of(one_by_one)
        for told in (counting.outcomes, one_by_one):
            later = learn(learn(told, FIXED, 0.0), FIXED, 0.0)
            assert later.brier_skill == Outcomes(recent=tuple(later.recent)).brier_skill != 0


def test_it_is_begun_anew_before_it_is_long() -> None:
    counting = Counting(Outcomes())
    while not counting.full:
        counting.failed(0.3, 0.3, 1.0, 0)
    assert counting.count == 64
