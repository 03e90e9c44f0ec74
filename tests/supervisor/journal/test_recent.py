"""The last events in memory: what is found there is what the file would say, and there is never much of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treewarden.supervisor.journal import recent
from treewarden.supervisor.journal.batch import EventRow
from treewarden.supervisor.journal.event_codec import encode_event
from treewarden.supervisor.journal.port import Record, Seq
from treewarden.supervisor.journal.recent import Recent

from ...journals import WALL, fact

ROOM = 4
BEFORE = 10
"""Events of earlier processes."""


def row(seq: Seq) -> EventRow:
    kind, version, body = encode_event(fact(seq))
    return seq, WALL + seq, "desk", kind, version, body, b"before", bytes([seq]), 1


def record(seq: Seq) -> Record:
    return Record(seq, WALL + seq, fact(seq), 1, bytes([seq]).hex())


@given(st.lists(st.tuples(st.sampled_from(["commit", "forget", "read"]), st.integers(0, 9), st.integers(0, 12))))
def test_what_is_there_is_what_was_committed(deeds: list[tuple[str, int, int]]) -> None:
    head = through = BEFORE
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recent, "_ROOM", ROOM)
        last = Recent(BEFORE)
        for deed, number, limit in deeds:
            if deed == "commit":
                last.extend([(row(seq), fact(seq)) for seq in range(head + 1, head + 1 + number)])
                head += number
            elif deed == "forget":
                last.forget(head - number)
                through = max(through, head - number)
            else:
                found = last.after(head - number, limit)
                if found is not None:
                    assert found == [record(seq) for seq in range(head - number + 1, head + 1)][:limit]
                if head - number < through:
                    assert found is None
        assert last.head == head
        for seq in range(max(through, head - ROOM), head + 1):
            assert last.after(seq, 100) == [record(each) for each in range(seq + 1, head + 1)]
        for seq in (through - 1, head - 2 * ROOM - 1):
            assert last.after(seq, 100) is None
