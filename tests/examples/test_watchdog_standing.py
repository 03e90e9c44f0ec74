"""Flap damping: when trouble begins, turns into another, and is over."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from checks import Kind
from hypothesis import given
from hypothesis import strategies as st
from standing import Change, Damping, Standing, step

from treewarden.agents.errors import ConfigurationError

LETTERS = {".": Kind.OK, "d": Kind.DOWN, "s": Kind.SLOW, "e": Kind.SERVER_ERROR}


def walk(checks: str, damping: Damping) -> list[tuple[int, str, str]]:
    """The changes that these checks bring: (position from 1, before, after)."""
    standing, changes = Standing(), list[tuple[int, str, str]]()
    for position, letter in enumerate(checks, 1):
        standing, change = step(damping, standing, LETTERS[letter])
        if change is not None:
            changes.append((position, change.was, change.now))
    return changes


@pytest.mark.parametrize(
    ("checks", "changes"),
    [
        ("......", []),
        (".d.....", []),
        ("d", []),
        ("dd", [(2, "", "down")]),
        (".d.d", [(4, "", "down")]),
        ("d..d..d..d", []),
        ("dd...", [(2, "", "down"), (5, "down", "")]),
        ("dd..d...", [(2, "", "down"), (8, "down", "")]),
        (".d.d.d.d.d.d", [(4, "", "down")]),
        ("ddee", [(2, "", "down"), (4, "down", "server_error")]),
        ("dde.e...", [(2, "", "down"), (5, "down", "server_error"), (8, "server_error", "")]),
        ("de", [(2, "", "server_error")]),
        ("ss...dd", [(2, "", "slow"), (5, "slow", ""), (7, "", "down")]),
    ],
)
def test_two_of_three_begin_and_three_good_end(checks: str, changes: list[tuple[int, str, str]]) -> None:
    assert walk(checks, Damping()) == changes


@pytest.mark.parametrize(
    ("checks", "changes"),
    [
        ("dd.d", [(4, "", "down")]),
        ("d..d.d", []),
        ("d.d.d", [(5, "", "down")]),
        ("ddd.d...", [(3, "", "down"), (8, "down", "")]),
        ("dds", [(3, "", "down")]),
        ("ddsss", [(3, "", "down"), (5, "down", "slow")]),
    ],
)
def test_three_of_five_begin_and_four_good_of_five_end(checks: str, changes: list[tuple[int, str, str]]) -> None:
    assert walk(checks, Damping(bad=3, good=4, of=5)) == changes


def test_without_damping_each_check_counts() -> None:
    assert walk("d.d", Damping(bad=1, good=1, of=1)) == [(1, "", "down"), (2, "down", ""), (3, "", "down")]


@st.composite
def dampings(draw: st.DrawFn) -> Damping:
    of = draw(st.integers(1, 7))
    bad = draw(st.integers(1, of))
    return Damping(bad=bad, good=draw(st.integers(of - bad + 1, of)), of=of)


kinds = st.lists(st.sampled_from("...dse"), max_size=60).map("".join)


@given(dampings(), kinds)
def test_between_beginning_and_end_there_is_room(damping: Damping, checks: str) -> None:
    flips = [position for position, was, now in walk(checks, damping) if not was or not now]
    gap = damping.bad + damping.good - damping.of
    assert all(later - earlier >= gap for earlier, later in pairwise(flips))


@given(dampings(), kinds)
def test_a_beginning_is_a_bad_check_and_an_end_a_good_one(damping: Damping, checks: str) -> None:
    for position, was, now in walk(checks, damping):
        assert (LETTERS[checks[position - 1]] is Kind.OK) == (not now)
        assert was != now


@given(dampings(), kinds)
def test_it_ends_up_where_the_checks_do(damping: Damping, checks: str) -> None:
    def standing(more: str) -> Standing:
        at = Standing()
        for letter in checks + more:
            at, _ = step(damping, at, LETTERS[letter])
        return at

    assert standing("d" * damping.of).trouble == Kind.DOWN
    assert standing("." * damping.of) == Standing((Kind.OK,) * damping.of, "")


@given(dampings(), kinds)
def test_changes_join_up(damping: Damping, checks: str) -> None:
    held = ""
    for _, was, now in walk(checks, damping):
        assert was == held
        held = now


def test_slow_is_still_up() -> None:
    assert [Standing((), kind).up for kind in ("", Kind.SLOW, Kind.DOWN, Kind.WRONG_BODY)] == [True, True, False, False]
    assert step(Damping(bad=1, good=1, of=1), Standing(), Kind.SLOW) == (
        Standing((Kind.SLOW,), Kind.SLOW),
        Change("", Kind.SLOW),
    )


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ({"bad": 0}, "damping.bad is 0; give a whole number from 1 to 3"),
        ({"of": 0}, "damping.of is 0"),
        ({"good": 4}, "damping.good is 4; give a whole number from 1 to 3"),
        ({"bad": True}, "damping.bad is True"),
        ({"bad": 1, "good": 1}, "their sum must be more than 3"),
        ({"worse": 1}, "there is no 'worse'"),
    ],
)
def test_a_damping_that_cannot_work_is_refused(table: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        Damping.parse(table)
    assert text in str(refused.value)
