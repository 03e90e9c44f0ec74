"""Making a failing run small, as a search over values: what is needed is kept, and the number of runs has an end."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treewarden.topologies.core.faults import Injection, Trigger
from treewarden.topologies.core.intervals import clopper_pearson, said
from treewarden.topologies.core.shrinking import Reduced, shrink


def injections(count: int) -> tuple[Injection, ...]:
    return tuple(Injection("kill", f"slot{number}", float(number + 1)) for number in range(count))


@given(st.integers(0, 12), st.sets(st.integers(0, 11)), st.floats(0.05, 1.0))
def test_what_is_needed_is_what_is_left(count: int, needed: set[int], least: float) -> None:
    every = injections(count)
    wanted = {f"slot{number}" for number in needed if number < count}
    runs: list[Reduced] = []

    def fails(candidate: Reduced) -> bool:
        runs.append(candidate)
        return wanted <= {each.target for each in candidate.injections} and candidate.scale >= least

    small = shrink(Reduced(every), fails, most=1000)
    assert {each.target for each in small.injections} == wanted
    assert small.scale in {0.05, 0.1, 0.25, 0.5, 1.0}
    assert least <= small.scale
    assert all(each.at == 0.0 for each in small.injections)
    assert small.attempts == len(runs)


@given(st.integers(0, 40), st.integers(0, 30))
def test_it_takes_no_more_runs_than_it_may(count: int, most: int) -> None:
    assert shrink(Reduced(injections(count)), lambda _: False, most=most).attempts <= most


def test_what_comes_at_a_point_keeps_its_place() -> None:
    at_a_point = Injection("crash", "*", 0.0, trigger=Trigger("commit", 7))
    small = shrink(Reduced((at_a_point, *injections(3))), lambda each: at_a_point in each.injections)
    assert small.injections == (at_a_point,)


@pytest.mark.parametrize(
    ("hits", "runs", "low", "high"),
    [
        (0, 500, 0.0, 0.00597),
        (5, 5, 0.5493, 1.0),
        (1, 10, 0.0025, 0.4450),
        (50, 100, 0.3983, 0.6017),
        (0, 1, 0.0, 0.95),
    ],
)
def test_intervals_are_the_exact_ones(hits: int, runs: int, low: float, high: float) -> None:
    found = clopper_pearson(hits, runs)
    assert math.isclose(found[0], low, abs_tol=1e-4)
    assert math.isclose(found[1], high, abs_tol=1e-4)


@given(st.integers(1, 2000).flatmap(lambda runs: st.tuples(st.integers(0, runs), st.just(runs))))
def test_intervals_hold_what_was_seen(counts: tuple[int, int]) -> None:
    low, high = clopper_pearson(*counts)
    assert 0.0 <= low <= counts[0] / counts[1] <= high <= 1.0


def test_counts_are_said_with_their_intervals() -> None:
    assert said(0, 500) == "0 of 500, at most 0.6 % at 95 %"
    assert said(3, 100) == "3 of 100, 0.62 % to 8.5 % at 95 %"
    assert said(20, 20) == "20 of 20, at least 86 % at 95 %"
    assert said(0, 0) == "0 of 0"
    with pytest.raises(ValueError, match="no count"):
        clopper_pearson(3, 2)
