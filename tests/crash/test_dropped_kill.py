"""What `kill -9` leaves of a message that was taken from its sender, and that a full mailbox has dropped."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from treewarden.supervisor.journal.reading import JournalFile

from .dropped_victim import DROPPED

VICTIM = Path(__file__).with_name("dropped_victim.py")


@pytest.mark.parametrize("to", ["all/stuck", "all"], ids=["agent", "topic"])
def test_its_dead_letter_is_there(tmp_path: Path, to: str) -> None:
    journal = tmp_path / "tree.db"
    command = [sys.executable, str(VICTIM), str(journal), to]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    with JournalFile.open(journal) as reading:
        assert {dead.body for dead in reading.dead_letters()} == {f'{{"n":{n}}}' for n in DROPPED}
