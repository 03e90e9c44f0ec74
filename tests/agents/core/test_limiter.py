"""How many may wait: within bounds, at rest under the same load, and open again when it is over."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treewarden.agents.core.limiter import IntakeLimit, Limiter, adapt, cut

limits = st.builds(
    IntakeLimit,
    oldest=st.floats(0.01, 100),
    low=st.floats(0.01, 0.5),
    least=st.integers(5, 20),
    step=st.integers(1, 5),
    every=st.floats(0.1, 10),
)


@given(limits, st.integers(1, 200), st.lists(st.tuples(st.floats(0, 5), st.none() | st.floats(0, 500)), max_size=60))
def test_it_never_leaves_its_bounds(limit: IntakeLimit, most: int, looks: list[tuple[float, float | None]]) -> None:
    now, state = 0.0, Limiter(most)
    floor = min(limit.least, most)
    for later, oldest in looks:
        now += later
        before = state
        state = cut(limit, state, most, now, 1.0) if oldest is None else adapt(limit, state, most, oldest, now)
        assert floor <= state.admits <= most
        if now - before.changed_at < limit.every:
            assert state.admits == before.admits, "one change must show its effect before the next"
        if state.admits > before.admits:
            assert now >= before.held_until
            assert oldest is not None
            assert oldest < limit.low * limit.oldest


@given(limits, st.integers(1, 200), st.floats(0, 500))
def test_the_same_pressure_moves_it_in_one_direction(limit: IntakeLimit, most: int, oldest: float) -> None:
    state, seen = Limiter(max(1, most // 2)), list[int]()
    for turn in range(400):
        state = adapt(limit, state, most, oldest, turn * limit.every * 1.01)
        seen.append(state.admits)
    assert seen in (sorted(seen), sorted(seen, reverse=True))
    assert seen[-1] == seen[-2]
    if oldest >= limit.oldest:
        assert seen[-1] <= max(1, limit.least, most // 64)
    if oldest < limit.low * limit.oldest:
        assert seen[-1] == most


@given(limits, st.integers(20, 200), st.floats(0.01, 1000))
def test_the_same_load_brings_it_to_rest(limit: IntakeLimit, most: int, each: float) -> None:
    """Who sends more than is handled keeps the mailbox full: the oldest has waited for all that was before it."""
    state, seen = Limiter(most), list[int]()
    for turn in range(600):
        state = adapt(limit, state, most, state.admits * each, turn * limit.every * 1.01)
        seen.append(state.admits)
    assert len(set(seen[300:])) == 1, "it swings"
    rest = seen[-1]
    assert rest * each < limit.oldest or rest == limit.least
    assert rest * each >= limit.low * limit.oldest or rest == most


def test_a_wish_from_outside_counts_as_pressure_and_keeps_it_closed() -> None:
    limit = IntakeLimit(oldest=1.0)
    state = cut(limit, Limiter(64), 64, 0.0, hold=30.0)
    assert state == Limiter(32, 0.0, 30.0)
    assert adapt(limit, state, 64, 0.0, 29.0).admits == 32
    assert adapt(limit, state, 64, 0.0, 30.0).admits == 33
    assert cut(limit, state, 64, 0.5, hold=60.0) == Limiter(32, 0.0, 60.5), "too soon for another half, not for waiting"


def test_there_is_no_second_half_before_the_first_has_shown_its_effect() -> None:
    limit = IntakeLimit(oldest=1.0)
    first = adapt(limit, Limiter(64), 64, 9.0, 0.0, 64)
    assert first.admits == adapt(limit, first, 64, 9.0, 1.9, 64).admits == 64, "one look may err"
    assert adapt(limit, adapt(limit, first, 64, 0.9, 1.0), 64, 9.0, 2.0).admits == 64, "it was not so all the time"
    state = adapt(limit, first, 64, 9.0, 2.0, 64)
    assert state.admits == 32
    assert adapt(limit, state, 64, 9.0, 5.0, 33) == state
    again = adapt(limit, state, 64, 9.0, 5.0, 32)
    assert again.admits == 32
    assert adapt(limit, again, 64, 9.0, 7.0, 32).admits == 16


def test_each_change_comes_when_its_time_is_reached_and_not_after_it() -> None:
    limit = IntakeLimit(oldest=8.0, low=0.5, every=2.0)
    halved = cut(limit, Limiter(64, changed_at=0.0), 64, 2.0)
    assert halved == Limiter(32, 2.0, held_until=2.0)
    assert cut(limit, Limiter(64, changed_at=0.0), 64, 1.5).admits == 64
    assert adapt(limit, halved, 64, 3.0, 4.0).admits == 33
    assert adapt(limit, halved, 64, 3.0, 3.5).admits == 32
    assert adapt(limit, halved, 64, 4.0, 4.0).admits == 32, "at the lower mark it stays"


def test_one_that_is_wide_open_does_not_change_so_the_next_cut_need_not_wait() -> None:
    limit, open_ = IntakeLimit(oldest=8.0, every=2.0), Limiter(64)
    assert adapt(limit, open_, 64, 0.0, 5.0) == open_
    assert cut(limit, adapt(limit, open_, 64, 0.0, 5.0), 64, 5.5).admits == 32


def test_a_mailbox_that_became_smaller_admits_no_more_than_it_holds() -> None:
    assert adapt(IntakeLimit(oldest=1.0), Limiter(64), 8, 0.0, 0.0).admits == 8


@pytest.mark.parametrize(
    ("given_", "text"),
    [
        ({"oldest": 0}, "oldest is 0; give seconds"),
        ({"oldest": float("nan")}, "oldest is nan"),
        ({"oldest": float("inf")}, "oldest is inf"),
        ({"oldest": 1, "low": 0.6}, "low is 0.6; give a share, more than 0 and at most 0.5"),
        ({"oldest": 1, "low": 0}, "low is 0;"),
        ({"oldest": 1, "low": "0.2"}, "low is '0.2'"),
        ({"oldest": 1, "least": 0}, "least is 0"),
        ({"oldest": 1, "step": True}, "step is True"),
        ({"oldest": 1, "every": -1}, "every is -1"),
        ({"oldest": 1, "least": 2, "step": 3}, "step is 3 and least 2"),
    ],
)
def test_what_is_no_limit_is_refused(given_: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        IntakeLimit(**given_)
