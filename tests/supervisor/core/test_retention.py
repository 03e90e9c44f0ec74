"""Which events may go, where the rest has to begin, and what nobody may have cut off."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treewarden.supervisor.core.chain import GENESIS, FaultKind, Head, StoredRow, link, verify
from treewarden.supervisor.core.event import EventsPruned
from treewarden.supervisor.core.retention import (
    EventRetention,
    boundary_faults,
    boundary_text,
    chain_start,
    wanted_cut,
)

HASH = bytes(range(32))


def cut(through: int, hash: bytes = HASH) -> EventsPruned:
    return EventsPruned(tree="t1", through=through, hash=hash.hex(), count=through, until=1.0, by="ada")


def chained(count: int) -> list[StoredRow]:
    rows: list[StoredRow] = []
    prev = GENESIS
    for seq in range(1, count + 1):
        hash = link(prev, seq, 0.5, 1, "desk", "Recorded", 1, "{}")
        rows.append((seq, 0.5, 1, "desk", "Recorded", 1, "{}", prev, hash))
        prev = hash
    return rows


def hash_of(row: StoredRow) -> bytes:
    assert isinstance(row[8], bytes)
    return row[8]


# What may go -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rules", "through"),
    [
        ({"last": 3}, 7),
        ({"last": 0}, 10),
        ({"last": 10}, 0),
        ({"last": 11}, 0),  # more than there are: nothing goes
        ({"within": 60.0}, 4),
        ({"within": 60.0, "last": 8}, 2),  # an event stays if either rule says so
        ({"within": 60.0, "last": 2}, 4),
    ],
)
def test_what_stays_by_number_and_by_age(rules: dict[str, Any], through: int) -> None:
    """Of ten events, where the first four are too old."""
    assert wanted_cut(EventRetention(**rules), 10, 4) == through


@pytest.mark.parametrize(
    ("rules", "text"),
    [
        ({}, "says how many stay .last., or for how many seconds .within."),
        ({"past_checkpoints": True}, "says how many stay"),
        ({"last": -1}, "last is -1; it must be a whole number, 0 or more"),
        ({"last": 1.5}, "last is 1.5"),
        ({"last": True}, "last is True"),
        ({"last": "3"}, "last is '3'"),
        ({"within": -1.0}, "within is -1.0; it must be a number of seconds, 0 or more"),
        ({"within": math.nan}, "within is nan"),
        ({"within": math.inf}, "within is inf"),
        ({"within": 10**400}, "within is 1000"),
        ({"within": True}, "within is True"),
        ({"within": "1 day"}, "within is '1 day'"),
    ],
)
def test_a_retention_that_says_nothing_or_nonsense_is_refused(rules: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        EventRetention(**rules)


@pytest.mark.parametrize("rules", [{"last": 0}, {"within": 0}, {"within": 0.0}, {"within": 0.5}, {"within": 1e300}])
def test_nothing_and_very_long_are_retentions(rules: dict[str, Any]) -> None:
    retention = EventRetention(**rules)
    assert {name: getattr(retention, name) for name in rules} == rules


# Where the rest begins -------------------------------------------------------------------------------------------


@given(st.integers(1, 12), st.data())
def test_what_is_left_of_a_cut_chain_is_proven_as_before(count: int, data: st.DataObject) -> None:
    """However far whoever deleted the rows has come: what is left leads on from the cut, and no change hides there."""
    rows = chained(count)
    through = data.draw(st.integers(1, count))
    gone = data.draw(st.integers(0, through))
    left = rows[gone:]
    first = gone + 1 if left else None
    start, heads = chain_start(cut(through, hash_of(rows[through - 1])), first, left[0][7] if left else None)
    head = Head(count, hash_of(rows[-1]))
    assert heads == (Head(through, hash_of(rows[through - 1])),)
    assert verify(left, head, anchors=heads, start=start).sound
    wrong = cut(through, HASH)
    start, heads = chain_start(wrong, first, left[0][7] if left else None)
    assert not verify(left, head, anchors=heads, start=start).sound, "another past cannot be put before it"


def test_events_that_are_gone_from_behind_a_cut_are_missing() -> None:
    rows = chained(9)
    for left, first in ((rows[8:], 9), (rows[7:], 8)):
        start, heads = chain_start(cut(5, hash_of(rows[4])), first, left[0][7])
        faults = verify(left, Head(9, hash_of(rows[8])), anchors=heads, start=start).faults
        assert [(fault.seq, fault.kind) for fault in faults] == [(6, FaultKind.MISSING)]


def test_a_first_event_that_is_still_there_has_nothing_before_it() -> None:
    assert chain_start(cut(7), 1, HASH) == (None, (Head(7, HASH),))


def test_without_a_cut_a_chain_begins_at_its_beginning() -> None:
    assert chain_start(None, 1, GENESIS) == (None, ())
    assert chain_start(None, 5, HASH) == (None, ())


def test_a_cut_that_went_no_further_than_nothing_bounds_nothing() -> None:
    assert chain_start(cut(0), 1, GENESIS) == (None, ())


def test_a_cut_whose_hash_is_none_bounds_nothing() -> None:
    odd = EventsPruned(tree="t1", through=7, hash="no hash", count=7, until=1.0, by="ada")
    assert chain_start(odd, 8, HASH) == (None, ())


def test_a_row_behind_a_cut_that_is_chained_to_no_hash_is_found() -> None:
    rows = chained(9)
    rows[4] = (*rows[4][:7], None, rows[4][8])
    start, heads = chain_start(cut(7, hash_of(rows[6])), 5, rows[4][7])
    assert (start, heads) == (Head(4, GENESIS), (Head(7, hash_of(rows[6])),))
    faults = verify(rows[4:], Head(9, hash_of(rows[8])), anchors=heads, start=start).faults
    assert [(fault.seq, fault.kind) for fault in faults] == [(5, FaultKind.UNREADABLE)]


# What nobody may have cut off ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seqs", "signed", "found"),
    [
        ((), None, None),  # nothing is kept outside: nothing can be said
        ((), False, None),
        ((3, 7), None, None),  # the last event that went is covered
        ((9, 3), None, None),
        ((6,), None, FaultKind.CUT),
        ((3, 6), None, FaultKind.CUT),
        ((6,), True, None),  # or the signature says that it was our cut
        ((6,), False, FaultKind.FORGED),
        ((9,), False, FaultKind.FORGED),
        ((9,), True, None),
    ],
)
def test_a_cut_is_proven_by_a_head_behind_it_or_by_its_signature(
    seqs: tuple[int, ...], signed: bool | None, found: FaultKind | None
) -> None:
    anchors = tuple(Head(seq, HASH) for seq in seqs)
    faults = boundary_faults(cut(7), anchors, signed)
    assert [(fault.seq, fault.kind) for fault in faults] == ([] if found is None else [(7, found)])
    assert boundary_faults(None, anchors, signed) == ()


def test_what_is_signed_of_a_cut_is_fixed() -> None:
    """A change here makes every signature that was made look forged."""
    assert boundary_text("t1", 7, "ab", 5) == b"treewarden cut 1\nt1 7 ab 5"
