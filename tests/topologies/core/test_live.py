"""What is asked for of a live tree, when its faults come, and what ends it."""

from __future__ import annotations

import pathlib
import re
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treewarden.agents.core.path import Path
from treewarden.supervisor.core.event import (
    ChildStarted,
    DeadLettered,
    Decided,
    Event,
    JournalFailed,
    SupervisorEnded,
)
from treewarden.topologies.core.live import ChaosOrder, broken_by, parse_order, strikes


def test_an_order_in_full() -> None:
    text = "seed=7,kill=0.1/s,hang=6/m,slow=36/h,blast=pool/*,blast=/desk,max=2,for=10m"
    text += ",hangs=4s,slows=1,recover=1h,promise=a.b:c"
    order = parse_order(text)
    assert order.rates == {"kill": 0.1, "hang": 0.1, "slow": 0.01}
    assert (order.seed, order.blast, order.most, order.lasts, order.bounded) == (7, ("pool/*", "desk"), 2, 600.0, True)
    assert (order.hangs, order.slows, order.recover, order.promise) == (4.0, 1.0, 3600.0, "a.b:c")


def test_the_order_of_the_page_about_it() -> None:
    page = pathlib.Path(__file__).parents[3] / "docs" / "live-chaos.md"
    (order,) = re.findall(r"--chaos (seed=\S+)", page.read_text("utf-8"))
    assert not parse_order(order).refusal


def test_what_is_not_said_is_careful() -> None:
    order = parse_order("seed=0,kill=1/s")
    assert (order.most, order.lasts, order.blast, order.bounded) == (1, 60.0, (), False)


@given(
    st.builds(
        ChaosOrder,
        seed=st.integers(0, 10**6),
        rates=st.dictionaries(
            st.sampled_from(["kill", "hang", "slow"]), st.sampled_from([0.01, 1.0, 50.0]), min_size=1
        ),
        blast=st.lists(st.sampled_from(["*", "pool/*", "a"])).map(tuple),
        most=st.integers(1, 9),
        lasts=st.sampled_from([1.0, 60.5]),
        bounded=st.just(True),
        recover=st.sampled_from([3.0, 30.0]),
        promise=st.sampled_from(["", "desk:holds"]),
    )
)
def test_the_text_of_an_order_says_all_of_it(order: ChaosOrder) -> None:
    assert parse_order(order.text) == order


@pytest.mark.parametrize(("text", "complaint"), [
    ("", "no fault is asked for"),
    ("seed=7", "no fault is asked for"),
    ("kill=1/s", "a seed is missing"),
    ("seed=x,kill=1/s", "seed=x is no whole number"),
    ("seed=7,kill=1", "kill=1 is no rate"),
    ("seed=7,kill=0/s", "kill=0/s is no rate"),
    ("seed=7,kill=1000/s", "kill=1000/s is no rate"),
    ("seed=7,kill=nan/s", "kill=nan/s is no rate"),
    ("seed=7,kill=1/d", "kill=1/d is no rate"),
    ("seed=7,kill=1/s,max=0", "max=0 is no whole number, 1 or more"),
    ("seed=7,kill=1/s,for=soon", "for=soon is no time"),
    ("seed=7,kill=1/s,for=-1s", "for=-1s is no time"),
    ("seed=7,kill=1/s,kill=2/s", "kill is said twice"),
    ("seed=7,kill=1/s,crash=1/s", "'crash=1/s' is nothing that chaos takes"),
    ("seed=7,kill", "'kill' is nothing"),
    ("seed=7,kill=", "kill= needs a value"),
    ("seed=7,kill=1/s,promise=rm -rf", "names no function"),
])  # fmt: skip
def test_what_cannot_be_had_is_refused_by_name(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint.replace("(", r"\(")):
        parse_order(text)


def test_whom_it_may_strike() -> None:
    order = parse_order("seed=7,kill=1/s,blast=pool/*,blast=desk")
    assert [path for path in ("/", "desk", "pool", "pool/1", "x/pool/1") if order.aims_at(path)] == ["desk", "pool/1"]
    everybody = parse_order("seed=7,kill=1/s")
    assert everybody.aims_at("desk")
    assert not everybody.aims_at("/")


@pytest.mark.parametrize(("more", "why"), [
    ("", "say whom"), (",for=1m", "say whom"), (",blast=*,for=1m", "say whom"), (",blast=a/*", "say how long"),
    (",blast=a/*,for=1m", ""),
])  # fmt: skip
def test_what_a_tree_that_people_depend_on_may_have(more: str, why: str) -> None:
    refusal = parse_order(f"seed=7,kill=1/s{more}").refusal
    assert refusal.startswith(why)
    assert bool(refusal) is bool(why)


@given(st.integers(0, 10**9))
def test_the_seed_decides_alone_and_nothing_comes_late(seed: int) -> None:
    order = parse_order(f"seed={seed},kill=2/s,slow=1/s,for=20s")
    first = list(strikes(order))
    assert first == list(strikes(order))
    assert [each.at for each in first] == sorted(each.at for each in first)
    assert all(0 <= each.at < 20 and 0 <= each.pick < 1 for each in first)


def test_as_often_as_was_asked_for() -> None:
    order = parse_order("seed=7,kill=0.5/s,hang=1/m,for=10h")
    found = list(strikes(order))
    kills = sum(each.kind == "kill" for each in found)
    assert kills == pytest.approx(18_000, rel=0.05)
    assert len(found) - kills == pytest.approx(600, rel=0.15)


def test_another_fault_moves_none() -> None:
    alone = list(islice(strikes(parse_order("seed=7,kill=1/s,for=1m")), 20))
    beside = [each for each in strikes(parse_order("seed=7,kill=1/s,hang=1/s,for=1m")) if each.kind == "kill"]
    assert beside[:20] == alone


A = Path("a")


def decided(action: str) -> Decided:
    return Decided(path=A, incident="1.1", action=action, confidence=0.5, policy="ladder", rule="a rule")


@pytest.mark.parametrize(("event", "text"), [
    (DeadLettered(path=A, message="m", kind="K", reason="poison"), "a has given a message up: poison"),
    (SupervisorEnded(path=A, incarnation=1, reason="stopped: intensity"), "a has given up: stopped: intensity"),
    (SupervisorEnded(path=A, incarnation=1, reason="shutdown"), ""),
    (decided("hold"), "a: a person is asked"),
    (decided("stop"), "a: it is not restarted"),
    (decided("escalate"), "a: its supervisor gives up"),
    (decided("restart"), ""),
    (JournalFailed(error="disk full", since=1.0), "the journal fails: disk full"),
    (ChildStarted(path=A, incarnation=2), ""),
])  # fmt: skip
def test_what_ends_it(event: Event, text: str) -> None:
    assert broken_by(event) == text
