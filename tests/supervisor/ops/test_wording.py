"""How times, durations, counts and columns read, and that no text can command a terminal."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treewarden.supervisor.ops.wording import (
    Paint,
    cells,
    clean,
    clip,
    columns,
    duration,
    ending_at,
    folded,
    listing,
    local,
    plural,
)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.0004, "0 ms"),
        (0.04, "40 ms"),
        (0.0994, "99 ms"),
        (0.0996, "0.1 s"),
        (0.4, "0.4 s"),
        (3.0, "3 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (200, "3 min 20 s"),
        (3600, "1 h"),
        (3600 * 5 + 190, "5 h 3 min"),
        (86400 * 4 + 7300, "4 d 2 h"),
        (-3, "-3 s"),
        (math.inf, "for ever"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@given(st.floats(min_value=10, max_value=1e9))
def test_a_duration_says_what_it_was_within_the_smaller_unit(seconds: float) -> None:
    sizes = {"d": 86400, "h": 3600, "min": 60, "s": 1}
    words = duration(seconds).split()
    said = sum(int(count) * sizes[unit] for count, unit in zip(words[::2], words[1::2], strict=True))
    smaller = {"d": 3600, "h": 60, "min": 1, "s": 1}[words[1]]
    assert abs(said - seconds) <= smaller


def test_times_are_local_with_seconds() -> None:
    assert local(1_795_219_200.9) == "2026-11-21 00:00:00"
    assert local(1e300) == "1e+300"


def test_an_end_is_told_while_it_is_ahead() -> None:
    assert ending_at(112.0, 100.0) == " for 12 s more"
    assert ending_at(100.0, 100.0) == ending_at(None, 100.0) == ""


def test_counts() -> None:
    assert (plural(1, "slot"), plural(2, "slot"), plural(0, "child", "children")) == ("1 slot", "2 slots", "0 children")
    assert (plural(1, "reply"), plural(2, "reply"), plural(2, "day")) == ("1 reply", "2 replies", "2 days")
    assert listing({"throttle": 3, "roll_back": 12}) == "roll_back 12, throttle 3"


@given(st.text())
def test_clean_text_stays_on_its_line_and_commands_nothing(text: str) -> None:
    cleaned = clean(text)
    assert cleaned.isprintable()
    assert clean(cleaned) == cleaned


def test_what_would_command_a_terminal_is_shown() -> None:
    assert clean("red \x1b[31m\nand \x07 more") == "red \\x1b[31m and \\x07 more"


@given(st.text(alphabet=st.characters(exclude_categories=("Cs", "Cc"))), st.integers(0, 30))
def test_clipped_text_fits(text: str, width: int) -> None:
    clipped = clip(text, width)
    assert cells(clipped) <= width
    assert text.startswith(clipped.removesuffix("…"))
    assert (clipped == text) == (cells(text) <= width)
    assert clip(text, None) == text


_cell = st.text("ab漢 ", max_size=6)


@given(st.lists(st.tuples(_cell, _cell, st.text("ab漢", min_size=1, max_size=6)), min_size=1, max_size=5))
def test_columns_begin_at_the_same_place(rows: list[tuple[str, str, str]]) -> None:
    lines = columns(rows, right=frozenset({1}))
    assert len({cells(line.removesuffix(row[2])) for row, line in zip(rows, lines, strict=True)}) == 1
    assert all(line.endswith(row[2]) for row, line in zip(rows, lines, strict=True))


def test_columns() -> None:
    table = [("slot", "life", ""), ("a", "10", "long note"), ("desk", "9", "")]
    assert columns(table, right=frozenset({1})) == ["slot  life", "a       10  long note", "desk     9"]
    assert columns(table, right=frozenset({1}), width=13)[1] == "a       10  …"
    assert columns([]) == []


@given(st.text("ab漢 ", max_size=80), st.integers(8, 40))
def test_folded_text_loses_nothing_and_fits(text: str, width: int) -> None:
    lines = folded(text, width, 4)
    assert all(cells(line) <= width for line in lines)
    assert all(line.startswith("    ") for line in lines[1:])
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


def test_text_is_folded_between_words() -> None:
    assert folded("one two three", 8, 2) == ["one two", "  three"]
    assert folded("one", 8, 2) == ["one"]


def test_colours_are_an_option() -> None:
    assert Paint(True)("up", "good") == "\x1b[32mup\x1b[0m"
    assert Paint(True)("up", "") == Paint(False)("up", "good") == "up"
