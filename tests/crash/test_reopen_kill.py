"""`kill -9` of many agents at work, and while they are opened again: each goes on from what was acknowledged to it."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

VICTIM = Path(__file__).with_name("reopen_victim.py")
ROUNDS = 6


def run_and_kill(file: Path, word: bytes, seconds: float) -> dict[str, int]:
    """Run it, kill it so long after it has said `word`, and return the last number acknowledged to each agent."""
    with subprocess.Popen([sys.executable, str(VICTIM), str(file)], stdout=subprocess.PIPE) as victim:
        assert victim.stdout is not None
        for line in victim.stdout:
            if line.strip() == word:
                break
        try:
            victim.wait(seconds)
            raise AssertionError("it ended by itself")
        except subprocess.TimeoutExpired:
            victim.send_signal(signal.SIGKILL)
        lines = victim.stdout.read().decode().splitlines()
    acknowledged: dict[str, int] = defaultdict(int)
    for line in lines:
        path, _, n = line.partition(" ")
        if n.isdigit():
            acknowledged[path] = int(n)
    return acknowledged


def test_each_of_many_goes_on_where_it_was(tmp_path: Path) -> None:
    file, chance = tmp_path / "many.db", random.Random(11)
    told: dict[str, int] = defaultdict(int)
    for number in range(ROUNDS):
        opening = number % 3 == 2
        seconds = chance.uniform(0.0, 0.3) if opening else chance.uniform(0.3, 0.8)
        for path, n in run_and_kill(file, b"opening" if opening else b"ready", seconds).items():
            told[path] = max(told[path], n)
    ended = subprocess.run([sys.executable, str(VICTIM), str(file), "report"], capture_output=True, timeout=120)
    assert ended.returncode == 0, ended.stderr.decode()
    found: dict[str, tuple[int, int]] = json.loads(ended.stdout)
    assert len(found) == 300
    assert [path for path, (_, misplaced) in found.items() if misplaced] == []
    assert [path for path, n in told.items() if found[path][0] < n] == []
    assert sum(told.values()) > 300
