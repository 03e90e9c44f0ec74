"""The restart bucket as a value: what it allows, and that no window ever sees more."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treewarden.supervisor.core.action import (
    Action,
    FallBack,
    Perform,
    Restart,
    Resume,
    RollBack,
    Scope,
    SetAside,
    details,
)
from treewarden.supervisor.core.decision import decide, to_event
from treewarden.supervisor.core.history import EMPTY, Pace
from treewarden.supervisor.core.ladder import ladder
from treewarden.supervisor.core.signal import OperatorAsked
from treewarden.supervisor.core.spec import RestartBucket

from .cases import PATH, Wants, case, exited, failed


@given(
    holds=st.integers(1, 6),
    every=st.floats(0.01, 20),
    gaps=st.lists(st.floats(0, 30), max_size=40),
    window=st.floats(0, 100),
)
def test_no_window_ever_sees_more_restarts_than_the_bucket_allows(
    holds: int, every: float, gaps: list[float], window: float
) -> None:
    pace, now, begun = Pace(RestartBucket(holds, every)), 1000.0, list[float]()
    for gap in gaps:
        now += gap
        begun.append(now + pace.take(now))
    assert begun == sorted(begun)  # first come, first served
    for first in begun:
        assert sum(first <= at <= first + window for at in begun) <= holds + (window + 1e-6) / every


@given(holds=st.integers(1, 5), every=st.floats(0.5, 5), used=st.integers(0, 12), later=st.floats(0, 100))
def test_nobody_waits_longer_than_the_others_before_take(holds: int, every: float, used: int, later: float) -> None:
    pace = Pace(RestartBucket(holds, every))
    for _ in range(used):
        pace.take(0.0)
    owed = max(0.0, (used - holds + 1) * every)
    assert pace.wait(later) == pytest.approx(max(0.0, owed - later))
    assert pace.take(later) == pytest.approx(max(0.0, owed - later))


def test_whoever_is_not_bound_takes_what_is_there_and_owes_nothing() -> None:
    pace = Pace(RestartBucket(2, 10.0))
    assert [pace.take(0.0, bound=False) for _ in range(100)] == [0.0] * 100
    assert pace.take(0.0) == 10.0


def test_a_tree_without_a_bucket_never_waits() -> None:
    pace = Pace(None)
    assert [pace.take(0.0) for _ in range(5000)] == [0.0] * 5000
    assert pace.due == EMPTY


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"holds": 0}, "holds is 0; it must be a whole number, 1 or more"),
        ({"holds": True}, "holds is True"),
        ({"holds": 1.5}, "holds is 1.5"),
        ({"every": 0.0}, "every is 0.0; it must be more than 0 and finite"),
        ({"every": math.nan}, "every is nan"),
        ({"every": math.inf}, "every is inf"),
        ({"every": -1}, "every is -1"),
        ({"every": True}, "every is True"),
        ({"every": "1"}, "every is '1'"),
    ],
)
def test_impossible_buckets_are_refused_by_the_name_of_the_field(given: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        RestartBucket(**given)


FULL: dict[str, Any] = {"bucket": RestartBucket(2, 10.0), "turn": 7.0}


@pytest.mark.parametrize("action", [Restart(), Restart(Scope.ONE, 3.0), SetAside("m1"), RollBack(1), FallBack("old")])
def test_a_restart_waits_for_its_turn_whatever_it_is_called(action: Action) -> None:
    found = decide(Wants((action,)), case(exited(failed(message="m1")), **FULL, spec=_spec(), checkpoints=2))
    assert details(found.action)["after"] == 7.0
    text = "at most 2 restarts at once in the whole tree, then one every 10 s: its turn comes in 7 s"
    assert text in to_event(found).because


@pytest.mark.parametrize("wanted", [Restart(after=9.0), Perform("warm_up", 1.0)])
def test_what_waits_longer_anyway_or_does_not_restart_says_nothing_of_it(wanted: Action) -> None:
    found = decide(Wants((wanted,)), case(exited(), **FULL, spec=_spec()))
    assert found.action == wanted
    assert not any("whole tree" in text for text in found.because)


def test_one_whose_turn_has_come_does_not_wait_and_says_nothing_of_it() -> None:
    found = decide(Wants((Restart(),)), case(exited(), bucket=RestartBucket(2, 10.0)))
    assert found.action == Restart()
    assert not any("whole tree" in text for text in found.because)


def test_nobody_who_lives_waits_and_no_person_does() -> None:
    assert decide(ladder(), case(OperatorAsked(path=PATH, at=1.0, what="restart"), **FULL)).action == Restart()
    assert decide(Wants((Resume(),)), case(OperatorAsked(path=PATH, at=1.0, what="resume"), **FULL)).action == Restart()


def _spec() -> Any:
    from attrs import evolve

    from treewarden.supervisor.core.named import NamedAction

    from .cases import SPEC, nothing

    return evolve(SPEC, variants={"old": object}, actions={"warm_up": NamedAction(nothing)})


@given(used=st.integers(0, 3), now=st.floats(0, 100))
def test_beginning_where_nobody_has_to_wait_is_taking(used: int, now: float) -> None:
    one, other, none = Pace(RestartBucket(4, 2.0)), Pace(RestartBucket(4, 2.0)), Pace(None)
    for _ in range(used):
        one.take(0.0)
        other.take(0.0)
    assert one.wait(now) == 0.0
    one.begin(now)
    assert other.take(now) == 0.0
    assert one.due == other.due
    none.begin(now)
    assert none.due == EMPTY
