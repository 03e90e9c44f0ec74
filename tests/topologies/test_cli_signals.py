"""Stopping and reloading a run: signals, changed files, and agents that do not end."""

from __future__ import annotations

import json
import signal
import sys
from contextlib import suppress
from pathlib import Path
from subprocess import TimeoutExpired, run

import pytest

from treewarden.supervisor.journal.reading import JournalFile

from .cli_desk import Running, begin, desk, environment

STEADY = '{ id = "steady", agent = "cli_agents:Steady" }'
OTHER = '{ id = "other", agent = "cli_agents:Steady" }'


def alone(name: str, shutdown: float = 30.0) -> str:
    return f'{{ id = "x", agent = "cli_agents:{name}", shutdown = {shutdown} }}'


def summary(running: Running) -> dict[str, object]:
    return json.loads(running.lines[-1])


def notices(running: Running) -> list[str]:
    found = [json.loads(line) for line in running.lines]
    return [each["text"] for each in found if each["type"] == "notice"]


def ownership(folder: Path) -> str:
    with JournalFile.open(folder / "desk.db") as file:
        return file.describe_holder()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_stops_in_order(number: signal.Signals, tmp_path: Path) -> None:
    desk(tmp_path, STEADY)
    with begin("run", "desk.toml", "--json", cwd=tmp_path) as running:
        running.event("Recorded")
        running.signal(number)
        assert running.end() == 0
        assert running.errors() == ""
    assert notices(running) == [f"{number.name}: stopping in order; a second one forces"]
    assert summary(running)["ended"] == f"ended in order ({number.name})"
    assert "closed in order" in ownership(tmp_path)


def test_a_second_signal_forces(tmp_path: Path) -> None:
    desk(tmp_path, alone("Slow"))
    with begin("run", "desk.toml", "--json", cwd=tmp_path) as running:
        running.event("SupervisorStarted")
        running.signal(signal.SIGTERM)
        running.until("stopping in order")
        running.signal(signal.SIGINT)
        assert running.end() == 130
        assert running.errors() == ""
    assert (summary(running)["exit"], summary(running)["ended"]) == (130, "forced (a second SIGINT)")
    assert "closed in order" in ownership(tmp_path)


def test_a_third_signal_needs_no_loop(tmp_path: Path) -> None:
    desk(tmp_path, alone("Hog"))
    with begin("run", "desk.toml", cwd=tmp_path) as running:
        running.until("the loop stands still")
        keep_pressing(running)
        assert running.end() == 130
        assert "ended by a third signal" in running.errors()
    assert "which has died" in ownership(tmp_path)


def keep_pressing(running: Running) -> None:
    """Ctrl-C until it ends; two that Python has not seen yet are one."""
    while running.process.poll() is None:
        running.signal(signal.SIGINT)
        with suppress(TimeoutExpired):
            running.process.wait(0.05)


def test_an_agent_that_does_not_end_does_not_hold_the_process(tmp_path: Path) -> None:
    desk(tmp_path, alone("Shielded", 0.1), STEADY)
    with begin("run", "desk.toml", cwd=tmp_path) as running:
        running.until("Ctrl-C")
        running.signal(signal.SIGTERM)
        assert running.end() == 70
        assert "treewarden: x did not end although cancelled" in running.errors()
    assert any(line.startswith("desk ran ") and "x did not end" in line for line in running.lines)


WATCH = """
import os, signal, time, trio
from treewarden.topologies.commands.stopping import signals

async def main():
    with signals(standstill=0.4) as heard:
        time.sleep(0.6)
        print("nothing was asked", flush=True)
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGTERM)
            assert await anext(heard) == signal.SIGTERM
            await trio.sleep(0.6)
        print("asked, and the loop goes on", flush=True)
        if {hogs}:
            time.sleep(60)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL

trio.run(main)
"""


@pytest.mark.parametrize(("hogs", "code", "says"), [(True, 70, "has not let the loop go on for 0.4 s"), (False, 0, "")])
def test_a_loop_that_stands_still_is_noticed_from_outside_it(hogs: bool, code: int, says: str) -> None:
    done = run(
        [sys.executable, "-c", WATCH.format(hogs=hogs)],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (code, "nothing was asked\nasked, and the loop goes on\n")
    assert says in done.stderr
    assert bool(done.stderr) == hogs


def test_a_hangup_reads_the_file_again(tmp_path: Path) -> None:
    desk(tmp_path, STEADY)
    with begin("run", "desk.toml", "--json", "--no-reload", cwd=tmp_path) as running:
        running.event("Recorded")
        desk(tmp_path, STEADY, OTHER)
        running.signal(signal.SIGHUP)
        reloaded = running.event("TreeReloaded")["data"]
        assert reloaded.pop("blueprint")
        assert reloaded == {"added": ["other"], "removed": [], "changed": []}
        running.signal(signal.SIGHUP)
        running.until("desk.toml was read again: nothing has changed")
        desk(tmp_path, OTHER, options='journal = "else.db"')
        running.signal(signal.SIGHUP)
        running.until("names another journal: that counts from the next start on")
        running.signal(signal.SIGTERM)
        assert running.end() == 0
    assert summary(running)["reloads"] == 3


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    desk(tmp_path, OTHER, name="part")
    desk(tmp_path, STEADY, '{ id = "part", file = "part.toml" }')
    with begin("run", "desk.toml", "--json", cwd=tmp_path) as running:
        running.event("Recorded")
        desk(tmp_path, OTHER, STEADY, name="part")
        assert running.event("TreeReloaded")["data"]["added"] == ["part/steady"]
        desk(tmp_path, STEADY)
        assert running.event("TreeReloaded")["data"]["removed"] == ["part"]
        running.signal(signal.SIGTERM)
        assert running.end() == 0


def test_a_bad_file_leaves_the_tree_as_it_is(tmp_path: Path) -> None:
    desk(tmp_path, STEADY)
    with begin("run", "desk.toml", cwd=tmp_path) as running:
        running.until("Ctrl-C")
        desk(tmp_path, '{ id = "steady", agent = "cli_agents:Nobody" }')
        running.until("desk.toml was not taken; the tree goes on as it was")
        running.until("Nobody")
        desk(tmp_path, STEADY, OTHER)
        running.until("reloaded: added other")
        running.signal(signal.SIGTERM)
        assert running.end() == 0
