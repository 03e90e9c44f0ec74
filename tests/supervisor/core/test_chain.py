"""The chain: what is found of every kind of damage, and where."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Any, Final, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treewarden.supervisor.core.chain import GENESIS, FaultKind, Head, StoredRow, Verdict, link, verify

Row: TypeAlias = tuple[int, float, int, str, str, int, str, bytes, bytes]
"""seq, at, epoch, path, kind, version, body, prev, hash."""


def chained(count: int, *, body: str = "{}") -> list[Row]:
    rows: list[Row] = []
    prev = GENESIS
    for seq in range(1, count + 1):
        hash = link(prev, seq, 0.5 * seq, 1, "desk/writer", "Recorded", 1, body)
        rows.append((seq, 0.5 * seq, 1, "desk/writer", "Recorded", 1, body, prev, hash))
        prev = hash
    return rows


def head_of(rows: list[Row]) -> Head:
    return Head(len(rows), rows[-1][8]) if rows else Head()


def found(verdict: Verdict) -> list[tuple[int, FaultKind]]:
    return [(fault.seq, fault.kind) for fault in verdict.faults]


def test_an_untouched_chain_is_sound() -> None:
    rows = chained(20)
    verdict = verify(rows, head_of(rows))
    assert verdict.sound
    assert verdict.rows == 20
    assert verdict.head == head_of(rows)


def test_an_empty_journal_is_sound_at_its_beginning_only() -> None:
    assert verify([], Head()).sound
    assert found(verify([], Head(7, b"x" * 32))) == [(1, FaultKind.EMPTY)]


def test_the_encoding_is_fixed() -> None:
    """A change here makes every stored journal look damaged."""
    text = '1 2 3 1.5 8 3\nRecordeda/b{"x":"ä"}'
    assert link(GENESIS, 1, 1.5, 2, "a/b", "Recorded", 3, '{"x":"ä"}') == sha256(bytes(32) + text.encode()).digest()


@pytest.mark.parametrize("seq", [1, 2, 10, 20])
@pytest.mark.parametrize("column", range(9))
def test_a_changed_field_is_found_where_it_is(seq: int, column: int) -> None:
    rows = chained(20)
    row: list[Any] = list(rows[seq - 1])
    value = row[column]
    if column == 0:
        row[0] = seq + 100
    elif isinstance(value, bytes):
        row[column] = bytes([value[0] ^ 1]) + value[1:]
    elif isinstance(value, str):
        row[column] = value + " "
    else:
        row[column] = value + 1
    damaged: list[StoredRow] = [*rows[: seq - 1], tuple(row), *rows[seq:]]
    verdict = verify(damaged, head_of(rows))
    if column == 0:
        assert (seq, FaultKind.MISSING) in found(verdict)
    else:
        assert found(verdict) == [(seq, FaultKind.CHANGED)]


Damage: TypeAlias = Callable[[list[Row]], list[Row]]


def rehashed(rows: list[Row], first: int) -> list[Row]:
    """As someone would write them who knows the code and not the head."""
    rows = list(rows)
    for position in range(first, len(rows)):
        seq, at, epoch, path, kind, version, body, _, _ = rows[position]
        prev = rows[position - 1][8] if position else GENESIS
        rows[position] = (
            seq, at, epoch, path, kind, version, body, prev,
            link(prev, seq, at, epoch, path, kind, version, body),
        )  # fmt: skip
    return rows


def forged(rows: list[Row], position: int) -> list[Row]:
    row = rows[position]
    return [*rows[:position], (*row[:6], '{"forged":1}', *row[7:]), *rows[position + 1 :]]


def swapped(rows: list[Row]) -> list[Row]:
    """The contents of events 5 and 9, each with its own hash, under the other's number."""
    rows = list(rows)
    rows[4], rows[8] = (5, *rows[8][1:]), (9, *rows[4][1:])
    return rows


def exchanged(rows: list[Row]) -> list[Row]:
    """What events 5 and 9 say, each under the hashes that were there."""
    rows = list(rows)
    five, nine = rows[4], rows[8]
    rows[4], rows[8] = (5, *nine[1:7], *five[7:]), (9, *five[1:7], *nine[7:])
    return rows


def rotated(rows: list[Row]) -> list[Row]:
    rows = list(rows)
    rows[4], rows[8], rows[11] = (5, *rows[8][1:]), (9, *rows[11][1:]), (12, *rows[4][1:])
    return rows


DAMAGES: Final[tuple[tuple[Damage, list[tuple[int, FaultKind]]], ...]] = (
    (lambda rows: rows[1:], [(1, FaultKind.MISSING)]),
    (lambda rows: rows[:9] + rows[12:], [(10, FaultKind.MISSING)]),
    (lambda rows: rows[:17], [(18, FaultKind.CUT)]),
    (lambda rows: [], [(1, FaultKind.EMPTY)]),
    (swapped, [(5, FaultKind.SWAPPED)]),
    (exchanged, [(5, FaultKind.SWAPPED)]),
    (rotated, [(5, FaultKind.CHANGED), (9, FaultKind.CHANGED), (12, FaultKind.CHANGED)]),
    (lambda rows: rows[:4] + rows[3:], [(4, FaultKind.DISORDERED)]),
    (lambda rows: rehashed(forged(rows, 0), 0), [(20, FaultKind.REBUILT)]),
    (lambda rows: rehashed(forged(rows, 6), 6), [(20, FaultKind.REBUILT)]),
    (lambda rows: rehashed(forged(rows, 6), 6)[:7] + rows[7:], [(8, FaultKind.UNLINKED)]),
    (lambda rows: rehashed(chained(23, body="[]"), 0), [(20, FaultKind.REBUILT), (21, FaultKind.BEYOND)]),
    (lambda rows: chained(23), [(21, FaultKind.BEYOND)]),
)


@pytest.mark.parametrize(("damage", "expected"), DAMAGES)
def test_damage_is_named(damage: Damage, expected: list[tuple[int, FaultKind]]) -> None:
    rows = chained(20)
    assert found(verify(damage(rows), head_of(rows))) == expected


def test_without_a_head_from_outside_a_cut_or_rebuilt_chain_looks_whole() -> None:
    rows = chained(20)
    assert verify(rows[:7]).sound
    assert verify(rehashed(forged(rows, 3), 3)).sound


def test_a_row_that_cannot_be_read_does_not_hide_those_behind_it() -> None:
    rows: list[StoredRow] = list(chained(20))
    rows[6] = (7, "yesterday", *rows[6][2:])
    rows[11] = (*rows[11][:6], None, *rows[11][7:])
    rows[15] = (*rows[15][:6], "\ud800", *rows[15][7:])
    rows[18] = (*rows[18][:6], "[]", *rows[18][7:])
    assert found(verify(rows)) == [
        (7, FaultKind.UNREADABLE),
        (12, FaultKind.UNREADABLE),
        (16, FaultKind.CHANGED),
        (19, FaultKind.CHANGED),
    ]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        (column, value)
        for column, right in enumerate(chained(1)[0])
        for value in (None, "seven", b"seven", 7.5, 7)
        if type(value) is not type(right)
    ],
)
def test_a_field_of_another_type_is_found_whatever_it_is(column: int, value: object) -> None:
    rows: list[Any] = list(chained(9))
    rows[6] = (*rows[6][:column], value, *rows[6][column + 1 :])
    verdict = verify(rows, head_of(rows))
    assert found(verdict) == [(7, FaultKind.UNREADABLE)]
    text = "this row cannot be read" if (column, value) == (8, None) else "a field of this row is not of its type"
    assert verdict.faults[0].text == text
    assert verify(rows[:7]).head == Head(7, b""), "nothing can be linked to it"


def test_an_unreadable_row_in_the_wrong_place_does_not_move_the_others() -> None:
    rows: list[StoredRow] = list(chained(20))
    rows[8] = (3, "yesterday", *rows[8][2:])
    assert found(verify(rows)) == [(3, FaultKind.UNREADABLE)]


@pytest.mark.parametrize("how", [swapped, exchanged])
@pytest.mark.parametrize("place", [4, 8])
def test_half_a_swap_is_two_changes(how: Damage, place: int) -> None:
    rows = chained(20)
    damaged = how(rows)
    damaged[place] = forged(rows, place)[place]
    assert found(verify(damaged)) == [(5, FaultKind.CHANGED), (9, FaultKind.CHANGED)]


TEXTS: Final[tuple[tuple[Damage, str], ...]] = (
    (lambda rows: rows[:9] + rows[12:], "events 10 to 12 are missing"),
    (lambda rows: rows[:9] + rows[10:], "event 10 is missing"),
    (lambda rows: rows[:17], "events 18 to 20 are gone from the end"),
    (lambda rows: [], "events 1 to 20 are gone"),
    (lambda rows: chained(21), "event 21 is not counted by the head"),
    (lambda rows: chained(23), "events 21 to 23 are not counted by the head"),
    (lambda rows: rows[:4] + rows[3:], "event 4 stands where event 5 or a later one belongs"),
    (
        lambda rows: rehashed(forged(rows, 6), 6)[:7] + rows[7:],
        "this Recorded does not continue event 7: one of them was replaced",
    ),
)


@pytest.mark.parametrize(("damage", "text"), TEXTS)
def test_the_text_names_the_events(damage: Damage, text: str) -> None:
    rows = chained(20)
    assert [fault.text for fault in verify(damage(rows), head_of(rows)).faults] == [text]


def test_a_check_may_begin_in_the_middle() -> None:
    rows = chained(20)
    start = Head(8, rows[7][8])
    assert verify(rows[8:], head_of(rows), start=start).sound
    assert found(verify(rows[9:], head_of(rows), start=start)) == [(9, FaultKind.MISSING)]
    assert found(verify(rows[8:], start=Head(8, b"x" * 32))) == [(9, FaultKind.UNLINKED)]


def anchors_of(rows: list[Row], *seqs: int) -> list[Head]:
    return [Head(seq, rows[seq - 1][8]) for seq in seqs]


def test_heads_that_were_taken_earlier_lead_through_the_rows() -> None:
    rows = chained(20)
    assert verify(rows, head_of(rows), anchors=[Head(), *anchors_of(rows, 5, 5, 12, 20)]).sound
    assert verify(rows, anchors=anchors_of(rows, 5)).sound


def test_an_end_that_is_gone_is_counted_by_the_last_head_of_all() -> None:
    rows = chained(20)
    anchors = anchors_of(rows, 5, 18)
    shorter = rows[:9]
    assert found(verify(shorter, head_of(shorter), anchors=anchors)) == [(10, FaultKind.CUT)]
    assert found(verify([], Head(), anchors=anchors)) == [(1, FaultKind.EMPTY)]


def test_where_a_chain_was_built_anew_is_bounded_by_two_heads() -> None:
    rows = chained(20)
    anchors = anchors_of(rows, 5, 12, 18)
    anew = rehashed(forged(rows, 7), 7)
    verdict = verify(anew, head_of(anew), anchors=anchors)
    assert found(verdict) == [(12, FaultKind.REBUILT)]
    assert verdict.faults[0].text.endswith("; what was written anew begins behind event 5")


def test_a_fault_between_two_heads_explains_the_second() -> None:
    rows = chained(20)
    assert found(verify(forged(rows, 7), anchors=anchors_of(rows, 5, 8, 12))) == [(8, FaultKind.CHANGED)]
    gone = rows[:7] + rows[8:]
    assert found(verify(gone, anchors=anchors_of(rows, 5, 8, 12))) == [(8, FaultKind.MISSING)]


def test_a_change_does_not_hide_that_what_follows_was_written_anew() -> None:
    rows = chained(20)
    damaged = rehashed(forged(forged(rows, 2), 10), 10)
    damaged[2] = (*rows[2][:6], '{"forged":2}', *rows[2][7:])
    assert found(verify(damaged, anchors=anchors_of(rows, 5, 12, 18))) == [
        (3, FaultKind.CHANGED),
        (12, FaultKind.REBUILT),
    ]


def test_a_head_before_the_start_says_nothing_and_one_at_it_counts() -> None:
    rows = chained(20)
    start = Head(8, rows[7][8])
    assert verify(rows[8:], anchors=anchors_of(rows, 3, 8, 11), start=start).sound
    wrong = [Head(8, b"x" * 32)]
    assert found(verify(rows[8:], anchors=wrong, start=start)) == [(8, FaultKind.REBUILT)]


def test_the_list_of_faults_is_bounded() -> None:
    rows = [(*row[:6], "[]", *row[7:]) for row in chained(50)]
    verdict = verify(rows, limit=5)
    assert len(verdict.faults) == 5
    assert verdict.unlisted == 45
    assert verify(rows, limit=50).unlisted == 0


def test_a_fault_prints_as_a_sentence() -> None:
    rows = chained(5)
    (fault,) = verify(rows[:3], head_of(rows)).faults
    assert str(fault) == "4: cut: events 4 to 5 are gone from the end"


texts = st.text(st.characters(codec="utf-8"))


@given(
    st.tuples(texts, texts, texts, st.integers(0), st.floats(allow_nan=False)),
    st.tuples(texts, texts, texts, st.integers(0), st.floats(allow_nan=False)),
)
def test_two_events_are_never_hashed_alike(
    one: tuple[str, str, str, int, float], two: tuple[str, str, str, int, float]
) -> None:
    hashes = [
        link(GENESIS, 1, at, epoch, path, kind, 1, body) for path, kind, body, epoch, at in (one, two)
    ]  # 0.0 and -0.0 are one time
    assert (hashes[0] == hashes[1]) == (one == two)


@given(st.data())
def test_any_row_that_goes_or_moves_is_found(data: st.DataObject) -> None:
    rows = chained(12)
    one = data.draw(st.integers(0, 11))
    other = data.draw(st.integers(0, 11).filter(lambda n: n != one))
    first = min(one, other) + 1
    gone = [row for row in rows if row[0] != first]
    assert found(verify(gone, head_of(rows))) == [(first, FaultKind.MISSING)]
    moved = list(rows)
    moved[one], moved[other] = (one + 1, *rows[other][1:]), (other + 1, *rows[one][1:])
    assert found(verify(moved, head_of(rows))) == [(first, FaultKind.SWAPPED)]
    shorter = rows[:first]
    expected = [] if first == 12 else [(first + 1, FaultKind.CUT)]
    assert found(verify(shorter, head_of(shorter), anchors=[head_of(rows)])) == expected


@given(st.integers(1, 12), st.data())
def test_any_single_edit_is_found(count: int, data: st.DataObject) -> None:
    rows = chained(count)
    position = data.draw(st.integers(0, count - 1))
    body = data.draw(texts)
    verdict = verify(
        [*rows[:position], (*rows[position][:6], body, *rows[position][7:]), *rows[position + 1 :]], head_of(rows)
    )
    assert found(verdict) == ([] if body == "{}" else [(position + 1, FaultKind.CHANGED)])
