"""What `kill -9` costs at each level of durability, and that it costs no more."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

from .levels_tree import EVERY

VICTIM = Path(__file__).with_name("levels_victim.py")
COUNT = 2 * EVERY + 5


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(VICTIM), *arguments], capture_output=True, text=True, timeout=120)


def test_each_level_loses_what_it_says_and_no_more(tmp_path: Path) -> None:
    journal = tmp_path / "tree.db"
    ended = run(str(journal), str(COUNT))
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    after = run(str(journal))
    assert after.returncode == 0, after.stderr
    found = {path: tuple(numbers) for path, numbers in json.loads(after.stdout).items()}
    told = tuple(range(1, COUNT + 1))

    assert found["volatile"] == (), "state and mailbox were in memory"
    assert found["volatile-waiting"] == ()

    assert found["checkpoint"] == told[: 2 * EVERY], "what came since the last checkpoint, and not one more"
    assert found["checkpoint-waiting"] == ()
    assert found["timed"] in ((*told, COUNT + 1), told), "kept in time, but for the one after that"
    assert found["timed-waiting"] == ()

    assert found["message"][:COUNT] == told
    assert set(found["message"][COUNT:]) <= {0}
    assert found["message-waiting"] == told, "told, not handled, and handled now, in their order"
