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


def test_what_came_while_others_wait_is_found_like_them() -> None:
    made = lanes((1, NORMAL), (3, NORMAL))
    assert made.pop() == 1
    made.append(4)
    assert made.replace(NORMAL, even, 6) == 4
    made.append(8)
    assert made.remove_oldest(NORMAL, lambda item: item == 8) == 8
    assert list(made) == [3, 6]


def test_what_is_due_is_forgotten_by_its_type() -> None:
    made = Lanes(lambda: 0.0)
    made.drop_due(int)
    for tick in (1, "a", 2, "b"):
        made.add_due(tick)
    made.drop_due(int)
    assert drained(made) == ["a", "b"]


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


Deed = tuple[str, int, int]
deeds = st.lists(
    st.tuples(
        st.sampled_from(["append"] * 4 + ["pop", "due", "return", "replace", "remove", "forget", "exchange", "clear"]),
        st.sampled_from([HIGH, NORMAL, LOW]),
        st.integers(0, 9),
    ),
    max_size=40,
)


def taken(model: dict[int, list[object]], due: list[object]) -> object | None:
    for lane in (due, model[HIGH], model[NORMAL], model[LOW]):
        if lane:
            return lane.pop(0)
    return None


def removed(model: dict[int, list[object]], priority: int) -> object | None:
    for lane in (LOW, NORMAL, HIGH):
        for item in model[lane] if lane >= priority else ():
            if wanted(item):
                model[lane].remove(item)
                return item
    return None


def replaced(lane: list[object], item: object) -> object | None:
    for place in reversed(range(len(lane))):
        if wanted(lane[place]):
            found, lane[place] = lane[place], item
            return found
    return None


def wanted(item: object) -> bool:
    return even(item.body if isinstance(item, Envelope) else item)


def changed(item: object) -> object:
    return item + 100 if isinstance(item, int) else item


@given(deeds)
def test_it_is_four_lists(deeds: list[Deed]) -> None:
    made, due = Lanes(lambda: 0.0), list[object]()
    model: dict[int, list[object]] = {HIGH: [], NORMAL: [], LOW: []}
    for turn, (what, priority, number) in enumerate(deeds):
        item = 10 * turn + number
        if what == "append":
            made.append(item, priority)
            model[priority].append(item)
        elif what == "due":
            tick: object = f"tick {turn}" if number % 2 else float(turn)
            made.add_due(tick)
            due.append(tick)
        elif what == "return":
            back = [Envelope(item, priority=priority), item + 1000, Envelope(item + 2000, priority=priority)]
            made.prepend(list(back))
            model[NORMAL].insert(0, back.pop(1))
            model[priority][:0] = back if priority != NORMAL else []
            if priority == NORMAL:
                model[NORMAL][:1] = [back[0], model[NORMAL][0], back[1]]
        elif what == "pop":
            assert made.pop() == taken(model, due)
        elif what == "replace":
            assert made.replace(priority, wanted, item) == replaced(model[priority], item)
        elif what == "remove":
            assert made.remove_oldest(priority, wanted) == removed(model, priority)
        elif what == "forget":
            made.drop_due(float)
            due = [tick for tick in due if not isinstance(tick, float)]
        elif what == "exchange":
            made.exchange(changed)
            model[NORMAL] = [changed(each) for each in model[NORMAL]]
        else:
            due.clear()
            assert made.clear() == [each for lane in (HIGH, NORMAL, LOW) for each in model[lane]]
            for items in model.values():
                items.clear()
        for lane, items in model.items():
            assert list(made.of_priority(lane)) == items
        assert list(made) == [each for lane in (HIGH, NORMAL, LOW) for each in model[lane]]
        assert len(made) == sum(map(len, model.values()))


def test_one_that_came_late_is_as_old_as_it_is() -> None:
    time = Time()
    made = Lanes(time.now)
    for number in range(3):
        time.seconds = 10.0 * number
        made.append(number)
        made.append(number)
        time.seconds += 1.0
        assert made.pop() == number
        assert made.oldest == 1.0, "with it came one that still waits"
        assert made.pop() == number
    for priority in (HIGH, NORMAL):
        made.append(1, priority)
        time.seconds += 2.0
        made.prepend([Envelope(2, priority=priority)])
        assert made.oldest == 2.0
        assert len(drained(made)) == 2


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
