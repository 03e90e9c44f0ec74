"""What `kill -9` leaves of many messages whose receiver has just ended for good: each one once, here or there."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from treewarden.supervisor.core.event import DeadLettered
from treewarden.supervisor.journal.reading import JournalFile

from .leftovers_victim import WAITING

VICTIM = Path(__file__).with_name("leftovers_victim.py")


@pytest.mark.parametrize("rounds", [0, 1, 5, 15, 50, 200, -1])
def test_each_message_waits_or_is_a_dead_letter(tmp_path: Path, rounds: int) -> None:
    journal = tmp_path / "tree.db"
    command = [sys.executable, str(VICTIM), str(journal), str(rounds)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    with JournalFile.open(journal) as reading:
        dead = reading.dead_letters(limit=2 * WAITING)
        waits = [waiting.messages for waiting in reading.mailboxes()]
        told = [each.event for each in reading.records(0, 10 * WAITING)]
    numbers = [json.loads(each.body)["n"] for each in dead]
    assert len(set(numbers)) == len(numbers) == sum(isinstance(event, DeadLettered) for event in told)
    assert len(dead) + sum(waits) == WAITING
    if rounds < 0:
        assert len(dead) == WAITING, "who asked was told of all"
