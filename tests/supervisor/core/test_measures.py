"""What readings say: trends, quantiles and sums, and when one of them is a signal."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treewarden.supervisor.core.measures import (
    BudgetLimit,
    Gauge,
    LatencyLimit,
    MemoryLimit,
    check_limits,
    gauge_of,
    quantile,
    trend,
)
from treewarden.supervisor.core.signal import Recovered, Reported

from .cases import PATH

values = st.floats(0, 1e6)


def said(gauge: Gauge, *readings: tuple[float, float]) -> list[tuple[float, str, str]]:
    """When something was said, whether it was good or bad news, and of which kind."""
    found: list[tuple[float, str, str]] = []
    for at, value in readings:
        told = gauge.read(value, at)
        found += [(at, "bad" if isinstance(signal, Reported) else "good", signal.kind) for signal in told]
    return found


@pytest.mark.parametrize(
    ("readings", "slope", "straight"),
    [
        ([], 0.0, 0.0),
        ([(5.0, 7.0)], 0.0, 0.0),
        ([(5.0, 7.0), (5.0, 9.0)], 0.0, 0.0),
        ([(0.0, 3.0), (9.0, 3.0)], 0.0, 0.0),
        ([(0.0, 0.0), (1.0, 2.0), (2.0, 4.0)], 2.0, 1.0),
        ([(0.0, 4.0), (1.0, 2.0), (2.0, 0.0)], -2.0, 1.0),
        ([(0.0, 0.0), (1.0, 1.0), (2.0, 0.0), (3.0, 1.0), (4.0, 0.0)], 0.0, 0.0),
    ],
)
def test_a_line_through_readings(readings: list[tuple[float, float]], slope: float, straight: float) -> None:
    line = trend(readings)
    assert (line.slope, line.straight) == (pytest.approx(slope), pytest.approx(straight))


@given(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3), st.floats(0, 1e6), st.integers(3, 60))
def test_a_straight_line_is_found_whenever_it_was_read(slope: float, first: float, since: float, count: int) -> None:
    line = trend([(since + at, first + slope * at) for at in range(count)])
    assert line.slope == pytest.approx(slope, rel=1e-6, abs=1e-6)
    assert 0.0 <= line.straight <= 1.0
    if abs(slope) > 1e-3:
        assert line.straight == pytest.approx(1.0, abs=1e-6)


@given(st.lists(st.tuples(st.floats(0, 1e4), values), max_size=40))
def test_a_trend_is_a_number(readings: list[tuple[float, float]]) -> None:
    line = trend(readings)
    assert not math.isnan(line.slope)
    assert 0.0 <= line.straight <= 1.0


@given(st.lists(values, min_size=1, max_size=60).map(sorted), st.floats(0.01, 0.99))
def test_a_quantile_is_not_exceeded_by_its_share(ordered: list[float], p: float) -> None:
    found = quantile(ordered, p)
    assert found in ordered
    assert sum(value <= found for value in ordered) >= p * len(ordered) - 1e-9
    assert sum(value < found for value in ordered) < p * len(ordered) + 1e-9


@pytest.mark.parametrize(("p", "found"), [(0.5, 2.0), (0.75, 3.0), (0.95, 4.0), (0.01, 1.0)])
def test_the_quantiles_of_four(p: float, found: float) -> None:
    assert quantile([1.0, 2.0, 3.0, 4.0], p) == found


def test_a_leak_is_said_once_and_again_when_it_is_worse_and_when_it_is_over() -> None:
    gauge = gauge_of(MemoryLimit(grows=10.0, within=10.0, every=1.0), PATH)
    leak = [(float(at), 1000.0 + 12.0 * at) for at in range(20)]
    assert said(gauge, *leak) == [(5.0, "bad", "memory_slope")], "half of the window has to be seen"
    worse = [(20.0 + at, leak[-1][1] + 40.0 * at) for at in range(1, 15)]
    assert {word for _, word, _ in said(gauge, *worse)} == {"bad"}
    level = [(40.0 + at, 2000.0) for at in range(15)]
    assert [kind for _, word, kind in said(gauge, *level) if word == "good"] == ["memory_slope"]


def test_a_sawtooth_is_no_leak() -> None:
    gauge = gauge_of(MemoryLimit(grows=10.0, within=20.0, every=1.0), PATH)
    assert said(gauge, *[(float(at), 1000.0 + 100.0 * (at % 5)) for at in range(100)]) == []


def test_a_meter_that_is_read_often_keeps_few_readings() -> None:
    gauge = gauge_of(MemoryLimit(grows=10.0, within=10.0), PATH)
    assert said(gauge, *[(at / 1000, at * 0.02) for at in range(20_000)]) == [(5.0, "bad", "memory_slope")]


def test_too_much_memory_does_not_flap() -> None:
    gauge = gauge_of(MemoryLimit(most=100.0), PATH)
    readings = [(0.0, 99.0), (1.0, 101.0), (2.0, 99.0), (3.0, 101.0), (4.0, 81.0), (5.0, 80.0), (6.0, 101.0)]
    assert said(gauge, *readings) == [(1.0, "bad", "memory"), (5.0, "good", "memory"), (6.0, "bad", "memory")]


@given(st.lists(st.floats(0, 2), max_size=120), st.integers(5, 40), st.sampled_from([0.5, 0.9, 0.95]))
def test_latency_is_that_of_the_last_calls(calls: list[float], last: int, p: float) -> None:
    gauge, over = gauge_of(LatencyLimit(most=1.0, p=p, last=last), PATH), False
    for at, call in enumerate(calls):
        signals = gauge.read(call, float(at))
        window = sorted(calls[max(0, at + 1 - last) : at + 1])
        slow = quantile(window, p) if 5 * len(window) >= last else 0.0
        assert all(isinstance(signal, Recovered) is over and slow <= 0.8 for signal in signals if over and slow <= 1.0)
        if slow > 1.0:
            assert over or [type(signal) for signal in signals] == [Reported]
            over = True
        elif over and 5 * len(window) >= last and slow <= 0.8:
            assert [type(signal) for signal in signals] == [Recovered]
            over = False


def test_latency_says_in_milliseconds_what_it_found() -> None:
    gauge = gauge_of(LatencyLimit(most=0.5, p=0.5, last=10), PATH)
    (signal,) = [signal for at in range(4) for signal in gauge.read(0.75, float(at))]
    assert isinstance(signal, Reported)
    assert (signal.kind, signal.severity, signal.facts) == ("latency", 0.75, {"latency_ms": 750.0})
    assert signal.text == "p50 of 2 is 0.75 s from sent to handled (limit 0.5 s)"


@given(st.lists(st.tuples(st.floats(0, 30), st.floats(0, 5)), max_size=60))
def test_a_budget_is_what_was_spent_lately(spent: list[tuple[float, float]]) -> None:
    gauge, at, over = gauge_of(BudgetLimit(most=10.0, within=60.0), PATH), 0.0, False
    before = list[tuple[float, float]]()
    for later, amount in spent:
        at += later
        before.append((at, amount))
        signals = gauge.read(amount, at)
        surely = math.fsum(each for when, each in before if at - when < 59)
        perhaps = math.fsum(each for when, each in before if at - when < 62)
        if surely > 10.001 and not over:
            assert [type(signal) for signal in signals] == [Reported]
        if perhaps < 9.999 and not over:
            assert signals == []
        for signal in signals:
            over = isinstance(signal, Reported)
    for signal in gauge.look(at + 61):
        assert over
        assert isinstance(signal, Recovered)
        over = False
    assert not over, "time alone ends it"


@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf, True, "1", None, 10**400])
def test_what_is_no_reading(value: float) -> None:
    gauge = gauge_of(LatencyLimit(most=1.0), PATH)
    with pytest.raises(ValueError, match="a reading is a number, 0 or more"):
        gauge.read(value, 0.0)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: MemoryLimit(), "a MemoryLimit needs `grows` (bytes per second) or `most` (bytes)"),
        (lambda: MemoryLimit(grows=-1.0), "grows is -1.0; give a number above 0"),
        (lambda: MemoryLimit(most=True), "most is True; give a number above 0"),
        (lambda: MemoryLimit(most=1.0, meter=3), "meter is 3; give a function"),  # type: ignore[arg-type]
        (lambda: MemoryLimit(most=1.0, every=math.inf), "every is inf"),
        (lambda: LatencyLimit(most=math.nan), "most is nan"),
        (lambda: LatencyLimit(most=1.0, p=1.0), "p is 1.0; give a share between 0 and 1"),
        (lambda: LatencyLimit(most=1.0, last=1), "last is 1; give a whole number from 2 to 10000"),
        (lambda: BudgetLimit(most=0), "most is 0; give a number above 0"),
        (lambda: check_limits(3), "limits is 3; give a tuple"),
        (lambda: check_limits((3,)), "limits has 3; give a MemoryLimit"),
        (lambda: check_limits((BudgetLimit(most=1), BudgetLimit(most=2))), "limits has two of BudgetLimit; give one"),
    ],
)
def test_a_limit_that_cannot_be_is_refused_by_name(make: Callable[[], object], says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        make()
