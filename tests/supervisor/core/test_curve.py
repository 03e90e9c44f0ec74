"""The map from a number of the belief's to what such numbers have come to."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treewarden.supervisor.core.curve import NOTHING, UNSEEN, Curve, Ease, curve_of, faded, mapped, seen

numbers = st.floats(0, 1)
cases = st.lists(st.tuples(numbers, st.booleans()), max_size=60)
starts = st.floats(-2, 3)
some = st.lists(st.tuples(numbers, st.booleans(), st.integers(0, 40), starts), max_size=60)


def after(observed: list[tuple[float, bool]], curve: Curve = NOTHING) -> Curve:
    """With these cases, each of another kind of attempt."""
    for p, fixed in observed:
        curve, _ = seen(curve, p, fixed)
    return curve


def drawn(up: float, slope: float, count: int) -> list[tuple[float, bool]]:
    """Cases of numbers that come true as often as this curve says."""
    rng = random.Random(7)
    numbers = [rng.uniform(0.2, 0.76) for _ in range(count)]
    return [(p, rng.random() < truth(up, slope, p)) for p in numbers]


def truth(up: float, slope: float, p: float) -> float:
    return 1 / (1 + math.exp(-(up + slope * math.log(p / (1 - p)))))


@given(cases, numbers)
def test_what_comes_of_it_is_a_probability(observed: list[tuple[float, bool]], p: float) -> None:
    curve = after(observed)
    assert 0 < mapped(curve, p) < 1
    assert curve_of(list(curve)) == curve


@given(some, numbers, st.integers(0, 40), st.floats(0, 1))
def test_it_stays_a_curve_whatever_is_seen(
    observed: list[tuple[float, bool, int, float]], p: float, failed: int, share: float
) -> None:
    curve, ease = NOTHING, UNSEEN
    for number, fixed, before, start in observed:
        curve, ease = seen(curve, number, fixed, before, start=start, ease=ease)
    assert ease[0] >= 0
    for each in (curve, faded(curve, share)):
        assert curve_of(list(each)) == each
        assert 0 < mapped(each, p, failed, ease=ease) < 1
        assert mapped(each, p, failed, ease=(5.0, -3.0)) < mapped(each, p, failed, ease=(5.0, 3.0))


@given(cases, numbers)
def test_a_case_that_came_true_never_lowers_a_number(observed: list[tuple[float, bool]], p: float) -> None:
    curve = after(observed)
    before = mapped(curve, p)
    if 0.1 < before < 0.9:  # further out, to know more may outweigh what is known
        up, easier = seen(curve, p, fixed=True)
        down, harder = seen(curve, p, fixed=False)
        assert mapped(up, p) > before > mapped(down, p)
        assert mapped(up, p, ease=easier) > mapped(up, p)
        assert mapped(down, p) > mapped(down, p, ease=harder)


@pytest.mark.parametrize(("up", "slope"), [(0.3, 1.0), (-0.6, 0.7), (0.9, 0.5), (0.0, 0.9), (-1.2, 0.4)])
def test_it_finds_what_numbers_come_to(up: float, slope: float) -> None:
    curve = after(drawn(up, slope, 2000))
    for p in (0.25, 0.3, 0.5, 0.7):
        assert mapped(curve, p) == pytest.approx(truth(up, slope, p), abs=0.05)


@pytest.mark.parametrize("vain", [-0.1, -1.2])
def test_it_finds_what_comes_of_what_has_failed_before(vain: float) -> None:
    rng, curve = random.Random(3), NOTHING
    for n in range(1500):
        p, failed = rng.uniform(0.2, 0.76), n % 3
        comes_true = 1 / (1 + math.exp(-(0.3 + 0.8 * math.log(p / (1 - p)) + 0.5 * vain * failed)))
        curve, _ = seen(curve, p, rng.random() < comes_true, failed)
    assert mapped(curve, 0.6) == pytest.approx(truth(0.3, 0.8, 0.6), abs=0.05)
    assert mapped(curve, 0.6, 2) == pytest.approx(truth(0.3 + vain, 0.8, 0.6), abs=0.05)
    assert mapped(curve, 0.6, 4) == mapped(curve, 0.6, 40), "the fifth failure says no more than the fourth"


@pytest.mark.parametrize("easier", [-1.5, 1.2])
def test_it_finds_that_one_kind_of_attempt_is_easier_than_others(easier: float) -> None:
    rng, curve, eases = random.Random(5), NOTHING, {0: UNSEEN, 1: UNSEEN, 2: UNSEEN}
    for n in range(1800):
        p, kind = rng.uniform(0.2, 0.76), n % 3
        comes_true = rng.random() < truth(0.3 + easier * (kind == 1), 0.8, p)
        curve, eases[kind] = seen(curve, p, comes_true, ease=eases[kind])
    for kind, ease in eases.items():
        assert mapped(curve, 0.5, ease=ease) == pytest.approx(truth(0.3 + easier * (kind == 1), 0.8, 0.5), abs=0.07)


def test_a_head_start_is_where_it_begins_and_is_unlearned() -> None:
    assert mapped(NOTHING, 0.5, start=-1.0) < mapped(NOTHING, 0.5) - 0.08 < mapped(NOTHING, 0.5, start=1.0) - 0.16
    curve, ease = NOTHING, UNSEEN
    for n in range(400):
        curve, ease = seen(curve, 0.5, n % 10 < 8, start=-1.6, ease=ease)
    assert mapped(curve, 0.5, start=-1.6, ease=ease) == pytest.approx(0.8, abs=0.05)


def test_what_one_kind_of_attempt_came_to_says_less_of_others() -> None:
    curve, ease = NOTHING, UNSEEN
    for _ in range(20):
        curve, ease = seen(curve, 0.6, fixed=False, ease=ease)
    assert mapped(curve, 0.6, ease=ease) + 0.1 < mapped(curve, 0.6) < mapped(NOTHING, 0.6)


def falls_to(times: int) -> Ease:
    ease = UNSEEN
    for _ in range(times):
        _, ease = seen(NOTHING, 0.6, fixed=False, ease=ease)
    return ease


def test_an_ease_grows_surer_with_each_case() -> None:
    assert 0 == falls_to(0)[0] < falls_to(1)[0] < falls_to(9)[0]
    assert mapped(NOTHING, 0.6, ease=falls_to(9)) < mapped(NOTHING, 0.6, ease=falls_to(1)) < mapped(NOTHING, 0.6)


def test_few_cases_move_it_little() -> None:
    before = mapped(NOTHING, 0.7)
    assert before - 0.12 < mapped(after([(0.7, False)]), 0.7) < before
    assert mapped(after([(0.7, False)] * 30), 0.7) < before / 2


def test_what_fades_is_forgotten() -> None:
    curve = after([(0.7, False)] * 30)
    half = faded(curve, 0.5)
    assert mapped(curve, 0.7) < mapped(half, 0.7) < mapped(NOTHING, 0.7)
    assert faded(curve, 0.0) == pytest.approx(NOTHING)
    assert faded(half, 0.5) == pytest.approx(faded(curve, 0.25)), "it is the time that counts, not how often one looks"


def test_what_is_impossible_and_what_is_certain_by_the_belief_come_to_something_else() -> None:
    assert 0.3 < mapped(NOTHING, 0.0) == mapped(NOTHING, 0.2) < 0.5
    assert 0.65 < mapped(NOTHING, 1.0) == mapped(NOTHING, 0.76) < 0.8


@pytest.mark.parametrize(
    "stored", [(), (1.0,), (math.nan,) * 9, (*NOTHING, 0.0), (1.0, 2.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0)]
)
def test_what_was_stored_otherwise_is_nothing(stored: tuple[float, ...]) -> None:
    assert curve_of(stored) == NOTHING
