"""Cycles of calls: found where they are, nowhere else, and once for each loop."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treewarden.agents.core.loops import Cycle, LoopLimit, Loops, digest_of, period_in

limits = st.builds(LoopLimit, period=st.integers(1, 5), times=st.integers(2, 4))


@given(limits, st.lists(st.integers(0, 2), max_size=40))
def test_it_is_what_looking_at_every_turn_finds(limit: LoopLimit, seen: list[int]) -> None:
    expected = None
    for period in range(1, limit.period + 1):
        tail = seen[-period * limit.times :]
        if len(tail) == period * limit.times and tail == tail[:period] * limit.times:
            expected = period
            break
    assert period_in(seen, limit) == expected


@given(limits, st.lists(st.integers(), unique=True, max_size=60))
def test_what_is_always_new_is_no_loop(limit: LoopLimit, results: list[int]) -> None:
    loops = Loops(limit)
    assert [loops.noted("poll", {}, result) for result in results] == [None] * len(results)


@given(limits, st.integers(1, 5), st.integers(0, 7))
def test_a_cycle_is_found_once_it_has_come_often_enough(limit: LoopLimit, period: int, before: int) -> None:
    loops, calls = Loops(limit), [f"c{turn}" for turn in range(period)]
    assert not any(loops.noted(f"other{turn}", None, turn) for turn in range(before))
    found = [loops.noted(call, {}, "same") for _ in range(limit.times + 2) for call in calls]
    if period > limit.period:
        assert found == [None] * len(found)
        return
    at = period * limit.times - 1
    assert found[at] == Cycle(tuple(calls), limit.times)
    assert found[:at] + found[at + 1 :] == [None] * (len(found) - 1), "one loop is told once"


def test_a_loop_that_was_left_and_begins_again_is_told_again() -> None:
    loops = Loops(LoopLimit(period=1, times=2))
    said = [loops.noted(call, None, None) is not None for call in ("a", "a", "a", "b", "a", "a")]
    assert said == [False, True, False, False, False, True]


@given(st.dictionaries(st.text(max_size=3), st.integers(), max_size=4), st.text(max_size=5))
def test_the_order_of_arguments_does_not_matter(arguments: dict[str, int], result: str) -> None:
    turned = dict(reversed(arguments.items()))
    assert digest_of("f", arguments, result) == digest_of("f", turned, result)
    assert digest_of("f", arguments, result) != digest_of("g", arguments, result)
    assert digest_of("f", arguments, result) != digest_of("f", {**arguments, "more": 1}, result)
    assert digest_of("f", arguments, result) != digest_of("f", arguments, result + "x")


def test_bytes_may_stand_for_a_result_and_objects_for_nothing() -> None:
    assert digest_of("f", {}, b"x") == digest_of("f", {}, b"x")
    with pytest.raises(ValueError, match="f: Object of type object is not JSON serializable; give what JSON can say"):
        digest_of("f", {}, object())


def test_tokens_that_come_back_are_no_progress() -> None:
    loops = Loops(LoopLimit(period=3))
    assert [loops.is_new(token) for token in "ababcdea"] == [True, True, False, False, True, True, True, True]


@pytest.mark.parametrize("given_", [{"period": 0}, {"period": 17}, {"times": 1}, {"times": True}, {"times": 2.0}])
def test_what_is_no_limit_is_refused(given_: dict[str, Any]) -> None:
    (name,) = given_
    with pytest.raises(ValueError, match=f"{name} is .*; give a whole number from"):
        LoopLimit(**given_)
