"""The restart window: OTP's algorithm, one fault counted once, and no window with more than the intensity allows."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treewarden.supervisor.core.history import NO_RESTARTS, ONE_FAULT, RestartHistory, delay
from treewarden.supervisor.core.spec import Backoff, Intensity

TWO = Intensity(2, 5.0)


def after(*times: float, intensity: Intensity = TWO) -> RestartHistory:
    history = RestartHistory()
    for at in times:
        history = history.noted(at, intensity)
    return history


@pytest.mark.parametrize(
    ("times", "count", "exceeded"),
    [
        ((), 0, False),
        ((0.0,), 1, False),
        ((0.0, 1.0), 2, False),
        ((0.0, 1.0, 2.0), 3, True),
        ((0.0, 1.0, 5.0), 3, True),  # exactly as old as the window: kept
        ((0.0, 1.0, 5.1), 2, False),
        ((0.0, 1.0, 20.0), 1, False),
        ((3.0, 1.0, 2.0), 3, True),  # a clock that goes back counts as one that stands still
    ],
)
def test_the_window_is_otps(times: tuple[float, ...], count: int, exceeded: bool) -> None:
    history = after(*times)
    assert (history.count, history.exceeded(TWO)) == (count, exceeded)


@pytest.mark.parametrize(
    ("times", "at", "most", "room"),
    [
        ((), 0.0, 3, True),
        ((), 0.0, 2, False),  # a climb would go over it
        ((0.0,), 5.0, 3, False),
        ((0.0,), 5.1, 3, True),
        ((0.0, 1.0), 5.1, 4, True),
        ((0.0, 1.0, 2.0), 3.0, 6, True),
        ((0.0, 1.0, 2.0, 3.0), 3.0, 7, False),  # more than half
        ((0.0, 1.0, 2.0, 3.0), 3.0, 8, True),
    ],
)
def test_there_is_room_for_one_that_begins_anew(times: tuple[float, ...], at: float, most: int, room: bool) -> None:
    limit = Intensity(most, 5.0)
    assert after(*times, intensity=limit).has_room(at, limit) is room


@given(
    st.lists(st.floats(0, 10), max_size=12), st.floats(0, 30), st.integers(1, 5), st.floats(0.1, 30), st.floats(1e-6, 1)
)
def test_there_is_room_for_one_more_when_it_says(
    steps: list[float], later: float, most: int, within: float, beside: float
) -> None:
    intensity, history, now = Intensity(most, within), RestartHistory(), 0.0
    for step in steps:
        now += step
        if not (after_it := history.noted(now, intensity)).exceeded(intensity):
            history = after_it
    now += later
    room_in = history.room_in(now, intensity)
    assert not history.noted(now + room_in + 1e-9, intensity).exceeded(intensity)
    if room_in > beside:
        assert history.noted(now + room_in - beside, intensity).exceeded(intensity)


def test_no_restart_is_allowed_with_intensity_zero() -> None:
    never = Intensity(0, 5.0)
    assert not RestartHistory().exceeded(never)
    assert after(0.0, intensity=never).exceeded(never)


@given(st.lists(st.floats(0, 100), max_size=40), st.integers(0, 5), st.floats(0.1, 30))
def test_it_counts_what_a_plain_list_counts(steps: list[float], most: int, within: float) -> None:
    intensity = Intensity(most, within)
    history, plain, now = RestartHistory(), list[float](), 0.0
    for step in steps:
        now += step
        history = history.noted(now, intensity)
        plain = [at for at in plain if at >= now - within] + [now]
        assert history.exceeded(intensity) == (len(plain) > most)
        assert history.times == tuple(plain[-most - 1 :])


@given(st.lists(st.tuples(st.floats(0, 3), st.sampled_from("abc"), st.sampled_from([None, "f", "g"])), max_size=40))
def test_no_window_holds_more_than_the_intensity_allows(steps: list[tuple[float, str, str | None]]) -> None:
    """A supervisor ends with the restart that is one too many, and the one above gives it an empty history."""
    history, counted, now = RestartHistory(), list[float](), 0.0
    for step, child, fault in steps:
        now += step
        before = history.times
        history = history.noted(now, TWO, child, fault)
        if history.exceeded(TWO):
            break
        if history.times[-1:] != before[-1:] or len(history.times) > len(before):
            counted.append(now)
    for first in counted:
        assert sum(first <= at <= first + TWO.within for at in counted) <= TWO.max_restarts


@given(st.lists(st.tuples(st.floats(0, 1), st.sampled_from("abcd"), st.sampled_from("fg")), max_size=40))
def test_one_fault_is_counted_once(steps: list[tuple[float, str, str]]) -> None:
    """Against a model that keeps sets: a group has one fault, lasts a second, and holds each child once."""
    wide = Intensity(1000, 1e6)
    history, now, count = RestartHistory(), 0.0, 0
    groups: dict[str, tuple[float, set[str]]] = {}
    for step, child, fault in steps:
        now += step
        first, members = groups.get(fault, (now, set[str]()))
        if fault not in groups or now - first > ONE_FAULT or child in members:
            count += 1
            first, members = now, set[str]()
        groups[fault] = (first, members | {child})
        history = history.noted(now, wide, child, fault)
        assert history.count == count


def test_the_same_child_counts_again_and_others_join_it() -> None:
    history = RestartHistory()
    for child in ("a", "b", "c"):
        history = history.noted(0.0, TWO, child, "fault")
    assert history.count == 1
    for child in ("a", "b", "c"):
        history = history.noted(0.5, TWO, child, "fault")
    assert history.count == 2
    assert history.noted(1.5, TWO, "d", "fault").count == 2  # exactly as late as one fault may be
    assert history.noted(1.6, TWO, "d", "fault").count == 3


def test_without_a_fault_every_restart_counts() -> None:
    history = RestartHistory().noted(0.0, TWO, "a").noted(0.0, TWO, "b").noted(0.0, TWO, "c")
    assert history.count == 3


def test_a_clock_that_goes_back_stands_still() -> None:
    assert after(3.0, 1.0).times == (3.0, 3.0)


def test_two_values_may_go_on_from_one() -> None:
    origin = after(0.0, 1.0, 2.0, 10.0, 11.0)
    one, other = origin.noted(12.0, TWO), origin.noted(13.0, TWO)
    assert (one.times, other.times) == ((10.0, 11.0, 12.0), (10.0, 11.0, 13.0))
    assert one.noted(14.0, TWO).times == (11.0, 12.0, 14.0)
    assert other.noted(15.0, TWO).times == (11.0, 13.0, 15.0)
    assert (origin.times, one.count, other.count) == ((10.0, 11.0), 3, 3)


def test_two_values_may_take_one_group_further() -> None:
    """Each has its own members: whoever joined in the other one joins here as well, and does not count again."""
    origin = RestartHistory().noted(0.0, TWO, "a", "fault")
    one, other = origin.noted(0.1, TWO, "b", "fault"), origin.noted(0.2, TWO, "c", "fault")
    both = (one.noted(0.3, TWO, "c", "fault"), other.noted(0.3, TWO, "b", "fault"))
    assert [value.count for value in (one, other, *both)] == [1, 1, 1, 1]
    assert both[0] == both[1] != one
    assert [value.noted(0.4, TWO, "b", "fault").count for value in both] == [2, 2]


@given(
    st.lists(
        st.tuples(st.integers(0, 9), st.floats(0, 30), st.sampled_from("abc"), st.sampled_from([None, "f"])),
        max_size=30,
    )
)
def test_it_is_a_value(steps: list[tuple[int, float, str, str | None]]) -> None:
    """Going on from any earlier value changes no other: each equals the one that was built alone."""
    values = [RestartHistory()]
    built: list[tuple[tuple[float, str, str | None], ...]] = [()]
    for origin, at, child, fault in steps:
        place = origin % len(values)
        values.append(values[place].noted(at, TWO, child, fault))
        built.append((*built[place], (at, child, fault)))
    for value, calls in zip(values, built, strict=True):
        alone = RestartHistory()
        for at, child, fault in calls:
            alone = alone.noted(at, TWO, child, fault)
        assert value == alone
        assert hash(value) == hash(alone)


def test_what_all_begin_with_stays_what_it_is() -> None:
    first, second = NO_RESTARTS.noted(1.0, TWO), NO_RESTARTS.noted(2.0, TWO)
    assert (NO_RESTARTS.times, first.times, second.times) == ((), (1.0,), (2.0,))
    assert first._times is not NO_RESTARTS._times  # pyright: ignore[reportPrivateUsage]


def test_values_that_differ_are_not_equal() -> None:
    assert after(0.0) != after(1.0)
    assert RestartHistory().noted(0.0, TWO, "a", "f") != RestartHistory().noted(0.0, TWO, "b", "f")
    assert after(1.0) != (1.0,)
    assert repr(after(1.0)) == "RestartHistory(1 at (1.0,))"


@pytest.mark.parametrize("fault", [None, "fault"])
def test_noting_does_not_scan_the_window(fault: str | None) -> None:
    """Lines executed for the last thousand of 20,000 restarts in one window: as many as for the first thousand."""
    wide = Intensity(10**6, 1e6)

    def lines(first: int, history: RestartHistory) -> tuple[int, RestartHistory]:
        executed = 0

        def tick(*_: object) -> object:
            nonlocal executed
            executed += 1
            return tick

        before = sys.gettrace()
        sys.settrace(tick)  # pyright: ignore[reportArgumentType]
        try:
            for place in range(first, first + 1000):
                history = history.noted(0.0, wide, f"c{place}", fault)
        finally:
            sys.settrace(before)
        return executed, history

    early, history = lines(0, RestartHistory())
    for place in range(1000, 19_000):
        history = history.noted(0.0, wide, f"c{place}", fault)
    late, last = lines(19_000, history)
    assert late <= 1.1 * early
    assert last._times is history._times  # pyright: ignore[reportPrivateUsage] nor is it copied


def test_a_long_run_keeps_only_its_window() -> None:
    history = RestartHistory()
    for at in range(10_000):
        history = history.noted(float(at), Intensity(100, 50.0))
        assert history.count == min(at, 50) + 1
    assert history.times == tuple(float(at) for at in range(9949, 10_000))
    assert len(history._times) < 200  # pyright: ignore[reportPrivateUsage] what it promises to forget, it frees


@pytest.mark.parametrize(
    ("attempt", "spread", "expected"),
    [(0, 0.0, 1.0), (1, 0.0, 1.0), (2, 0.0, 2.0), (5, 0.0, 16.0), (6, 0.0, 30.0), (10**6, 0.0, 30.0), (2, 0.5, 1.5)],
)
def test_a_delay_grows_to_its_cap(attempt: int, spread: float, expected: float) -> None:
    assert delay(Backoff(first=1.0, factor=2.0, most=30.0, jitter=0.5), attempt, spread) == expected


def test_no_backoff_never_waits() -> None:
    assert delay(Backoff(first=0.0, factor=2.0, most=30.0), 10**6, 0.0) == 0.0


@given(
    st.builds(Backoff, st.floats(0, 1e9), st.floats(1, 1e9), st.floats(0, 1e9), st.floats(0, 1)),
    st.integers(-5, 10**9),
    st.floats(0, 1, exclude_max=True),
)
def test_a_delay_is_between_nothing_and_the_cap(backoff: Backoff, attempt: int, spread: float) -> None:
    assert 0.0 <= delay(backoff, attempt, spread) <= backoff.most
