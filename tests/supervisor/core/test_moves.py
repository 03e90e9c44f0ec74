"""Where that was, and is, which was moved to another path."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treewarden.agents.core.path import LONGEST_PATH, Path
from treewarden.supervisor.core.event import SlotMoved
from treewarden.supervisor.core.moves import (
    Move,
    carried,
    is_nested,
    move_of,
    moves_of,
    place_now,
    place_then,
    places_of,
    too_long,
)


def move(seq: int, old: str, new: str) -> Move:
    return Move(seq, Path(old), Path(new))


THERE_AND_BACK = (move(10, "desk", "shop"), move(20, "shop/till", "till"), move(30, "other", "desk"))


@pytest.mark.parametrize(
    ("path", "since", "now"),
    [
        ("desk", 9, "shop"),
        ("desk", 10, None),  # it was gone when `other` came there
        ("desk/till", 9, "till"),
        ("desk/box", 9, "shop/box"),
        ("desks", 9, "desks"),
        ("shop", 9, None),
        ("shop", 10, "shop"),
        ("shop/till", 10, "till"),
        ("other/box", 25, "desk/box"),
        ("other", 30, "other"),
    ],
)
def test_where_it_is_now(path: str, since: int, now: str | None) -> None:
    assert place_now(Path(path), since, THERE_AND_BACK) == now


@pytest.mark.parametrize(
    ("path", "at", "then"),
    [
        ("shop", 10, "shop"),
        ("shop", 9, "desk"),
        ("till", 19, "shop/till"),
        ("till", 9, "desk/till"),
        ("desk", 29, "other"),
        ("desk", 30, "desk"),
        ("other", 29, None),  # whoever lives there came after what had been there left
        ("shop/till", 19, None),
        ("box", 0, "box"),
    ],
)
def test_where_it_was_then(path: str, at: int, then: str | None) -> None:
    assert place_then(Path(path), at, THERE_AND_BACK) == then


def test_what_is_known_by_path_goes_along_and_takes_the_place_of_what_was_known_there() -> None:
    known = {Path("desk"): 1, Path("desk/till"): 2, Path("desks"): 3, Path("shop"): 4, Path("shop/box"): 5}
    assert carried(known, move(1, "desk", "shop")) == {"shop": 1, "shop/till": 2, "desks": 3}


def test_where_that_may_have_been_which_is_there_now() -> None:
    assert places_of(Path("shop"), THERE_AND_BACK) == ["shop", "desk"]
    assert places_of(Path("till"), THERE_AND_BACK) == ["till", "shop/till", "desk/till"]
    assert places_of(Path("box"), THERE_AND_BACK) == ["box"]


def test_a_move_is_told_twice_and_counts_once() -> None:
    there = SlotMoved(path=Path("shop"), old=Path("desk"), new=Path("shop"))
    left = SlotMoved(path=Path("desk"), old=Path("desk"), new=Path("shop"))
    assert moves_of([(7, there), (8, left)]) == [move(7, "desk", "shop")]
    assert move_of(8, left) is None


@pytest.mark.parametrize(
    ("old", "new", "nested"),
    [
        ("a", "a", True),
        ("a", "a/b", True),
        ("a/b", "a", True),
        ("/", "a", True),
        ("a", "ab", False),
        ("a/b", "a/c", False),
    ],
)
def test_one_within_the_other(old: str, new: str, nested: bool) -> None:
    assert is_nested(Path(old), Path(new)) is nested


def test_a_path_that_would_be_too_long() -> None:
    long = Path("a/" + "b" * (LONGEST_PATH - 2))
    assert too_long([Path("a"), long], Path("a"), Path("c")) is None
    assert too_long([Path("a"), long], Path("a"), Path("cc")) == long


_PLACES = ("a", "b", "a/x", "b/x", "c", "c/x")


@given(st.lists(st.tuples(st.sampled_from(_PLACES), st.sampled_from(_PLACES)), max_size=6), st.data())
def test_who_lives_anywhere_is_found_at_each_moment(pairs: list[tuple[str, str]], data: st.DataObject) -> None:
    """Against a model: a table of who lives where, after each move that can be."""
    living = {Path(place): place for place in data.draw(st.sets(st.sampled_from(_PLACES), min_size=1))}
    tables, moves = [living], list[Move]()
    for old, new in pairs:
        free = not any(path.is_within(Path(new)) for path in living)
        if free and not is_nested(Path(old), Path(new)) and any(path.is_within(Path(old)) for path in living):
            moves.append(move(len(tables), old, new))
            living = carried(living, moves[-1])
            tables.append(living)
    for at, table in enumerate(tables):
        for path, who in table.items():
            now = place_now(path, at, moves)
            assert now is not None
            assert living[now] == who
            assert place_then(now, at, moves) == path
