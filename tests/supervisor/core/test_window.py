"""What siblings have shown lately: bounded, pruned by time, and deaf to how loud one child is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from treewarden.agents.core.exit import Finished
from treewarden.agents.core.path import Path
from treewarden.supervisor.core.signal import Recovered, Reported, Signal
from treewarden.supervisor.core.symptom import SEVERE, trouble_in
from treewarden.supervisor.core.window import Glimpse, Window

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
