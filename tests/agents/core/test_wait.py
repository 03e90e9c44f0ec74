"""Which waits are over, which message comes back when, and who is to blame when a process has died."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from treewarden.agents.core.message import Envelope, Happened
from treewarden.agents.core.parked import ParkedMessages
from treewarden.agents.core.path import Path
from treewarden.agents.core.wait import Sorted, Wait, is_over, open_waits, replaced_by, sort_out, wall_seconds

DESK = Path("desk")


def wait(message: str, until: float | None = 10.0, place: int = 1, name: str = "sleep") -> Wait:
    step = f"{message}>desk~{name}.{place}"
    return Wait(
        step=step, name=name, what="time", place=place, path=DESK, mail=DESK, kind="Remind", since=0.0, until=until
    )


@pytest.mark.parametrize(
    ("when", "seconds"),
    [
        (5, 5.0),
        (-1.5, -1.5),
        (datetime(1970, 1, 1, 0, 1, tzinfo=UTC), 60.0),
        (datetime(1970, 1, 1, 1, 1, tzinfo=timezone(timedelta(hours=1))), 60.0),
    ],
)
def test_a_time_is_said_in_two_ways(when: object, seconds: float) -> None:
    assert wall_seconds(when) == seconds


@pytest.mark.parametrize("when", [datetime(2026, 1, 1), True, float("nan"), float("inf"), "5", None, 10**400])
def test_what_is_no_time_is_refused(when: object) -> None:
    with pytest.raises(ValueError, match="give"):
        wall_seconds(when)


def test_a_wait_is_over_when_its_time_has_come_or_somebody_has_seen_it() -> None:
    assert [is_over(wait("a"), wall) for wall in (9.9, 10.0, 10.1)] == [False, True, True]
    assert not is_over(wait("a", None), 1e12)
    assert is_over(evolve(wait("a", None), over=True), 0.0)


def test_a_message_waits_for_what_its_handler_came_to_last() -> None:
    first, second, other = wait("a", place=1), wait("a", place=2), wait("b")
    assert open_waits([second, first, other]) == {"a": second, "b": other}
    assert open_waits([second, first, other], {first.step}) == {"a": second, "b": other}
    assert open_waits([second, first, other], {second.step}) == {"b": other}


def test_a_message_waits_for_an_event_that_was_turned_down_and_not_for_what_its_handler_had_come_to_behind_it() -> None:
    first, second = (evolve(wait("a", None, place, "event"), what="event") for place in (1, 2))
    slept = wait("a", place=3)
    for order in ([first, second, slept], [slept, second, first]):
        assert open_waits(order) == {"a": first}
        assert open_waits(order, {first.step}) == {"a": second}
        assert open_waits(order, {first.step, second.step}) == {"a": slept}


def test_a_wait_takes_the_place_of_those_that_came_there_or_later() -> None:
    first, second, third = (wait("a", place=place) for place in (1, 2, 3))
    here = wait("a", place=2, name="nap")
    assert replaced_by(here, [first, second, third, here]) == [second, third]


@pytest.mark.parametrize(
    ("waiting", "known", "found"),
    [
        ({}, (), Sorted((), (0, 1, 2), (), 0)),
        ({"a": 50.0}, (), Sorted((), (1, 2), (0,), 1)),
        ({"a": 50.0, "b": None, "c": 11.0}, (), Sorted((), (), (0, 1, 2), None)),
        ({"a": 9.0, "b": 3.0}, (), Sorted((1, 0), (2,), (), 2)),
        ({"a": 9.0, "b": 3.0, "c": 2.0}, (), Sorted((2, 1, 0), (), (), None)),
        ({"a": 3.0}, ("b",), Sorted((1, 0), (2,), (), 1)),
        ({}, ("c",), Sorted((2,), (0, 1), (), 2)),
    ],
)
def test_a_mailbox_is_sorted_out_when_a_process_begins(
    waiting: dict[str, float | None], known: tuple[str, ...], found: Sorted
) -> None:
    waits = {message: wait(message, until) for message, until in waiting.items()}
    assert sort_out(["a", "b", "c"], waits, 10.0, known) == found


MESSAGES = st.lists(st.tuples(st.sampled_from(["plain", "waits", "event", "known"]), st.integers(0, 20)), max_size=12)


@given(MESSAGES, st.integers(0, 20))
def test_every_message_is_somewhere_once(kinds: list[tuple[str, int]], wall: int) -> None:
    messages = [str(number) for number in range(len(kinds))]
    waiting = {
        message: wait(message, None if kind == "event" else float(until))
        for message, (kind, until) in zip(messages, kinds, strict=True)
        if kind in ("waits", "event")
    }
    known = {message for message, (kind, _) in zip(messages, kinds, strict=True) if kind == "known"}
    found = sort_out(messages, waiting, float(wall), known)
    assert sorted((*found.back, *found.rest, *found.parked)) == list(range(len(messages)))
    assert [messages[place] for place in found.rest] == [
        each for each, kind in zip(messages, kinds, strict=True) if kind[0] == "plain"
    ]
    assert list(found.parked) == [
        place for place, (kind, until) in enumerate(kinds) if kind == "event" or (kind == "waits" and until > wall)
    ]
    times = [kinds[place][1] for place in found.back if kinds[place][0] == "waits"]
    assert times == sorted(times)
    assert found.first is None or found.first not in found.parked, "what waits is not to blame"
    if found.first is None:
        assert not found.rest
        assert not known


@given(
    st.lists(st.tuples(st.integers(0, 9), st.one_of(st.none(), st.integers(0, 20)))),
    st.integers(0, 20),
    st.integers(1, 3),
)
def test_what_is_parked_comes_back_in_the_order_of_the_times(
    parked: list[tuple[int, int | None]], wall: int, most: int
) -> None:
    lot, last = ParkedMessages(), dict[str, int | None]()
    for message, until in parked:
        lot.take(str(message))
        lot.add(Envelope(message, id=str(message)), wait(str(message), None if until is None else float(until)))
        last.pop(str(message), None)
        last[str(message)] = until
    due = [(until, order, message) for order, (message, until) in enumerate(last.items()) if until is not None]
    assert lot.next == (float(min(due)[0]) if due else None)
    came = list[tuple[Envelope, Wait]]()
    while some := lot.take_due(float(wall), most):
        assert len(some) <= most
        came += some
    assert [envelope.id for envelope, _ in came] == [each[2] for each in sorted(due) if each[0] <= wall]
    assert len(lot) == len(last) - len(came)
    assert [each.id for each in lot] == [each for each in last if last[each] is None or (last[each] or 0) > wall]


def lot_of(*waits: tuple[str, float, int | None, float | None], events: tuple[tuple[str, str], ...]) -> ParkedMessages:
    """Of messages that wait for `shipped`, as (message, since, row, until), and events, as (id, name)."""
    lot = ParkedMessages()
    for message, since, row, until in waits:
        waiting = evolve(wait(message, until), what="event", about="shipped", since=since)
        lot.add(Envelope(message, id=message, row=row), waiting)
    for id, name in events:
        lot.keep(Envelope(Happened(name, id), id=id))
    return lot


SHIPPED = (("e1", "shipped"),)


@pytest.mark.parametrize(
    ("waits", "events", "found"),
    [
        pytest.param([], (), None, id="nothing"),
        pytest.param([], SHIPPED, None, id="nobody waits"),
        pytest.param([("a", 1.0, 1, None)], (), None, id="none has come"),
        pytest.param([("a", 1.0, 1, None)], (("e1", "paid"),), None, id="another one has come"),
        pytest.param([("a", 1.0, 1, None)], (("e1", "paid"), ("e2", "shipped")), ("e2", "a"), id="one of several"),
        pytest.param([("a", 1.0, 1, None)], (("e2", "shipped"), ("e1", "shipped")), ("e2", "a"), id="the oldest event"),
        pytest.param([("a", 2.0, 1, None), ("b", 1.0, 2, None)], SHIPPED, ("e1", "b"), id="who waits for longest"),
        pytest.param([("a", 1.0, 2, None), ("b", 1.0, 1, None)], SHIPPED, ("e1", "b"), id="the earlier message"),
        pytest.param([("b", 1.0, 1, None), ("a", 1.0, None, None)], SHIPPED, ("e1", "a"), id="one of no row"),
        pytest.param([("b", 1.0, 1, None), ("a", 1.0, 1, None)], SHIPPED, ("e1", "b"), id="who was parked first"),
        pytest.param([("a", 1.0, 1, 9.9), ("b", 2.0, 2, 10.1)], SHIPPED, ("e1", "b"), id="whose time has not passed"),
        pytest.param([("a", 1.0, 1, 10.0), ("b", 2.0, 2, 9.0)], SHIPPED, None, id="all times have passed"),
    ],
)
def test_an_event_and_a_wait_for_it_find_each_other(
    waits: list[tuple[str, float, int | None, float | None]],
    events: tuple[tuple[str, str], ...],
    found: tuple[str, str] | None,
) -> None:
    lot = lot_of(*waits, events=events)
    pair = lot.pair("shipped", 10.0)
    assert (None if pair is None else (pair[0].id, pair[1].message)) == found
    assert list(lot.events) == [id for id, _ in events if found is None or id != found[0]], "the others are kept"
    assert len(lot) == len(waits), "and each message is parked still"


def test_an_event_is_for_one_and_the_next_one_for_the_next() -> None:
    lot = lot_of(("a", 1.0, 1, None), ("b", 2.0, 2, None), events=(*SHIPPED, ("e2", "shipped"), ("e3", "shipped")))
    pairs = [lot.pair("shipped", 10.0) for _ in range(3)]
    assert [pair and (pair[0].id, pair[1].message) for pair in pairs] == [("e1", "a"), ("e2", "b"), None]
    lot.wait_on("a")
    lot.wait_on("gone")
    again = lot.pair("shipped", 10.0)
    assert again is not None
    assert (again[0].id, again[1].message) == ("e3", "a"), "what was on its way to it did not come"


def test_no_event_is_for_what_has_come_back() -> None:
    lot = lot_of(("a", 1.0, 1, None), ("b", 2.0, 2, 9.0), ("c", 3.0, 3, None), events=())
    assert lot.take("a") is not None
    assert [wait.message for _, wait in lot.take_due(10.0, 9)] == ["b"]
    lot.keep(Envelope(Happened("shipped", 1), id="e1"))
    pair = lot.pair("shipped", 0.0)
    assert pair is not None
    assert pair[1].message == "c"


def test_an_event_that_was_first_is_kept_before_the_others() -> None:
    lot = lot_of(events=(("e2", "shipped"), ("e3", "paid")))
    lot.keep(Envelope(Happened("shipped", 1), id="e1"), first=True)
    lot.keep(Envelope(Happened("shipped", 4), id="e4"))
    assert list(lot.events) == ["e1", "e2", "e3", "e4"]
    assert [each.id if (each := lot.first(name)) else None for name in ("shipped", "paid", "lost")] == [
        "e1",
        "e3",
        None,
    ]


@given(st.lists(st.sampled_from(["time", "event"]), max_size=6), st.integers(0, 6))
def test_what_was_parked_elsewhere_is_as_if_it_had_been_parked_here(kinds: list[str], here: int) -> None:
    waits = [
        evolve(wait(str(n), 10.0 - n % 3), what=kind, about="shipped" if kind == "event" else None)
        for n, kind in enumerate(kinds)
    ]
    one, other, both = ParkedMessages(), ParkedMessages(), ParkedMessages()
    for n, each in enumerate(waits):
        envelope = Envelope(n, id=each.message, row=n)
        both.add(envelope, each)
        (one if n < here else other).add(envelope, each)
    one.take_over(other)
    event, last = Envelope(Happened("shipped"), id="event"), Envelope(9, id="9", row=9)
    for parked in (one, both):
        parked.keep(event)
        parked.add(last, wait("9", 9.0))
    assert list(one) == list(both)
    assert one.next == both.next
    assert one.pair("shipped", 0.0) == both.pair("shipped", 0.0)
    assert one.take_due(11.0, 9) == both.take_due(11.0, 9)
