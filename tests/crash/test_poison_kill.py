"""Messages and ticks with which the process ends as soon as they are handled: each is set aside after three deaths."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from treewarden.topologies.cli import main

VICTIM = Path(__file__).with_name("poison_victim.py")
TICKS = Path(__file__).with_name("ticks_victim.py")


def run(*words: str, victim: Path = VICTIM) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(victim), *words], capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("route", ["alone", "shared"])
def test_each_is_set_aside_after_three_deaths(tmp_path: Path, route: str) -> None:
    """The one behind it is not counted with it, and is first when that one has gone, also if both end it at once."""
    ran, lives = run(str(tmp_path / "tree.db"), route), 1
    while ran.returncode == -signal.SIGKILL and lives < 12:
        ran, lives = run(str(tmp_path / "tree.db"), route), lives + 1
    assert ran.returncode == 0, ran.stderr
    why = "the process died 3 times while it was first in its mailbox"
    assert ran.stdout.strip() == f"True {[why, why]}"


@pytest.mark.parametrize("kind", ["every", "at"])
def test_a_tick_is_passed_over_after_three_deaths(tmp_path: Path, kind: str) -> None:
    ran, lives = run(str(tmp_path / "tree.db"), kind, victim=TICKS), 1
    while ran.returncode == -signal.SIGKILL and lives < 5:
        ran, lives = run(str(tmp_path / "tree.db"), kind, victim=TICKS), lives + 1
    assert (ran.returncode, lives) == (0, 4), ran.stderr
    assert ran.stdout == f"{kind}:poll: the process died 3 times while it was due, so it waits until its next time\n"


def test_the_deaths_of_a_tick_that_settles_count_no_more(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "tree.db"
    assert run(str(file), "every", victim=TICKS).returncode == -signal.SIGKILL
    assert run(str(file), "every", "mended", victim=TICKS).stdout == "mended\n"
    with sqlite3.connect(file) as connection:
        found = dict(connection.execute("SELECT name, at FROM timers").fetchall())
    connection.close()
    assert set(found) == {"poll", "poll deaths"}
    assert found["poll deaths"] == 0
    assert main(["tree", str(file), "--json"]) == 0
    (desk,) = (each for each in json.loads(capsys.readouterr().out)["slots"] if each["path"] == "desk")
    assert desk["due"] == found["poll"]  # and not 1970
