"""`kill -9` of a working tree at random moments: nothing acknowledged is missing, nothing is settled twice."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

VICTIM = Path(__file__).parent / "ledger_victim.py"
ROUNDS = int(os.environ.get("TREEWARDEN_KILLS", "20"))


def run_and_kill(journal: Path, starts: list[int], seconds: float) -> dict[str, int]:
    """Run the victim, kill it that long after it is ready, and return the last number acknowledged to each front."""
    command = [sys.executable, str(VICTIM), str(journal), json.dumps(starts)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as victim:
        assert victim.stdout is not None
        assert victim.stderr is not None
        assert victim.stdout.readline() == b"ready\n", victim.stderr.read().decode()
        try:
            victim.wait(seconds)
            raise AssertionError(f"it ended by itself: {victim.stderr.read().decode()}")
        except subprocess.TimeoutExpired:
            victim.send_signal(signal.SIGKILL)
        lines = victim.stdout.read().decode().splitlines()
    acknowledged: dict[str, int] = defaultdict(int)
    for line in lines:
        front, _, n = line.partition(" ")
        if n.isdigit():
            acknowledged[front] = max(acknowledged[front], int(n))
    return acknowledged


def look(journal: Path) -> dict[str, Any]:
    """Open the journal again in a process of its own, let it finish what waits, and return what it holds."""
    done = subprocess.run([sys.executable, str(VICTIM), str(journal), "report"], capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


def test_twenty_kills_lose_nothing_and_repeat_nothing(tmp_path: Path) -> None:
    journal, chance = tmp_path / "ledger.db", random.Random(7)
    starts, told = [1, 1, 1], 0
    for _ in range(ROUNDS):
        acknowledged = run_and_kill(journal, starts, chance.uniform(0.05, 0.4))
        held = look(journal)
        assert held["after_crash"]
        for place, start in enumerate(starts):
            front = f"front{place}"
            count = held["fronts"].get(front)
            assert count["misplaced"] == 0
            assert count["handled"] == count["last"] >= max(acknowledged.get(front, 0), start - 1)
            assert count["total"] == count["handled"] * (count["handled"] + 1) // 2
            assert held["books"].get(front, {"handled": 0})["handled"] == count["handled"]
            assert held["facts"].get(front, 0) == count["handled"]
            starts[place] = count["last"] + 1
        assert held["repeated"] == []
        told = sum(starts) - len(starts)
    assert told > 20 * ROUNDS
