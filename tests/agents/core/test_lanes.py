from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from treewarden.agents.core.lanes import Lanes
from treewarden.agents.core.message import Envelope, Priority

HIGH, NORMAL, LOW = Priority.HIGH, Priority.NORMAL, Priority.LOW


class Time:
    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> float:
        return self.seconds


def lanes(*items: tuple[object, int]) -> Lanes:
    made = Lanes(lambda: 0.0)
    for item, priority in items:
        made.append(item, priority)
    return made


def drained(of: Lanes) -> list[object]:
    found: list[object] = []
    while (item := of.pop()) is not None:
        found.append(item)
    return found


def even(item: object) -> bool:
    return isinstance(item, int) and item % 2 == 0


def test_ticks_then_high_then_normal_then_low() -> None:
    made = lanes((1, LOW), (2, NORMAL), (3, HIGH), (4, NORMAL), (5, HIGH), (6, LOW))
    made.add_due("tick")
    assert list(made) == [3, 5, 2, 4, 1, 6]
    assert len(made) == 6
    assert drained(made) == ["tick", 3, 5, 2, 4, 1, 6]
    assert len(made) == 0
    assert made.pop() is None


@given(st.lists(st.one_of(st.integers(0, 9), st.none()), max_size=60))
def test_the_normal_lane_is_a_queue(steps: list[int | None]) -> None:
    made, model = Lanes(lambda: 0.0), list[int]()
    for step in steps:
        if step is None:
            assert made.pop() == (model.pop(0) if model else None)
        else:
            made.append(step)
            model.append(step)
        assert list(made) == model


def test_what_is_put_back_comes_first_in_its_order() -> None:
    made = lanes((3, NORMAL), (4, NORMAL))
    assert made.pop() == 3
    made.append(5, NORMAL)
    made.prepend([1, 2])
    assert list(made) == [1, 2, 4, 5]
    assert drained(made) == [1, 2, 4, 5]


def test_the_oldest_of_the_lowest_priority_goes_first() -> None:
    made = lanes((2, HIGH), (4, NORMAL), (6, NORMAL), (8, LOW))
    gone = [made.remove_oldest(HIGH, even) for _ in range(5)]
    assert gone == [8, 4, 6, 2, None]


def test_nothing_goes_for_what_is_less_urgent() -> None:
    made = lanes((2, HIGH), (4, NORMAL))
    assert made.remove_oldest(LOW, even) is None
    assert made.remove_oldest(NORMAL, even) == 4
    assert made.remove_oldest(NORMAL, even) is None
    assert list(made) == [2]


def test_only_what_is_wanted_goes() -> None:
    made = lanes((1, NORMAL), (3, LOW), (2, NORMAL), (5, LOW))
    assert made.remove_oldest(NORMAL, even) == 2
    assert list(made) == [1, 3, 5]
    assert len(made) == 3


def test_a_message_takes_the_place_of_another_of_its_priority() -> None:
    made = lanes((1, NORMAL), (2, NORMAL), (4, NORMAL), (6, HIGH), (8, LOW))
    assert [made.replace(each, even, each * 10) for each in (HIGH, NORMAL, LOW)] == [6, 4, 8]
    assert list(made) == [10, 1, 2, 20, 30], "the last one that is wanted: none overtakes an older one"
    assert made.replace(NORMAL, lambda item: item == 99, 0) is None
    assert made.replace(HIGH, lambda item: item == 99, 0) is None


def test_clearing_gives_the_messages_and_forgets_the_ticks() -> None:
    made = lanes((1, LOW), (2, NORMAL))
    made.add_due("tick")
    assert made.clear() == [2, 1]
    assert made.pop() is None
    assert (len(made), made.oldest) == (0, 0.0)


Step = tuple[str, int]
steps = st.lists(
    st.tuples(
        st.sampled_from(["append", "append", "pop", "wait", "replace", "remove", "return"]),
        st.sampled_from([HIGH, NORMAL, LOW]),
    ),
    max_size=60,
)


@given(steps)
def test_the_oldest_is_never_younger_than_it_is(steps: list[Step]) -> None:
    time = Time()
    made = Lanes(time.now)
    arrived: dict[int, float] = {}
    for number, (what, priority) in enumerate(steps):
        if what == "append":
            made.append(number, priority)
            arrived[number] = time.seconds
        elif what == "return":
            made.prepend([Envelope(number, priority=priority)])
            arrived[number] = time.seconds
        elif what == "pop":
            made.pop()
        elif what == "replace":
            made.replace(priority, lambda _: True, number)
            arrived[number] = time.seconds
        elif what == "remove":
            made.remove_oldest(priority, lambda _: True)
        else:
            time.seconds += 1.0
        bodies = [item.body if isinstance(item, Envelope) else item for item in made]
        waiting = [arrived[body] for body in bodies if isinstance(body, int)]
        if not waiting:
            assert made.oldest == 0
        else:
            assert made.oldest >= time.seconds - min(waiting)
            assert made.oldest <= time.seconds


def test_the_oldest_is_exact_when_all_came_at_once_and_forgotten_when_they_are_gone() -> None:
    time = Time()
    made = Lanes(time.now)
    ways: list[Callable[[], None]] = [
        lambda: made.append(1),
        lambda: made.append(1, HIGH),
        lambda: made.append(1, LOW),
        lambda: made.prepend([1]),
    ]
    for way in ways:
        way()
        time.seconds += 2.0
        assert made.oldest == 2.0
        made.append(2)
        time.seconds += 1.0
        assert made.oldest == 3.0
        assert len(drained(made)) == 2
        assert made.oldest == 0.0
        time.seconds += 10.0


def test_a_tick_has_no_age_and_takes_no_room() -> None:
    made = Lanes(lambda: 5.0)
    made.add_due("tick")
    assert (len(made), made.oldest, list(made)) == (0, 0.0, [])
    made.drop_due()
    assert made.pop() is None
