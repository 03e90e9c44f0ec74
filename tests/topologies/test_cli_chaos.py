"""`treewarden run --chaos`, its bounds and its buttons, in processes of their own."""

from __future__ import annotations

import json
import signal
from pathlib import Path

from .cli_desk import begin, desk, treewarden

STEADY = '{ id = "steady", agent = "cli_agents:Steady", backoff = { first = 0.01, most = 0.01 } }'
MANY = "restarts = { max_restarts = 100000, within = 1 }"
ORDER = "seed=7,kill=20/s,hang=1/s,blast=steady,for=1h"


def test_from_the_first_fault_to_the_button_of_another_shell(tmp_path: Path) -> None:
    desk(tmp_path, STEADY, options=MANY)
    with begin("run", "desk.toml", "--chaos", ORDER, "--json", cwd=tmp_path) as running:
        began = running.event("ChaosBegan")
        assert began["data"]["order"].startswith("seed=7,kill=20/s,hang=1/s,blast=steady,max=1,for=3600s")
        assert running.event("FaultInjected")["path"] == "steady"
        running.event("ChildEnded")
        stopped = treewarden("chaos", "stop", "desk.db", cwd=tmp_path)
        assert (stopped.returncode, stopped.stderr) == (0, "")
        assert stopped.stdout.startswith("applied: chaos is over after ")
        assert "asked for it" in running.event("ChaosEnded")["data"]["reason"]
        running.signal(signal.SIGTERM)
        assert running.end() == 0
    shown = treewarden("tree", "desk.db", "--json", cwd=tmp_path)
    status = json.loads(shown.stdout)
    assert status["chaos"].startswith("over after ")
    (slot,) = [each for each in status["slots"] if each["path"] == "steady"]
    assert slot["injected"] >= 1
    why = treewarden("why", "desk.db", "steady", cwd=tmp_path)
    assert "FaultInjected  kill" in why.stdout


def test_a_signal_ends_it_and_not_the_tree(tmp_path: Path) -> None:
    desk(tmp_path, STEADY, options=MANY)
    with begin("run", "desk.toml", "--chaos", "seed=1,kill=0.001/s,for=1h", "--plain", cwd=tmp_path) as running:
        running.until("chaos: seed=1")
        running.signal(signal.SIGUSR1)
        running.until("chaos is over: SIGUSR1; 0 faults")
        running.signal(signal.SIGTERM)
        assert running.end() == 0


def test_a_promise_that_does_not_hold_is_the_end_of_it(tmp_path: Path) -> None:
    desk(tmp_path, STEADY, options=MANY)
    (tmp_path / "promises.py").write_text("def holds(tree):\n    return 'two orders are missing'\n", "utf-8")
    order = "seed=1,kill=0.001/s,promise=promises:holds"
    with begin("run", "desk.toml", "--chaos", order, "--plain", cwd=tmp_path) as running:
        running.until("chaos is over: promises:holds: two orders are missing")


def test_a_tree_that_people_depend_on_is_not_disturbed_without_bounds(tmp_path: Path) -> None:
    desk(tmp_path, STEADY, options="production = true")
    refused = treewarden("run", "desk.toml", "--chaos", "seed=7,kill=1/s", cwd=tmp_path)
    assert refused.returncode == 2
    assert "desk.db is a journal of production; say whom it may strike" in refused.stderr
    assert treewarden("run", "desk.toml", "--for", "0.1", cwd=tmp_path).returncode == 0
    desk(tmp_path, STEADY, name="other")
    order = "seed=7,kill=1/s,blast=steady"
    refused = treewarden("run", "other.toml", "--journal", "desk.db", "--chaos", order, cwd=tmp_path)
    assert refused.returncode == 2
    assert "say how long it may last" in refused.stderr
    bounded = treewarden("run", "desk.toml", "--chaos", f"{order},for=5s", "--for", "0.2", cwd=tmp_path)
    assert (bounded.returncode, bounded.stderr) == (0, "")


def test_what_cannot_be_had_is_said(tmp_path: Path) -> None:
    desk(tmp_path, STEADY)
    for order, complaint in (
        ("seed=7", "no fault is asked for"),
        ("seed=7,kill=1/s,promise=nothing:here", "promise=nothing:here cannot be imported"),
        ("seed=7,kill=1/s,promise=cli_agents:time", "is no function"),
    ):
        refused = treewarden("run", "desk.toml", "--chaos", order, cwd=tmp_path)
        assert refused.returncode == 2
        assert complaint in refused.stderr
    with begin("run", "desk.toml", "--json", cwd=tmp_path) as running:
        running.event("ChildStarted")
        asked = treewarden("chaos", "stop", "desk.db", cwd=tmp_path)
        assert asked.returncode == 1
        assert asked.stdout == "refused: no chaos was asked for in this tree\n"
