"""What holds for every view: it is a fold, so a file read in parts and a stream give what reading at once gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from treewarden.supervisor.journal.port import Record
from treewarden.supervisor.views import incidents, summary, tree_status

from .histories import histories

VIEWS: dict[str, tuple[Any, Callable[..., Any]]] = {
    "tree_status": (tree_status.TreeStatus(), tree_status.fold),
    "incidents": (incidents.Incidents(keep=3), incidents.fold),
    "summary": (summary.Summary(), summary.fold),
}


@pytest.mark.parametrize("view", VIEWS)
@given(history=histories, data=st.data())
def test_in_two_parts_is_as_at_once(view: str, history: list[Record], data: st.DataObject) -> None:
    empty, fold = VIEWS[view]
    cut = data.draw(st.integers(0, len(history)))
    assert fold(fold(empty, history[:cut]), history[cut:]) == fold(empty, history)


@given(histories)
def test_the_events_that_a_view_reads_are_enough_for_it(history: list[Record]) -> None:
    def of(kinds: frozenset[str]) -> list[Record]:
        return [record for record in history if type(record.event).__name__ in kinds]

    seen = tree_status.fold(tree_status.TreeStatus(), history)
    enough = tree_status.fold(tree_status.TreeStatus(), of(tree_status.READS))
    assert evolve(enough, seq=seen.seq, at=seen.at, epoch=seen.epoch) == seen
    told = incidents.Incidents()
    assert incidents.fold(told, of(incidents.READS)) == incidents.fold(told, history)


@pytest.mark.parametrize("view", VIEWS)
@given(history=histories, more=histories)
def test_a_state_once_given_never_changes(view: str, history: list[Record], more: list[Record]) -> None:
    empty, fold = VIEWS[view]
    before = fold(empty, history)
    kept = repr(before)
    fold(before, more)
    assert repr(before) == kept
    assert fold(empty, ()) == empty
