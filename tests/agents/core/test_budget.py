"""What may be spent in a stretch of time: never more, whatever is asked for and however the clock goes on."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treewarden.agents.core.budget import Budget, Exceeded, Spent

amounts = st.floats(0.0, 12.0)
naps = st.floats(0.0, 90.0)


def spend(budget: Budget, asked: list[tuple[float, float]], now: float = 1.7e9) -> list[tuple[float, float]]:
    """What was granted, and when, if so much is asked for after naps."""
    spent, granted = Spent(), list[tuple[float, float]]()
    for nap, amount in asked:
        now += nap
        charged = budget.charge(spent, amount, now)
        if isinstance(charged, Spent):
            spent = charged
            granted.append((now, amount))
    return granted


@given(st.lists(st.tuples(naps, amounts), max_size=60))
def test_no_stretch_of_the_time_sees_more_than_the_most(asked: list[tuple[float, float]]) -> None:
    granted = spend(Budget(most=10.0, within=100.0), asked)
    for end, _ in granted:
        assert math.fsum(amount for at, amount in granted if end - 100.0 <= at <= end) <= 10.0 * (1 + 1e-6)


@given(st.lists(st.tuples(naps, amounts), max_size=60), amounts)
def test_what_is_refused_is_granted_after_the_time_that_was_said(
    asked: list[tuple[float, float]], amount: float
) -> None:
    budget, now, spent = Budget(most=10.0, within=100.0), 1.7e9, Spent()
    for nap, each in asked:
        now += nap
        charged = budget.charge(spent, each, now)
        spent = charged if isinstance(charged, Spent) else spent
    left = budget.left(spent, now)
    found = budget.charge(spent, amount, now)
    if isinstance(found, Spent):
        assert amount <= left + 1e-6
        assert budget.left(found, now) == pytest.approx(left - amount, abs=1e-6)
        return
    assert found.left == left < amount
    if amount > 10.0:
        assert found.until is None
    else:
        assert found.until is not None
        assert 0 < found.until - now <= 100.0 * 61 / 60 + 0.002
        assert isinstance(budget.charge(spent, amount, found.until), Spent)


@given(st.lists(st.tuples(naps, st.floats(0.0, 1.0)), max_size=400))
def test_what_is_remembered_does_not_grow(asked: list[tuple[float, float]]) -> None:
    budget, now, spent = Budget(most=1000.0, within=100.0), 1.7e9, Spent()
    for nap, amount in asked:
        now += nap
        charged = budget.charge(spent, amount, now)
        assert isinstance(charged, Spent)
        spent = charged
    assert len(spent.parts) <= 62


@given(st.lists(st.tuples(st.floats(-500.0, 0.0), st.floats(0.1, 4.0)), max_size=30))
def test_a_clock_that_is_set_back_has_nothing_spent_twice(asked: list[tuple[float, float]]) -> None:
    granted = spend(Budget(most=10.0, within=100.0), asked)
    assert math.fsum(amount for _, amount in granted) <= 10.0 * (1 + 1e-6)


def test_a_clock_that_was_wrong_by_years_is_forgotten_in_time() -> None:
    budget = Budget(most=10.0, within=60.0)
    spent = budget.charge(Spent(), 10.0, 4e9)
    assert isinstance(spent, Spent)
    assert isinstance(budget.charge(spent, 1.0, 1.7e9), Exceeded)
    spent = budget.as_of(spent, 1.7e9)
    assert isinstance(budget.charge(spent, 1.0, 1.7e9 + 62.0), Spent)


def test_tenths_add_up() -> None:
    budget, spent = Budget(most=1.0), Spent()
    for _ in range(10):
        charged = budget.charge(spent, 0.1, 1e9)
        assert isinstance(charged, Spent)
        spent = charged
    refused = budget.charge(spent, 0.1, 1e9)
    assert isinstance(refused, Exceeded)
    assert refused.left == pytest.approx(0.0, abs=1e-9)
    assert refused.until == pytest.approx(1e9 + 86400, abs=1500)
    assert isinstance(budget.charge(spent, 0.0, 1e9), Spent)


def test_what_was_more_or_less_than_was_asked_for() -> None:
    budget = Budget(most=10.0, within=60.0)
    spent = budget.charge(Spent(), 8.0, 1e9)
    assert isinstance(spent, Spent)
    assert budget.left(budget.correct(spent, -3.0, 1e9), 1e9) == 5.0
    over = budget.correct(spent, 7.0, 1e9)
    assert budget.left(over, 1e9) == 0.0
    assert isinstance(budget.charge(over, 0.5, 1e9 + 30), Exceeded)
    assert budget.left(over, 1e9 + 62) == 10.0
    assert budget.left(budget.correct(Spent(), -3.0, 1e9), 1e9) == 10.0


def test_another_budget_goes_on_with_what_was_spent() -> None:
    spent = Budget(most=10.0, within=60.0).charge(Spent(), 8.0, 1e9)
    assert isinstance(spent, Spent)
    assert Budget(most=20.0, within=600.0).left(spent, 1e9 + 10) == 12.0
    assert Budget(most=5.0, within=60.0).left(spent, 1e9 + 10) == 0.0


@pytest.mark.parametrize("most", [0, -1, math.inf, math.nan, "5", None, True])
def test_a_budget_that_is_none(most: Any) -> None:
    with pytest.raises(ValueError, match=r"most is .*; give a finite number above 0"):
        Budget(most=most)
    with pytest.raises(ValueError, match=r"within is .*; give a finite number above 0"):
        Budget(most=1.0, within=most)
