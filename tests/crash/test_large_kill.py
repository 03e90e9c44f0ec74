"""`kill -9` while a large state is being taken: on disk is the one before, and what was told is handled again, once."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from treewarden.supervisor.journal.reading import JournalFile

VICTIM = Path(__file__).with_name("large_victim.py")


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(VICTIM), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("turn", [1, 4, 9])
@pytest.mark.parametrize("message", [1, 3])
@pytest.mark.parametrize("level", ["message", "checkpoint"])
def test_what_was_being_taken_had_not_settled(level: str, message: int, turn: int, tmp_path: Path) -> None:
    journal = tmp_path / "tree.db"
    ended = run(journal, level, message, turn)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    with JournalFile.open(journal) as reading:
        settled = sum(reading.settled().values())
    assert settled < message, "it was being taken, or about to be written"
    after = run(journal, level)
    assert after.returncode == 0, after.stderr
    added = [int(number) for number in after.stdout.split()]
    assert added == list(range(1, len(added) + 1)), "in order, and each once"
    if level == "message":
        told = len(ended.stdout.split())
        assert len(added) >= max(told, message)
    else:  # its mailbox was in memory
        assert len(added) == settled
