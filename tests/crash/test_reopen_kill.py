"""`kill -9` of many agents at work, and while they are opened again: each goes on from what was acknowledged to it."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from pathlib import Path

VICTIM = Path(__file__).with_name("reopen_victim.py")
ROUNDS = 6


def run_and_kill(file: Path, word: bytes, seconds: float) -> tuple[dict[str, int], dict[str, int]]:
    """Run it, and kill it so long after it has said `word`. Returns what each agent had, as far as it came to that, and
    the last number acknowledged to each."""
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
        lines = [line.split() for line in victim.stdout.read().decode().splitlines()]
    had = {words[0]: int(words[2]) for words in lines if words[1:2] == ["has"] and len(words) == 3}
    return had, {words[0]: int(words[1]) for words in lines if len(words) == 2 and words[1].isdigit()}


def test_each_of_many_goes_on_where_it_was(tmp_path: Path) -> None:
    file, chance = tmp_path / "many.db", random.Random(11)
    told: dict[str, int] = {}
    for number in range(ROUNDS):
        opening = number % 3 == 1
        seconds = chance.uniform(0.0, 0.3) if opening else chance.uniform(0.3, 0.8)
        had, acknowledged = run_and_kill(file, b"opening" if opening else b"ready", seconds)
        assert [path for path, n in had.items() if n < told.get(path, 0)] == []
        told |= acknowledged
    ended = subprocess.run([sys.executable, str(VICTIM), str(file), "report"], capture_output=True, timeout=120)
    assert ended.returncode == 0, ended.stderr.decode()
    found: dict[str, tuple[int, int]] = json.loads(ended.stdout)
    assert len(found) == 300
    assert [path for path, (_, misplaced) in found.items() if misplaced] == []
    assert [path for path, n in told.items() if found[path][0] < n] == []
    assert sum(told.values()) > 300
