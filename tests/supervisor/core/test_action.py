"""Which children an action touches, in which order, and how an action is journaled."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treewarden.supervisor.core.action import (
    Action,
    Break,
    Escalate,
    Hold,
    Recycle,
    Restart,
    Resume,
    RollBack,
    Scope,
    SetAside,
    Stop,
    Throttle,
    action_name,
    affected,
    details,
    scope_of,
)
from treewarden.supervisor.core.spec import Strategy

ORDER = ("a", "b", "c", "d")


@pytest.mark.parametrize(
    ("strategy", "scope", "expected"),
    [
        (Strategy.ONE_FOR_ONE, Scope.ONE, ("b",)),
        (Strategy.ONE_FOR_ONE, Scope.REST, ("b", "c", "d")),
        (Strategy.ONE_FOR_ONE, Scope.ALL, ORDER),
        (Strategy.DYNAMIC, Scope.ONE, ("b",)),
        (Strategy.REST_FOR_ONE, Scope.ONE, ("b", "c", "d")),
        (Strategy.REST_FOR_ONE, Scope.REST, ("b", "c", "d")),
        (Strategy.REST_FOR_ONE, Scope.ALL, ORDER),
        (Strategy.ONE_FOR_ALL, Scope.ONE, ORDER),
        (Strategy.ONE_FOR_ALL, Scope.ALL, ORDER),
    ],
)
def test_the_group_of_a_restart(strategy: Strategy, scope: Scope, expected: tuple[str, ...]) -> None:
    assert affected(strategy, ORDER, "b", scope) == expected


@given(
    st.lists(st.sampled_from("abcdefgh"), min_size=1, unique=True).flatmap(
        lambda order: st.tuples(st.just(order), st.sampled_from(order))
    ),
    st.sampled_from(list(Strategy)),
    st.sampled_from(list(Scope)),
)
def test_the_group_is_in_start_order_and_stops_in_reverse(
    order_and_id: tuple[list[str], str], strategy: Strategy, scope: Scope
) -> None:
    order, id = order_and_id
    group = affected(strategy, order, id, scope)
    starts = [order.index(name) for name in group]
    stops = [order.index(name) for name in reversed(group)]
    assert id in group
    assert starts == sorted(starts)
    assert stops == sorted(stops, reverse=True)
    assert len(set(group)) == len(group)
    assert set(group) >= set(affected(strategy, order, id, Scope.ONE))
    if strategy in (Strategy.REST_FOR_ONE, Strategy.ONE_FOR_ALL):
        assert group[-1] == order[-1]


def test_the_declared_scope_of_each_strategy() -> None:
    assert {strategy: scope_of(strategy) for strategy in Strategy} == {
        Strategy.ONE_FOR_ONE: Scope.ONE,
        Strategy.DYNAMIC: Scope.ONE,
        Strategy.REST_FOR_ONE: Scope.REST,
        Strategy.ONE_FOR_ALL: Scope.ALL,
    }


def test_names_are_those_of_old_journals() -> None:
    assert [action_name(kind) for kind in get_args(Action)] == [
        "resume", "restart", "roll_back", "throttle", "break", "set_aside", "fall_back", "perform", "recycle", "hold",
        "stop", "escalate",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        (Resume(), {}),
        (Restart(Scope.REST, 0.5), {"scope": "rest", "after": 0.5}),
        (RollBack(2, 1.0), {"steps": 2, "after": 1.0}),
        (Throttle(7.0), {"seconds": 7.0}),
        (Break("api", 5.0), {"dependency": "api", "seconds": 5.0}),
        (SetAside("m7"), {"message": "m7", "after": 0.0}),
        (Recycle(), {}),
        (Hold("Start it?"), {"question": "Start it?"}),
        (Stop(), {}),
        (Escalate(), {"reason": "intensity"}),
    ],
)
def test_details_are_plain_data(action: Action, expected: dict[str, object]) -> None:
    found = details(action)
    assert found == expected
    assert all(type(value) in (str, int, float) for value in found.values())
