"""What was learned of outcomes is folded from the journal: who was killed states the same as who was not."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

VICTIM = Path(__file__).with_name("belief_victim.py")


def run(file: Path, what: str, *, code: int = 0) -> Any:
    ended = subprocess.run([sys.executable, str(VICTIM), str(file), what], capture_output=True, text=True, timeout=120)
    assert ended.returncode == code, ended.stderr
    return json.loads(ended.stdout) if ended.stdout else None


def test_after_kill_9_a_decision_rests_on_the_same_cases(tmp_path: Path) -> None:
    untouched = run(tmp_path / "untouched.db", "learn")
    ignorant = run(tmp_path / "ignorant.db", "decide")
    run(tmp_path / "killed.db", "kill", code=-signal.SIGKILL)
    after = run(tmp_path / "killed.db", "decide")
    assert after == untouched
    assert after["confidence"] != ignorant["confidence"], "otherwise nothing was learned that could be lost"
    assert after["model"] == ignorant["model"]
