"""`kill -9` between a decision and its action, in real processes: done once or not yet, and told as it was."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from treewarden.topologies.cli import main as treewarden

VICTIM = Path(__file__).with_name("decision_victim.py")


def killed(file: Path, what: str, moment: str) -> None:
    """Run it until the moment has come, and kill it then."""
    command = [sys.executable, str(VICTIM), str(file), what, moment]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as victim:
        assert victim.stdout is not None
        assert victim.stderr is not None
        assert victim.stdout.readline() == "now\n", victim.stderr.read()
        victim.send_signal(signal.SIGKILL)
        assert victim.wait(60) == -signal.SIGKILL


def after(file: Path, what: str) -> dict[str, Any]:
    """What the next process makes of it."""
    command = [sys.executable, str(VICTIM), str(file), what, "run"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def told(file: Path, capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """The incidents, as `treewarden why` has them for programs; and for people, without an error."""
    assert treewarden(["why", str(file), "number"]) == 0
    assert "the tree ended before its outcome was seen" in capsys.readouterr().out
    assert treewarden(["why", str(file), "number", "--json"]) == 0
    return json.loads(capsys.readouterr().out)["incidents"]


def actions(incident: dict[str, Any]) -> list[str]:
    return [line["data"]["action"] for line in incident["lines"] if line["kind"] == "Decided"]


def kinds(incident: dict[str, Any]) -> list[str]:
    return [line["kind"] for line in incident["lines"]]


def test_a_message_that_was_to_be_set_aside(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "number.db"
    killed(file, "poison", "Decided")
    (before,) = told(file, capsys)
    assert actions(before)[-1] == "set_aside"
    assert "DeadLettered" not in kinds(before), "it was decided, and not done"
    found = after(file, "poison")
    assert (found["dead"], found["value"], found["state"]) == (1, 3, "up")
    assert found["decided"].count("set_aside") <= 2


def test_a_state_that_kills_at_the_start_is_taken_back_by_the_next_process(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The tree did not open, however often it was started again: that had been decided, and nobody did it."""
    file = tmp_path / "number.db"
    killed(file, "start", "Decided")
    assert "RolledBack" not in kinds(told(file, capsys)[0]), "it was decided, and not done"
    killed(file, "start", "Decided")
    found = after(file, "start")
    assert (found["rolled_back"], found["state"]) == (1, "up")
    assert found["value"] < 99
    *_, last = told(file, capsys)
    assert next(line["data"]["rule"] for line in last["lines"] if line["kind"] == "Decided") == "decided before"
    assert "RolledBack" in kinds(last)


@pytest.mark.parametrize("moment", ["Decided", "RolledBack"])
def test_a_state_that_was_to_be_taken_back(tmp_path: Path, capsys: pytest.CaptureFixture[str], moment: str) -> None:
    file = tmp_path / "number.db"
    killed(file, "state", moment)
    (before,) = told(file, capsys)
    assert actions(before)[-1] == "roll_back"
    assert ("RolledBack" in kinds(before)) is (moment == "RolledBack")
    found = after(file, "state")
    assert (found["rolled_back"], found["state"]) == (1, "up"), "once, by whichever process"
    assert found["value"] < 99


def test_an_action_that_had_begun(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "number.db"
    killed(file, "cache", "performing")
    (before,) = told(file, capsys)
    assert actions(before) == ["cache_warmup"]
    assert "ActionPerformed" not in kinds(before), "nobody knows what came of it"
    assert Path(f"{file}.calls").read_text() == "x"
    found = after(file, "cache")
    assert found["state"] == "up"
    assert Path(f"{file}.calls").read_text() == "xx", "for the next failure, and not for the last one again"
    assert (found["value"], found["dead"]) == (3 + 7, 0)


def test_a_question_to_a_person_is_open_until_somebody_answers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The next process started what a person was asked about, and that handled the message a second time."""
    file = tmp_path / "number.db"
    killed(file, "person", "Decided")
    (before,) = told(file, capsys)
    assert actions(before) == ["hold"]
    question = before["lines"][-1]["data"]["details"]["question"]
    killed(file, "person", "stay")
    with running(file, "person"):
        slot = shown(file, capsys)
        assert (slot["state"], slot["note"]) == ("held", f"held: {question}")
        assert treewarden(["why", str(file), "number"]) == 0
        assert "'asked before'" in capsys.readouterr().out
        assert slot["lives"] == 1, "nobody has lived there since"
        Path(f"{file}.warm").touch()
        assert treewarden(["resume", str(file), "number"]) == 0
        assert shown(file, capsys)["state"] == "up"
    found = after(file, "person")
    assert (found["state"], found["decided"][:2]) == ("up", ["hold", "hold"])
    assert found["value"] >= 1 + 7, "what was in hand is handled when somebody has looked"


@contextmanager
def running(file: Path, what: str) -> Generator[None]:
    """While it runs; then it is killed."""
    command = [sys.executable, str(VICTIM), str(file), what, "stay"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as victim:
        assert victim.stdout is not None
        assert victim.stdout.readline() == "now\n"
        try:
            yield
        finally:
            victim.kill()


def shown(file: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """The slot as `treewarden tree` shows it."""
    capsys.readouterr()
    assert treewarden(["tree", str(file), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    return next(slot for slot in said["slots"] if slot["path"] == "number")
