"""Every journal under the same tests."""

from __future__ import annotations

import pathlib

import pytest

from treewarden.supervisor.journal.memory import MemoryJournal

from ..journals import Owner, on_disk


@pytest.fixture(params=["memory", "sqlite"])
def owner(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Owner:
    if request.param == "memory":
        journal = MemoryJournal()
        return lambda: journal
    return lambda: on_disk(tmp_path / "tree.db")
