"""`kill -9` at each moment of an approval: it is asked for once, one person is heard, and the handler is told that."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from .approvals_victim import POINTS

VICTIM = Path(__file__).with_name("approvals_victim.py")


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(VICTIM), *words], capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("point", POINTS)
def test_one_is_heard(tmp_path: Path, point: str) -> None:
    journal = str(tmp_path / "tree.db")
    killed = run(journal, point)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    went_on = run(journal, "")
    assert went_on.returncode == 0, went_on.stderr
    by = "eve" if point in ("handler", "asked") else "ada"
    assert went_on.stdout == f"Approved by {by}; 0 left; asked, approved {by}\n"
    again = run(journal, "")
    assert again.stdout == went_on.stdout
