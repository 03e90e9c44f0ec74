"""`kill -9` at each moment of an effect: done at most once, and exactly once where the outside can say."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from .effects_victim import POINTS

VICTIM = Path(__file__).with_name("effects_victim.py")


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(VICTIM), *words], capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("says", ["nothing", "idempotent", "verify"])
def test_it_is_done_at_most_once(tmp_path: Path, says: str, point: str) -> None:
    journal, outside = str(tmp_path / "tree.db"), tmp_path / "outside"
    outside.touch()
    killed = run(journal, str(outside), says, point)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    went_on = run(journal, str(outside), says, "")
    assert went_on.returncode == 0, went_on.stderr
    keys, said = outside.read_text().split(), went_on.stdout.strip()
    assert len(set(keys)) <= 1, "the outside knows it again"
    if says == "nothing":
        assert len(keys) == (0 if point == "begun" else 1)
        in_doubt = point in ("begun", "done") or (point == "returned" and said != "1 []")
        assert said == ("held ['charge']" if in_doubt else "1 []")
    else:
        assert said == "1 []"
        assert len(keys) == 1 or says == "idempotent"
        assert len(set(keys)) == 1
