"""Two states are compared as they are stored, and what was read of them is freed but for what has changed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treewarden.agents.core.path import Path
from treewarden.agents.errors import JournalDamaged
from treewarden.supervisor.core.diff import Change, diff
from treewarden.supervisor.journal import large
from treewarden.supervisor.journal.comparing import compare
from treewarden.supervisor.journal.large import freed
from treewarden.supervisor.journal.port import StateRow

from ..core.test_diff import DATA


def row(data: Any, kind: str = "desk:Tally", version: int = 1) -> StateRow:
    return StateRow(Path("desk"), kind, json.dumps(data), version)


@given(DATA, DATA, st.integers(1, 5))
def test_what_has_changed_is_whole(before: Any, after: Any, together: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(large, "_TOGETHER", together)
        patch.setattr(large, "_FEW", together)
        assert compare(row(before), row(after)) == tuple(diff(before, after))


@given(DATA)
def test_what_is_not_held_is_emptied(data: Any) -> None:
    for _ in freed(data):
        pass
    assert not isinstance(data, (list, dict)) or not data


def test_another_class_and_version_come_first() -> None:
    assert compare(row(1), row(2, "desk:Book", 2)) == (
        Change("kind", "desk:Tally", "desk:Book"),
        Change("version", 1, 2),
        Change("", 1, 2),
    )


def test_what_is_no_json_is_damage() -> None:
    bad = StateRow(Path("desk"), "desk:Tally", "{", 1)
    for pair in ((bad, row(1)), (row(1), bad)):
        with pytest.raises(JournalDamaged, match="the stored desk:Tally of desk is not JSON"):
            compare(*pair)
