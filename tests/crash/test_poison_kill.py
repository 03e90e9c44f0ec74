"""Messages with which the process ends as soon as they are handled: each is set aside after three deaths."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

VICTIM = Path(__file__).with_name("poison_victim.py")


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(VICTIM), *words], capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("route", ["alone", "shared"])
def test_each_is_set_aside_after_three_deaths(tmp_path: Path, route: str) -> None:
    """The one behind it is not counted with it, and is first when that one has gone, also if both end it at once."""
    ran, lives = run(str(tmp_path / "tree.db"), route), 1
    while ran.returncode == -signal.SIGKILL and lives < 12:
        ran, lives = run(str(tmp_path / "tree.db"), route), lives + 1
    assert ran.returncode == 0, ran.stderr
    why = "the process died 3 times while it was first in its mailbox"
    assert ran.stdout.strip() == f"True {[why, why]}"
