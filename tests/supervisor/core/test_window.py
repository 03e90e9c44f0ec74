"""What siblings have shown lately: bounded, pruned by time, and deaf to how loud one child is."""

from __future__ import annotations

import math

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from treewarden.agents.core.exit import Failed, Failure, Finished
from treewarden.agents.core.message import MessageId
from treewarden.agents.core.path import Path
from treewarden.supervisor.core.signal import RateLimitReached, Recovered, Reported, RestartFailed, Signal, Stalled
from treewarden.supervisor.core.symptom import SEVERE, trouble_in
from treewarden.supervisor.core.window import ENOUGH, NOTHING_DONE, Glimpse, Window, Work, count_apart, work_of

from .cases import PATH, exited, failed, signals


def crash(child: str, at: float, kind: str = "ValueError") -> Signal:
    return exited(failed(kind), at=at, path=Path("desk") / child)


def window(*signals: Signal) -> Window:
    found = Window()
    for signal in signals:
        found = found.add(signal)
    return found


def test_siblings_in_the_same_trouble() -> None:
    seen = window(crash("a", 0.0), crash("b", 1.0, "OSError"), crash("c", 2.0), crash("a", 3.0))
    assert seen.alike("valueerror", 3.0) == {"c": Glimpse(2.0), "a": Glimpse(3.0)}
    assert list(seen.alike("oserror", 3.0)) == ["b"]
    assert seen.alike("keyerror", 3.0) == {}


def test_what_is_older_than_the_window_is_over() -> None:
    seen = window(crash("a", 0.0), crash("b", 30.0))
    assert list(seen.alike("valueerror", 60.0)) == ["a", "b"]
    assert list(seen.alike("valueerror", 60.1)) == ["b"]
    assert list(seen.add(crash("c", 60.0)).seen["valueerror"]) == ["a", "b", "c"]
    assert list(seen.add(crash("c", 61.0)).seen["valueerror"]) == ["b", "c"]
    assert list(seen.add(crash("c", 90.0, "OSError")).seen) == ["valueerror", "oserror"]
    assert list(seen.add(crash("c", 91.0, "OSError")).seen) == ["oserror"]


def test_who_waits_is_in_it_however_long_ago_that_was_seen() -> None:
    seen = window(crash("a", 0.0), crash("b", 1.0)).with_others(crash("b", 200.0), {"a": ((), NOTHING_DONE)})
    assert list(seen.alike("valueerror", 200.0)) == ["a"]
    assert list(seen.add(crash("b", 200.0)).alike("valueerror", 200.0)) == ["a", "b"]
    forgotten = window(crash("c", 199.0, "OSError")).with_others(crash("b", 200.0), {"a": (("api",), Work(7))})
    assert forgotten.alike("valueerror", 200.0) == {"a": Glimpse(140.0, ("api",))}
    assert list(forgotten.alike("oserror", 200.0)) == ["c"]


def test_what_is_known_of_who_waits_goes_on_to_count() -> None:
    seen = Window().add(exited(failed(message="m1"), at=0.0, path=Path("desk/a")), (), Work(2))
    waiting = seen.with_others(crash("b", 10.0), {"a": ((), Work(9))})
    assert waiting == seen, "it was seen within the minute"
    assert waiting.looked_at("valueerror", {"a": Work(2 + ENOUGH)}).alike("valueerror", 10.0)["a"].works


def test_many_who_wait_are_as_bounded_as_others() -> None:
    many = {f"s{n}": ((), NOTHING_DONE) for n in range(100)}
    assert len(window(crash("a", 0.0)).with_others(crash("a", 1.0), many).alike("valueerror", 1.0)) == 64
    loud = window(*(crash("a", 0.0, f"E{n}") for n in range(50)))
    assert len(loud.with_others(crash("a", 1.0), many).seen) == len(loud.seen) == 32


def test_equal_windows_have_one_hash() -> None:
    seen = window(crash("a", 0.0), crash("b", 1.0, "OSError"))
    again = seen.with_others(crash("c", 1.0), {"a": ((), NOTHING_DONE)})
    assert again == seen
    assert hash(again) == hash(seen)


def test_a_recovery_takes_the_report_out() -> None:
    slow = Reported(path=PATH, at=1.0, kind="slow", severity=0.9)
    over = Recovered(path=PATH, at=2.0, kind="slow")
    assert window(slow).seen
    assert window(slow, over).seen == {}
    assert window(over).seen == {}
    assert window(slow, Recovered(path=PATH, at=2.0, kind="down")) == window(slow)


def test_an_end_in_order_is_no_trouble() -> None:
    assert window(exited(Finished())) == Window()


def test_a_loud_child_pushes_nobody_out() -> None:
    seen = window(crash("a", 0.0), *(crash("loud", float(at % 50)) for at in range(1000)))
    assert set(seen.alike("valueerror", 50.0)) == {"a", "loud"}


@given(st.lists(signals(), max_size=40))
def test_it_remembers_the_latest_of_each_child(heard: list[Signal]) -> None:
    heard.sort(key=lambda signal: signal.at)
    expected: dict[str, dict[str, float]] = {}
    for signal in heard:
        if isinstance(signal, Recovered):
            expected.get(f"reported:{signal.kind}", {}).pop(signal.path.name, None)
        elif trouble := trouble_in(signal):
            expected.setdefault(trouble, {})[signal.path.name] = signal.at
    now = heard[-1].at if heard else 0.0
    seen = window(*heard)
    for trouble, children in expected.items():
        recent = {child: at for child, at in children.items() if at >= now - seen.within}
        assert {child: glimpse.at for child, glimpse in seen.alike(trouble, now).items()} == recent


@given(st.lists(signals(), max_size=10), st.booleans(), st.sampled_from(["", "valueerror", "reported:slow"]))
def test_it_answers_alike_whether_or_not_it_was_looked_at(heard: list[Signal], odd: bool, asked: str) -> None:
    """Signals are sorted in when somebody looks; of one signal alone, the answer comes without that."""
    heard.sort(key=lambda signal: signal.at)
    troubles = {asked, *(trouble_in(signal) for signal in heard)}
    now = (heard[-1].at if heard else 0.0) + (60.5 if odd else 60.0)
    for trouble in troubles:
        looked_at = window(*heard)
        assert looked_at.seen is looked_at.seen
        assert window(*heard).alike(trouble, now) == looked_at.alike(trouble, now)


def test_one_signal_alone_is_found_where_it_belongs_and_while_it_is_young() -> None:
    alone = crash("a", 1.0)
    uses = ("api",)
    for trouble, now, found in (
        ("valueerror", 61.0, {"a": Glimpse(1.0, uses)}),
        ("valueerror", 61.1, {}),
        ("oserror", 61.0, {}),
        ("", 61.0, {}),
    ):
        assert Window().add(alone, uses).alike(trouble, now) == found
    in_order = Window().add(exited(Finished(), at=1.0))
    assert (in_order.alike("", 1.0), in_order.alike("valueerror", 1.0)) == ({}, {})


def test_who_is_seen_again_is_the_latest() -> None:
    """Where there are too many, the one that was seen longest ago goes, and not the one that was seen first."""
    seen = window(crash("a", 0.0), crash("b", 1.0), crash("c", 2.0, "OSError"), crash("a", 3.0)).seen
    assert [(trouble, list(children)) for trouble, children in seen.items()] == [
        ("oserror", ["c"]),
        ("valueerror", ["b", "a"]),
    ]


def test_what_is_no_severe_report_is_not_compared_by() -> None:
    for severity, found in ((0.59, []), (SEVERE, ["a"]), (0.9, ["a"])):
        report = Reported(path=PATH, at=1.0, kind="slow", severity=severity)
        assert list(window(report).alike("reported:slow", 1.0)) == found


def test_windows_are_equal_by_what_they_show() -> None:
    one, other = window(crash("a", 0.0), crash("b", 1.0)), window(crash("a", 0.0), crash("b", 1.0))
    assert one.seen
    assert one == other
    assert hash(one) == hash(other)
    assert one not in (window(crash("a", 0.0)), window(), Window(30.0).add(crash("a", 0.0)).add(crash("b", 1.0)), 3)


def test_a_recovery_leaves_the_siblings_that_have_not_recovered() -> None:
    both = [Reported(path=Path("desk") / name, at=1.0, kind="slow", severity=0.9) for name in "ab"]
    over = Recovered(path=both[0].path, at=2.0, kind="slow")
    assert list(window(*both, over).alike("reported:slow", 2.0)) == ["b"]


def test_it_is_bounded() -> None:
    many = window(*(crash(f"c{child}", 0.0) for child in range(500)))
    assert len(many.seen["valueerror"]) == 64
    assert "c499" in many.seen["valueerror"]
    various = window(*(crash("a", 0.0, f"E{place}") for place in range(500)))
    assert len(various.seen) == 32
    assert "e499" in various.seen


# Who works in between ---------------------------------------------------------------------------------------------


def handling(child: str, at: float, kind: str | None = "Add", error: str = "OSError") -> Signal:
    failure = Failure(error, "unlucky", error.lower(), message_kind=kind)
    return exited(Failed(failure), at=at, path=Path("desk") / child)


@pytest.mark.parametrize(
    ("before", "now", "enough"),
    [
        (Work(100), Work(104), False),
        (Work(100), Work(105), True),
        (Work(100, 3), Work(114, 3), False),  # of one kind all may have failed, for all that it knows
        (Work(100, 3), Work(115, 3), True),
        (Work(100), Work(3), False),  # its slot was made anew
        (Work(0), Work(0, ticks={"beat": 1000}), False),
        (Work(7, 0), Work(12, 0), True),
    ],
)
def test_enough_is_five_of_each_kind(before: Work, now: Work, enough: bool) -> None:
    seen = Window().add(handling("a", 1.0), work=before)
    assert seen.has_worked("a", 2.0, now) is enough
    looked = seen.looked_at("oserror", {"a": now})
    assert ("a" not in looked.with_it(handling("a", 1.0), (), 2.0)) is enough
    assert list(looked.alike("oserror", 2.0)) == ["a"]


@pytest.mark.parametrize(
    ("now", "enough"),
    [
        (Work(1000), False),
        (Work(0, ticks={"beat": 1000, "poll": 6}), False),
        (Work(0, ticks={"poll": 7}), True),
    ],
)
@pytest.mark.parametrize("word", ["every", "at"])
def test_who_failed_at_a_tick_works_by_that_tick(now: Work, enough: bool, word: str) -> None:
    seen = Window().add(handling("a", 1.0, f"{word}:poll"), work=Work(0, ticks={"poll": 2}))
    assert bool(seen.looked_at("oserror", {"a": now}).with_it(handling("b", 2.0), (), 2.0)) is not enough


def test_ticks_are_no_messages() -> None:
    assert work_of(10, None, 2) == Work(10, 2)
    assert work_of(10, {"beat": 3, "poll": 4}, 2) == Work(3, 2, {"beat": 3, "poll": 4})


MUCH = Work(1000)


@pytest.mark.parametrize(
    ("signal", "over"),
    [
        (handling("a", 1.0), True),
        (handling("a", 1.0, None), False),  # its body failed: who handles messages may have no body that works
        (RestartFailed(path=Path("desk/a"), at=1.0, failure=Failure("OSError", fingerprint="oserror")), True),
        (Stalled(path=Path("desk/a"), at=1.0, idle=9.0, doing="Add"), True),
        (Stalled(path=Path("desk/a"), at=1.0, idle=9.0), False),
        (RateLimitReached(path=Path("desk/a"), at=1.0), False),
        (Reported(path=Path("desk/a"), at=1.0, kind="slow", severity=0.9), False),
    ],
)
def test_of_what_a_child_lives_in_its_work_says_nothing(signal: Signal, over: bool) -> None:
    seen = Window().add(signal).looked_at(trouble_in(signal), {"a": MUCH})
    assert (seen.with_it(signal, (), 2.0) == set()) is over


def test_who_works_between_two_failures_is_not_in_it_at_the_second_either() -> None:
    seen = Window().add(handling("a", 1.0), work=Work(0)).add(handling("a", 2.0), work=Work(ENOUGH))
    assert seen.with_it(handling("b", 2.0), (), 2.0) == set()
    again = seen.add(handling("a", 3.0), work=Work(2 * ENOUGH - 1))
    assert again.with_it(handling("b", 3.0), (), 3.0) == {"a"}
    late = Window().add(handling("a", 1.0)).add(handling("a", 62.0), work=MUCH)  # of what was before nothing is known
    assert late.with_it(handling("b", 62.0), (), 62.0) == {"a"}
    other = Window().add(handling("a", 1.0)).add(handling("a", 2.0, error="KeyError"), work=MUCH)
    assert other.with_it(handling("b", 2.0, error="KeyError"), (), 2.0) == {"a"}


def test_what_was_looked_at_is_another_value_and_nobody_else_is_touched() -> None:
    seen = Window().add(handling("a", 1.0)).add(handling("b", 2.0)).add(handling("a", 3.0, error="KeyError"))
    looked = seen.looked_at("oserror", {"a": MUCH, "stranger": MUCH})
    assert looked.with_it(handling("c", 3.0), (), 3.0) == {"b"}
    assert seen.with_it(handling("c", 3.0), (), 3.0) == {"a", "b"}
    assert looked.with_it(handling("c", 3.0, error="KeyError"), (), 3.0) == {"a"}
    assert looked.looked_at("oserror", {"a": MUCH}) is looked
    assert seen.looked_at("oserror", {"a": NOTHING_DONE}) is seen
    assert seen.looked_at("keyerror?", {"a": MUCH}) is seen
    assert looked.within == seen.within
    assert looked.seen["oserror"]["a"] == evolve(seen.seen["oserror"]["a"], works=True, proof=1.0)


def test_who_has_worked_since_it_was_seen_in_any_trouble() -> None:
    seen = Window().add(handling("a", 1.0), work=Work(0)).add(handling("a", 3.0, error="KeyError"), work=Work(10))
    assert seen.has_worked("a", 4.0, Work(15))
    assert not seen.has_worked("a", 4.0, Work(14))
    assert seen.has_worked("a", 63.0, Work(15))
    assert not seen.has_worked("a", 63.1, Work(15))
    assert not seen.has_worked("b", 4.0, Work(15))


@pytest.mark.parametrize(
    ("settled", "uptime", "work", "since"),
    [
        (5, 1.0, Work(5), 9.0),
        (50, 10.0, Work(500), 9.0),
        (4, 0.1, Work(4), -math.inf),
        (9, 0.1, Work(9, 2), -math.inf),
        (10, 1.0, Work(10, 2), 9.0),
        (500, 1.0, Work(10, ticks={"beat": 490}), -math.inf),  # how many of the five hundred were messages?
    ],
)
def test_a_first_failure_counts_and_what_its_life_had_done_is_a_proof(
    settled: int, uptime: float, work: Work, since: float
) -> None:
    first = evolve(handling("a", 10.0), settled=settled, uptime=uptime)
    seen = Window().add(handling("b", 8.9)).add(handling("c", 9.1)).add(first, work=work)
    assert seen.seen["oserror"]["a"].proof == since
    assert seen.with_it(first, (), 10.0) == {"a", "c"} | ({"b"} if since < 0 else set())


def test_what_failed_before_one_of_them_worked_again_was_not_down_for_all() -> None:
    own = evolve(handling("a", 10.0), settled=20, uptime=8.0)  # five of them within the last two seconds
    seen = Window().add(handling("b", 7.9)).add(handling("c", 8.1)).add(own, work=Work(20))
    assert seen.with_it(own, (), 10.0) == {"a", "c"}
    assert {name for name, glimpse in seen.seen_with(own, (), 10.0).items() if glimpse.works} == {"b"}
    c_works = seen.looked_at("oserror", {"c": Work(5)})
    assert c_works.with_it(handling("d", 10.0), (), 10.0) == {"a"}
    between = Window().add(handling("b", 1.0)).add(handling("a", 2.0)).add(handling("c", 2.5))
    between = between.add(handling("a", 3.0), work=Work(5)).add(handling("a", 3.1), work=Work(5))
    assert between.with_it(handling("d", 3.1), (), 3.1) == {"a", "c"}


def test_work_proves_nothing_of_what_others_use() -> None:
    def lost(child: str, at: float) -> Signal:
        return handling(child, at, error="ConnectionError")

    seen = Window().add(lost("b", 1.0), ("x",)).add(lost("c", 1.0), ("x", "y")).add(lost("a", 2.0), ("y",))
    seen = seen.looked_at("connectionerror", {"a": MUCH})
    assert seen.with_it(lost("d", 3.0), ("x",), 3.0) == {"b", "c"}
    assert seen.with_it(lost("d", 3.0), ("y",), 3.0) == set()
    assert seen.with_it(lost("d", 3.0), (), 3.0) == set()


def test_a_trouble_is_apart_from_others_where_it_or_they_work() -> None:
    first, again = handling("a", 1.0), handling("a", 2.0)
    assert not Window().add(first).is_apart(first, ())
    assert Window().add(first).add(again, work=MUCH).is_apart(again, ())
    others = Window().add(handling("b", 0.5)).add(handling("c", 0.6)).add(first)
    assert not others.add(again, work=Work(4)).is_apart(again, ())
    assert not others.looked_at("oserror", {"b": MUCH}).add(again).is_apart(again, ())  # c failed after that
    assert others.looked_at("oserror", {"c": MUCH}).add(again).is_apart(again, ())
    assert not Window().is_apart(first, ())


def test_nobody_is_taken_to_work_where_there_is_no_room_for_restarts() -> None:
    first, again = handling("a", 1.0), handling("a", 2.0)
    window = Window().add(handling("b", 0.5)).add(first).looked_at("oserror", {"b": MUCH}).add(again, work=MUCH)
    assert window.with_it(again, (), 2.0) == set()
    assert window.with_it(again, (), 2.0, room=False) == {"a", "b"}
    assert not window.is_apart(again, (), room=False)


def over(child: str, message: str, error: str = "ValueError") -> Signal:
    return exited(failed(error, message=message), at=1.0, path=Path("desk") / child)


@pytest.mark.parametrize(
    ("error", "messages", "apart"),
    [
        ("ValueError", ("m1", "m1", "m1"), 0),
        ("ValueError", ("m1", "m2", "m2"), 1),
        ("ValueError", ("m2", "m3", None), 3),
        ("ConnectionError", ("m1", "m1", "m1"), 3),
        ("TimeoutError", ("m1", "m1", "m1"), 3),
    ],
)
def test_one_message_that_fails_at_several_children_counts_as_one(
    error: str, messages: tuple[str | None, ...], apart: int
) -> None:
    found = {
        f"c{n}": Glimpse(1.0, message=None if each is None else MessageId(each)) for n, each in enumerate(messages)
    }
    assert count_apart(over("own", "m1", error), found) == apart
    assert count_apart(crash("own", 1.0, error), found) == len(found)  # it had no message in hand


def test_it_knows_over_which_message_each_child_failed() -> None:
    seen = window(over("a", "m1"), over("a", "m2"), over("b", "m3"))
    assert {name: glimpse.message for name, glimpse in seen.alike("valueerror", 1.0).items()} == {"a": "m2", "b": "m3"}
