"""The command runs the example as a user would: in a folder with a copy of it, in real time, stopped and killed."""

from __future__ import annotations

import json
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from treewarden.supervisor.journal.reading import JournalFile

EXAMPLES = Path(__file__).parents[2] / "examples"
COMMAND = (sys.executable, "-c", "import sys; from treewarden.topologies.cli import main; sys.exit(main())")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(EXAMPLES, tmp_path / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def command(seconds: float) -> list[str]:
    return [*COMMAND, "run", "examples/watchdog/watchdog.toml", "--for", str(seconds), "--json"]


def run(folder: Path, seconds: float) -> list[dict[str, Any]]:
    """Run the example and return what it printed. It must end in order and leave no service behind."""
    done = subprocess.run(command(seconds), cwd=folder, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert_no_service(folder)
    return [json.loads(line) for line in done.stdout.splitlines()]


def run_until(folder: Path, checks: int, number: signal.Signals) -> int:
    """Run the example, send it a signal after so many checks, and return how it ended."""
    process = subprocess.Popen(command(60), cwd=folder, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout as lines:
        for line in lines:
            checks -= checks > 0 and '"Recorded"' in line
            if checks == 0:
                process.send_signal(number)
                checks = -1
    return process.wait(timeout=30)


def states(folder: Path) -> dict[str, dict[str, Any]]:
    with JournalFile.open(folder / "watchdog.db") as file:
        return {state.path: json.loads(state.body) for state in file.states()}


def recorded(folder: Path) -> Counter[str]:
    """How many checks the journal has of each endpoint."""
    found, after = Counter[str](), 0
    with JournalFile.open(folder / "watchdog.db") as file:
        while records := file.records(after, kinds={"Recorded"}):
            found.update(str(getattr(record.event, "path", "")) for record in records)
            after = records[-1].seq
    return found


def assert_no_service(folder: Path) -> None:
    """Nothing listens where the service did. One that was orphaned a moment ago may still be on its way out."""
    address = ("127.0.0.1", states(folder)["service"]["port"])
    try:
        with socket.create_connection(address, timeout=10) as left:
            assert left.recv(1) == b""  # silent until it ends
    except ConnectionError:
        pass


def test_eight_seconds_show_every_kind_of_incident(folder: Path) -> None:
    told = run(folder, 8)
    events = [line for line in told if line["type"] == "event"]
    decided = {
        (line["path"], line["data"]["rule"], line["data"]["action"]) for line in events if line["kind"] == "Decided"
    }
    assert {
        ("jobs/inventory", "crash", "restart"),
        ("endpoints/hang-6", "stalled", "restart"),
        ("endpoints/limited-1", "rate limited", "throttle"),
        ("jobs/quotes", "rate limited", "throttle"),
        ("endpoints/users-3", "poison message", "set_aside"),
        ("service", "crash", "restart"),
    } <= decided
    broken = [line["data"]["details"]["dependency"] for line in events if line["data"].get("action") == "break"]
    assert "demo" in broken
    dead = [(line["path"], line["data"]["kind"]) for line in events if line["kind"] == "DeadLettered"]
    assert dead == [("endpoints/users-3", "watchdog:Recheck")]
    crashed = [
        (line["path"], line["data"]["failure"]["type"])
        for line in events
        if line["kind"] == "ChildEnded" and line["data"]["failure"] is not None
    ]
    assert {("jobs/inventory", "IndexError"), ("service", "service.ServiceDied")} <= set(crashed)
    assert not {path for path, _ in crashed} & {"endpoints/limited-1", "endpoints/false", "endpoints/plain"}
    noted = {(line["path"], line["data"]["kind"]) for line in events if line["kind"] == "SignalNoted"}
    assert {
        ("endpoints/recovering", "server_error"),
        ("endpoints/recovering", "Recovered"),
        ("endpoints/dead-1", "down"),
        ("endpoints/slow-1", "slow"),
        ("endpoints/plain", "not_json"),
        ("endpoints/wrong-field", "wrong_body"),
        ("endpoints/missing", "wrong_status"),
    } <= noted
    assert {kind for path, kind in noted if path in ("endpoints/empty-list", "endpoints/false")} >= {"wrong_shape"}
    quiet = {path for path, _ in noted if path.startswith("endpoints/products")}
    assert not quiet, "an endpoint that is asked every 5 s has not failed twice"


def ask_history(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "examples/watchdog/history.py", "watchdog.db", *arguments]
    return subprocess.run(program, cwd=folder, capture_output=True, text=True, timeout=30)


def assert_history(folder: Path, path: str, count: int) -> None:
    shown = ask_history(folder, path, "--last", "1000")
    lines = shown.stdout.splitlines()
    assert (shown.returncode, len(lines)) == (0, count + 1)
    assert all(re.match(r"\d{4}-\d\d-\d\d [\d:.]{12}  \w+ +(200|  -)  +\d+\.\d ms", line) for line in lines[:-1])
    assert f"; {count} checks, " in lines[-1]  # this one is never limited
    assert json.loads(ask_history(folder, path, "--last", "1", "--json").stdout)["path"] == path
    wrong = ask_history(folder, path[:-2])
    assert wrong.returncode == 2
    assert f"there is {path}, " in wrong.stderr


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_counters_and_history_go_on(folder: Path, number: signal.Signals) -> None:
    assert run_until(folder, 80, number) == (0 if number is signal.SIGTERM else -number)
    assert_no_service(folder)
    before = recorded(folder)
    assert sum(before.values()) >= 80
    told = run(folder, 2)
    assert told[0]["after_crash"] is (number is signal.SIGKILL)
    after, known = recorded(folder), states(folder)
    assert_history(folder, "endpoints/orders-1", after["endpoints/orders-1"])
    for path, checks in after.items():
        assert checks >= before[path]
        assert known[path]["checks"] + known[path]["limited"] == checks  # committed together with the state
    assert sum(after.values()) > sum(before.values()) + 50
