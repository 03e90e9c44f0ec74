"""Heads outside of the journal: what a line says, and which lines are believed."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treewarden.supervisor.core.anchor import Anchor, anchor_line, check_by, hmac_sign, read_anchors
from treewarden.supervisor.core.chain import FaultKind, Head

KEY = hmac_sign(b"k" * 32)
ANCHOR = Anchor("ab12cd34", 3, 1_800_000_000.25, Head(7, bytes(range(32))))


def test_the_format_is_fixed() -> None:
    """A change here makes every kept head look forged."""
    assert json.loads(anchor_line(ANCHOR, KEY)) == {
        "v": 1,
        "tree": "ab12cd34",
        "epoch": 3,
        "at": 1800000000.25,
        "seq": 7,
        "hash": bytes(range(32)).hex(),
        "mac": "9d8f",
    } | {"mac": KEY(b"treewarden head 1\nab12cd34 3 7 " + bytes(range(32)).hex().encode() + b" 1800000000.25")}


anchors = st.builds(
    Anchor,
    st.text("0123456789abcdef", min_size=1, max_size=8),
    st.integers(0, 2**40),
    st.floats(0, 1e12),
    st.builds(Head, st.integers(0, 2**60), st.binary(min_size=32, max_size=32)),
)


@given(st.lists(anchors))
def test_what_was_kept_is_read_again(kept: list[Anchor]) -> None:
    signed = read_anchors([anchor_line(anchor, KEY) for anchor in kept], check_by(KEY))
    assert (signed.anchors, signed.faults, signed.unsigned) == (tuple(kept), (), 0)
    unchecked = read_anchors([anchor_line(anchor) for anchor in kept])
    assert (unchecked.anchors, unchecked.faults, unchecked.unsigned) == (tuple(kept), (), len(kept))


@given(anchors, anchors)
def test_a_signature_is_for_one_head_only(one: Anchor, other: Anchor) -> None:
    fields = json.loads(anchor_line(one, KEY)) | {"mac": KEY(other.text)}
    found = read_anchors([json.dumps(fields) + "\n"], check_by(KEY))
    assert found.anchors == ((one,) if one == other else ())
    assert [fault.kind for fault in found.faults] == ([] if one == other else [FaultKind.FORGED])


def test_a_line_without_the_key_is_not_believed_and_hides_no_other() -> None:
    lines = [anchor_line(ANCHOR), anchor_line(ANCHOR, hmac_sign(b"x" * 32)), anchor_line(ANCHOR, KEY)]
    found = read_anchors(lines, check_by(KEY))
    assert found.anchors == (ANCHOR,)
    assert [str(fault) for fault in found.faults] == [
        "7: forged: line 1 of the heads is not signed",
        "7: forged: line 2 of the heads was not made with this key",
    ]


GOOD = json.loads(anchor_line(ANCHOR))


@pytest.mark.parametrize(
    "line",
    [
        "",
        "yesterday",
        "[]",
        json.dumps(GOOD | {"v": 2}),
        json.dumps(GOOD | {"seq": "7"}),
        json.dumps(GOOD | {"seq": -7}),
        json.dumps(GOOD | {"seq": True}),
        json.dumps(GOOD | {"hash": "ab"}),
        json.dumps(GOOD | {"hash": "xy" * 32}),
        json.dumps(GOOD | {"tree": None}),
        json.dumps(GOOD | {"mac": 5}),
        json.dumps(GOOD | {"mac": "ä"}),
        "[" * 100_000,
    ],
    ids=lambda line: line[-40:],
)
def test_a_line_that_is_none(line: str) -> None:
    found = read_anchors([line + "\n", anchor_line(ANCHOR)], check_by(KEY) if "mac" in line else None)
    assert [str(fault) for fault in found.faults][:1] == ["0: unreadable: line 1 of the heads is none"]


def test_a_last_line_that_was_not_finished_is_left_out() -> None:
    line = anchor_line(ANCHOR)
    for length in range(len(line)):
        found = read_anchors([line, line[:length]])
        assert (found.anchors, found.faults) == ((ANCHOR,), ())


def test_a_line_that_is_the_beginning_of_one_is_left_out_wherever_it_stands() -> None:
    """What was half written cannot be taken out of a file that only grows."""
    line = anchor_line(ANCHOR, KEY)
    for written in range(1, len(line) - 1):
        assert read_anchors([line[:written] + "\n", line], check_by(KEY)) == read_anchors([line], check_by(KEY))
    for other in ("\n", "x\n", line[1:], line[:40] + "\0\n", line[:30] + line[31:40] + "}\n", line[:-2] + "]}\n"):
        assert len(read_anchors([other, line], check_by(KEY)).faults) == 1
