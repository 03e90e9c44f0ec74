"""Routers as values: who is chosen, and what moves when a worker comes or goes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st

from treewarden.supervisor.core.spec import SHARED, Router
from treewarden.topologies.core.routing import ROUTES, Broadcast, ByKey, LeastLoaded, RoundRobin


@frozen
class Order:
    customer: object = ""


Depths = Sequence[int | None]
depths = st.lists(st.none() | st.integers(0, 5), max_size=8)
keys = st.text() | st.binary() | st.integers()
routers = st.sampled_from([RoundRobin(), RoundRobin(3), LeastLoaded(), LeastLoaded(5), ByKey("customer"), Broadcast()])


def chosen(router: Router, depths: Depths, messages: Sequence[object]) -> list[int]:
    """The workers that get the messages, in order."""
    places: list[int] = []
    for message in messages:
        found, router = router.choose(depths, message)
        places += found
    return places


@given(routers, depths, keys)
def test_only_workers_that_can_take_messages_are_chosen(router: Router, depths: Depths, key: object) -> None:
    able = [place for place, depth in enumerate(depths) if depth is not None]
    found, after = router.choose(depths, Order(key))
    assert set(found) <= set(able)
    assert bool(found) == bool(able)
    assert router.choose(depths, Order(key)) == (found, after)


@given(st.integers(1, 8), st.integers(0, 40), st.integers(0, 8))
def test_round_robin_is_fair(size: int, messages: int, turn: int) -> None:
    often = Counter(chosen(RoundRobin(turn), [0] * size, [Order()] * messages))
    assert max(often[place] for place in range(size)) - min(often[place] for place in range(size)) <= 1


@given(depths.filter(any))
def test_round_robin_reaches_every_worker_that_can_take_one(depths: Depths) -> None:
    able = [place for place, depth in enumerate(depths) if depth is not None]
    assert sorted(chosen(RoundRobin(), depths, [Order()] * len(able))) == able


def test_a_turn_survives_a_smaller_pool() -> None:
    assert chosen(RoundRobin(7), [0, 0, 0], [Order()] * 4) == [1, 2, 0, 1]
    assert chosen(LeastLoaded(7), [0, 0, 0], [Order()] * 4) == [1, 2, 0, 1]


@given(depths, st.integers(0, 8))
def test_least_loaded_has_the_fewest_waiting(depths: Depths, turn: int) -> None:
    found, _ = LeastLoaded(turn).choose(depths, Order())
    least = min((depth for depth in depths if depth is not None), default=None)
    assert [depths[place] for place in found] == ([] if least is None else [least])


@given(st.integers(1, 8), st.integers(0, 40))
def test_least_loaded_takes_equals_in_turn(size: int, messages: int) -> None:
    often = Counter(chosen(LeastLoaded(), [0] * size, [Order()] * messages))
    assert max(often[place] for place in range(size)) - min(often[place] for place in range(size)) <= 1


@given(depths, keys)
def test_a_key_stays_with_its_worker(depths: Depths, key: object) -> None:
    assert len(set(chosen(ByKey("customer"), depths, [Order(key)] * 5))) <= 1


@given(st.integers(2, 8).flatmap(lambda size: st.tuples(st.just(size), st.integers(0, size - 1))), st.sets(keys))
def test_without_a_worker_only_its_keys_move(pool: tuple[int, int], keys: set[object]) -> None:
    size, gone = pool
    fewer = [None if place == gone else 0 for place in range(size)]
    for key in keys:
        (before,) = chosen(ByKey("customer"), [0] * size, [Order(key)])
        (after,) = chosen(ByKey("customer"), fewer, [Order(key)])
        assert after == before or before == gone


@given(st.integers(1, 8), st.sets(keys))
def test_with_a_worker_more_only_its_keys_move(size: int, keys: set[object]) -> None:
    for key in keys:
        (before,) = chosen(ByKey("customer"), [0] * size, [Order(key)])
        (after,) = chosen(ByKey("customer"), [0] * (size + 1), [Order(key)])
        assert after in (before, size)


def test_keys_are_spread_over_all_workers() -> None:
    often = Counter(chosen(ByKey("customer"), [0] * 4, [Order(f"c{number}") for number in range(4000)]))
    assert sorted(often) == [0, 1, 2, 3]
    assert all(850 < count < 1150 for count in often.values())


def test_the_choice_by_key_is_the_same_in_every_process() -> None:
    orders = [Order("ada"), Order("grace"), Order(b"ada"), Order(7), Order("7"), Order(-1)]
    assert chosen(ByKey("customer"), [0] * 16, orders) == [0, 4, 6, 10, 3, 1]


def test_broadcast_reaches_all() -> None:
    assert Broadcast().choose([3, None, 0], Order()) == ((0, 2), Broadcast())


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (7, "int has no 'customer', by which the pool chooses a worker; give it that attribute"),
        (Order(1.5), "Order.customer is 1.5; a pool chooses by text, bytes or a whole number"),
        (Order(None), "Order.customer is None; a pool chooses by text, bytes or a whole number"),
    ],
)
def test_a_message_without_a_key_is_refused(message: object, text: str) -> None:
    with pytest.raises(TypeError) as refused:
        ByKey("customer").choose([0, 0], message)
    assert str(refused.value) == text


def test_a_key_names_an_attribute() -> None:
    with pytest.raises(ValueError, match="name the attribute"):
        ByKey("customer.id")


def test_routes_are_made_by_their_names() -> None:
    made = {name: ROUTES[name]("customer") for name in ROUTES}
    assert made == {
        "round_robin": RoundRobin(),
        "least_loaded": LeastLoaded(),
        "by_key": ByKey("customer"),
        "broadcast": Broadcast(),
        "shared": SHARED,
    }
