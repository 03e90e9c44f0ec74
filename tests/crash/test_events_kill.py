"""`kill -9` while events end waits: each event ends one wait, each wait takes one event, and none is lost."""

from __future__ import annotations

import ast
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from .events_victim import COUNT, name_of

VICTIM = Path(__file__).with_name("events_victim.py")


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(VICTIM), *words], capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("dies", [2, 5, 9])
def test_each_event_ends_one_wait(tmp_path: Path, dies: int) -> None:
    file = str(tmp_path / "tree.db")
    for first in range(0, COUNT, 10):
        killed = run(file, str(first), str(first + 10), str(dies))
        assert killed.returncode == -signal.SIGKILL, killed.stderr
    done = run(file, "0", "0", "0")
    assert done.returncode == 0, done.stderr
    pairs, left, letters = map(ast.literal_eval, done.stdout.splitlines())
    assert (left, letters) == (0, [])
    assert sorted(order for order, _ in pairs) == list(range(COUNT)), "each order has gone on, once"
    assert sorted(event for _, event in pairs) == list(range(COUNT)), "each event is of one of them"
    assert all(name_of(order) == name_of(event) for order, event in pairs)
