"""The state of a dependency: open, tried by one, closed."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treewarden.agents.core.exit import Failed, Failure, Finished
from treewarden.agents.core.path import Path
from treewarden.supervisor.core.breaker import (
    CLOSED,
    LONGEST,
    PROBE_WITHIN,
    Breaker,
    Passage,
    blames,
    disproves,
    opened,
    probing,
    reopened,
    span,
    turns,
)
from treewarden.supervisor.core.signal import ChildExited, RateLimitReached, Reported, RestartFailed, Signal, Stalled

A, B, C = Path("a/x"), Path("b/y"), Path("c/z")
OPEN = Breaker(Passage.OPEN, until=15.0, wait=5.0)


def ended(type: str) -> ChildExited:
    return ChildExited(path=A, at=0.0, incarnation=1, exit=Failed(Failure(type, "?", fingerprint=f"{type}@here")))


@pytest.mark.parametrize(
    ("before", "now", "users", "after"),
    [
        (CLOSED, 99.0, (A, B), CLOSED),
        (OPEN, 14.9, (A, B), OPEN),
        (OPEN, 15.0, (), OPEN),
        (OPEN, 15.0, (A, B), Breaker(Passage.HALF_OPEN, 15.0 + PROBE_WITHIN, 5.0, A)),
        (Breaker(Passage.OPEN, 15.0, 5.0, A), 16.0, (A, B), Breaker(Passage.HALF_OPEN, 16.0 + PROBE_WITHIN, 5.0, B)),
        (Breaker(Passage.OPEN, 15.0, 5.0, B), 15.0, (A, B), Breaker(Passage.HALF_OPEN, 15.0 + PROBE_WITHIN, 5.0, A)),
        (Breaker(Passage.OPEN, 15.0, 5.0, A), 15.0, (A,), Breaker(Passage.HALF_OPEN, 15.0 + PROBE_WITHIN, 5.0, A)),
        (Breaker(Passage.OPEN, 15.0, 5.0, A), 15.0, (A, B, C), Breaker(Passage.HALF_OPEN, 15.0 + PROBE_WITHIN, 5.0, B)),
        (Breaker(Passage.HALF_OPEN, 20.0, 5.0, A), 99.0, (A, B), Breaker(Passage.HALF_OPEN, 20.0, 5.0, A)),
    ],
)
def test_one_is_let_through_when_the_wait_is_over(
    before: Breaker, now: float, users: tuple[Path, ...], after: Breaker
) -> None:
    assert probing(before, now, users) == after


@pytest.mark.parametrize(
    ("before", "seconds", "after"),
    [
        (CLOSED, 5.0, OPEN),
        (OPEN, 4.0, OPEN),
        (Breaker(Passage.OPEN, until=15.0, wait=2.0), 5.0, Breaker(Passage.OPEN, until=15.0, wait=2.0)),
        (OPEN, 9.0, Breaker(Passage.OPEN, 19.0, 9.0)),
        (Breaker(Passage.HALF_OPEN, 70.0, 5.0, A), 5.0, Breaker(Passage.OPEN, 15.0, 5.0, A)),
        (CLOSED, 900.0, Breaker(Passage.OPEN, 910.0, 900.0)),
    ],
)
def test_it_opens_for_as_long_as_was_decided(before: Breaker, seconds: float, after: Breaker) -> None:
    assert opened(before, 10.0, seconds) == after


@given(st.integers(1, 40), st.floats(0, 1), st.floats(0, 1000))
def test_it_waits_longer_after_each_failed_probe_and_at_most_five_minutes(n: int, spread: float, now: float) -> None:
    breaker = Breaker(Passage.HALF_OPEN, 0.0, 5.0, A)
    for _ in range(n):
        longer = reopened(breaker, now, spread)
        assert longer.passage is Passage.OPEN
        assert longer.probe == A
        assert longer.wait == min(2 * breaker.wait, LONGEST)
        assert 0.8 * longer.wait - 1e-6 <= longer.until - now <= longer.wait + 1e-6
        breaker = longer


def test_after_a_failed_probe_it_waits_a_second_at_least() -> None:
    assert reopened(Breaker(Passage.HALF_OPEN, 0.0, 0.25, A), 7.0, 0.0) == Breaker(Passage.OPEN, 8.0, 1.0, A)


@pytest.mark.parametrize(
    ("signal", "trouble", "blamed", "disproved"),
    [
        (ended("ConnectionRefusedError"), "", True, True),
        (ended("TypeError"), "", False, True),
        (ended("TypeError"), "TypeError@here", True, True),
        (ChildExited(path=A, at=0.0, incarnation=1, exit=Finished()), "", False, False),
        (RestartFailed(path=A, at=0.0, failure=Failure("TypeError")), "", False, True),
        (Stalled(path=A, at=0.0, idle=9.0, limit=3.0), "", False, True),
        (RateLimitReached(path=A, at=0.0), "", True, True),
        (Reported(path=A, at=0.0, kind="odd", severity=0.1), "reported:odd", False, False),
        (Reported(path=A, at=0.0, kind="odd", severity=0.9), "reported:odd", True, True),
    ],
)
def test_what_speaks_against_it(signal: Signal, trouble: str, blamed: bool, disproved: bool) -> None:
    assert (blames(signal, trouble), disproves(signal, trouble)) == (blamed, disproved)


@given(st.integers(0, 3000), st.randoms(use_true_random=False))
def test_users_go_on_one_after_the_other(users: int, random: Random) -> None:
    seconds = turns(users, random.random)
    assert len(seconds) == users
    assert seconds[:1] == [0.0] * min(1, users)
    assert all(before <= after for before, after in pairwise(seconds))
    for window in (0.01, 1.0):
        fewest = max(window / 0.01, users * window / 10.0) + 2
        assert all(seconds[place + int(fewest)] - at >= window for place, at in enumerate(seconds[: -int(fewest)]))
    assert all(at < span(users) for at in seconds)
    assert span(users) <= 10.0
