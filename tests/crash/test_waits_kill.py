"""`kill -9` while messages are parked: each comes back once, in time; and who is to blame for a death."""

from __future__ import annotations

import ast
import signal
import subprocess
import sys
from pathlib import Path

from .waits_victim import COUNT, at

VICTIM = Path(__file__).with_name("waits_victim.py")
KILLED = -signal.SIGKILL
DIED = "the process died 3 times while it was first in its mailbox"


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(VICTIM), *words], capture_output=True, text=True, timeout=60)


def said(file: str, wall: float) -> tuple[list[int], int, list[str]]:
    """What it has handled, how many are parked, and why messages were given up."""
    done = run(file, "go on", str(wall))
    assert done.returncode == 0, done.stderr
    handled, parked, letters = map(ast.literal_eval, done.stdout.splitlines())
    return handled, parked, letters


def test_each_comes_back_once_and_in_time(tmp_path: Path) -> None:
    file = str(tmp_path / "tree.db")
    assert run(file, "park", "0").returncode == KILLED
    assert said(file, 500.0) == ([], COUNT, [])
    order = sorted(range(COUNT), key=at)
    handled, parked, letters = said(file, 149_500.0)
    assert (handled, parked, letters) == (order[:50], 50, [])
    assert said(file, 300_000.0) == (order, 0, [])


def test_one_that_is_parked_is_not_to_blame(tmp_path: Path) -> None:
    file = str(tmp_path / "tree.db")
    assert run(file, "park", "0").returncode == KILLED
    assert [run(file, "first", "500").returncode for _ in range(4)] == [KILLED, KILLED, 0, 0]
    handled, parked, letters = said(file, 300_000.0)
    assert (len(handled), parked) == (COUNT, 0)
    assert letters == [DIED], "the plain one"


def test_one_that_kills_after_its_wait_is_set_aside(tmp_path: Path) -> None:
    file = str(tmp_path / "tree.db")
    assert run(file, "park", "0").returncode == KILLED
    codes = [run(file, "after", "100500").returncode for _ in range(5)]
    first = sorted(range(COUNT), key=at)[0]
    handled, parked, letters = said(file, 101_500.0)
    assert codes == [*[KILLED] * 3, 0, 0], "once while nobody knew whether it had come back"
    assert letters == [DIED]
    assert first not in handled
    assert parked == COUNT - len(handled) - 1
