"""Thresholds: a hang, and a queue that does not flap."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treewarden.supervisor.core.limits import QueueLimit, check_progress, check_queue, progress_due
from treewarden.supervisor.core.signal import Overloaded, Recovered, Stalled

from .cases import PATH


@pytest.mark.parametrize(
    ("now", "since", "last_new", "limit", "idle"),
    [
        (39.9, 10.0, 0.0, 30.0, None),
        (40.0, 10.0, 0.0, 30.0, 30.0),
        (55.0, 10.0, 20.0, 30.0, 35.0),  # a token while it works puts it off
        (45.0, 10.0, 20.0, 30.0, None),
        (1e6, None, 0.0, 30.0, None),  # idle, and silent for good reason
        (1e6, 10.0, 0.0, None, None),
    ],
)
def test_no_progress_is_a_hang(
    now: float, since: float | None, last_new: float, limit: float | None, idle: float | None
) -> None:
    found = check_progress(PATH, now, since=since, last_new=last_new, limit=limit, doing="Fetch")
    if idle is None or limit is None:
        assert found is None
    else:
        assert found == Stalled(path=PATH, at=now, idle=idle, limit=limit, doing="Fetch")


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.floats(0.01, 1e4), st.floats(0, 1e6))
def test_it_is_stalled_from_the_moment_that_it_is_due(since: float, last: float, limit: float, later: float) -> None:
    due = progress_due(since, last, limit)
    assert due is not None
    assert check_progress(PATH, due + later, since=since, last_new=last, limit=limit) is not None
    assert check_progress(PATH, math.nextafter(due, 0), since=since, last_new=last, limit=limit) is None


def run(limit: QueueLimit, *seen: tuple[int, float]) -> list[str]:
    """What is signalled as (depth, oldest) is seen, at a capacity of 10."""
    over, found = False, list[str]()
    for depth, oldest in seen:
        over, signal = check_queue(PATH, 1.0, limit, over=over, depth=depth, capacity=10, oldest=oldest)
        found.append(type(signal).__name__)
    return found


def test_a_queue_between_the_marks_does_not_flap() -> None:
    depths = [(8, 0.0), (9, 0.0), (10, 0.0), (8, 0.0), (9, 0.0), (6, 0.0), (5, 0.0), (6, 0.0), (9, 0.0)]
    none = "NoneType"
    assert run(QueueLimit(), *depths) == [
        none, "Overloaded", none, none, none, none, "Recovered", none, "Overloaded",
    ]  # fmt: skip


def test_an_old_message_is_an_overload_too() -> None:
    limit = QueueLimit(oldest=10.0)
    assert run(limit, (1, 9.9), (1, 10.0), (1, 6.0), (1, 5.0), (1, 9.0)) == [
        "NoneType", "Overloaded", "NoneType", "Recovered", "NoneType",
    ]  # fmt: skip


def test_the_low_mark_may_be_an_empty_queue() -> None:
    assert run(QueueLimit(low=0.0, high=1.0), (10, 0.0), (1, 0.0), (0, 0.0)) == ["Overloaded", "NoneType", "Recovered"]


def test_what_is_signalled() -> None:
    _, signal = check_queue(PATH, 3.0, QueueLimit(), over=False, depth=9, capacity=10, oldest=2.0)
    assert signal == Overloaded(path=PATH, at=3.0, depth=9, capacity=10, oldest=2.0)
    _, signal = check_queue(PATH, 4.0, QueueLimit(), over=True, depth=2, capacity=10)
    assert signal == Recovered(path=PATH, at=4.0, kind="overloaded", text="2 of 10 messages wait")
    assert check_queue(PATH, 4.0, QueueLimit(), over=False, depth=5, capacity=0) == (False, None)


@given(st.lists(st.tuples(st.integers(0, 10), st.floats(0, 100)), max_size=30), st.none() | st.floats(0.1, 50))
def test_overload_and_recovery_take_turns(seen: list[tuple[int, float]], oldest: float | None) -> None:
    said = [name for name in run(QueueLimit(oldest=oldest), *seen) if name != "NoneType"]
    assert said == ["Overloaded", "Recovered"] * (len(said) // 2) + ["Overloaded"] * (len(said) % 2)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"high": 1.5}, "high is 1.5; it is a share"),
        ({"low": -0.1}, "low is -0.1; it is a share"),
        ({"high": 0.5}, "low is 0.5 and high 0.5; low must be below high"),
        ({"oldest": 0.0}, "oldest is 0.0; it must be more than 0"),
        ({"oldest": math.nan}, "oldest is nan"),
        ({"high": math.nan}, "high is nan"),
    ],
)
def test_a_limit_that_cannot_work_is_refused(given: dict[str, float], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        QueueLimit(**given)
