"""The cyclic collector in a process that is there for a tree: it looks seldom, and for nobody else's time."""

from __future__ import annotations

import gc
from pathlib import Path

from treewarden.supervisor.core.event import Recorded
from treewarden.supervisor.journal.reading import JournalFile
from treewarden.topologies.collector import collecting_rarely

from .cli_desk import treewarden

AGENTS = """
import gc

from attrs import frozen

from treewarden.agents.agent import Agent

if {own}:
    gc.set_threshold({own})


@frozen
class Seen:
    threshold: int


class Looking(Agent[None]):
    state = None

    async def on_start(self) -> None:
        self.record(Seen(gc.get_threshold()[0]))
"""


def seen(folder: Path, own: int) -> object:
    (folder / "looking.py").write_text(AGENTS.format(own=own))
    (folder / "desk.toml").write_text('children = [{ id = "x", agent = "looking:Looking" }]\n')
    done = treewarden("run", "desk.toml", "--for", "0.1", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    with JournalFile.open(folder / "desk.db") as file:
        (said,) = [record.event for record in file.records(kinds=["Recorded"])]
    assert isinstance(said, Recorded)
    return said.facts["threshold"]


def test_the_command_looks_seldom(tmp_path: Path) -> None:
    assert seen(tmp_path, 0) == 10_000


def test_who_sets_thresholds_has_them(tmp_path: Path) -> None:
    assert seen(tmp_path, 1234) == 1234


def test_what_was_set_before_comes_back() -> None:
    before = gc.get_threshold()
    with collecting_rarely():
        assert gc.get_threshold() != before
    assert gc.get_threshold() == before
