"""Where the command's words go: a full disk, streams that are closed, and agents that print."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

from treewarden.supervisor.journal.reading import JournalFile

from .cli_desk import COMMAND, begin, desk, environment, treewarden

STEADY = '{ id = "steady", agent = "cli_agents:Steady" }'
TALKER = '{ id = "talker", agent = "talkers:Talker" }'
FACTS = 6000
"""More than a pipe takes, and than a tree has at hand for whoever is behind."""
TALKATIVE = f"""
from attrs import frozen

from treewarden.agents.agent import Agent


@frozen
class Said:
    n: int


class Talker(Agent[None]):
    async def on_start(self) -> None:
        for n in range({FACTS}):
            self.record(Said(n))
"""


def in_shell(words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """The command with what a shell can do to its streams; `$0` is the command."""
    return subprocess.run(
        ["/bin/sh", "-c", f'"{sys.executable}" -c "$0" {words}', COMMAND],
        cwd=cwd,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def settled(file: Path) -> int:
    with JournalFile.open(file) as journal:
        return journal.head.seq


def closed_in_order(file: Path) -> bool:
    with JournalFile.open(file) as journal:
        return "closed in order" in journal.describe_holder()


def test_a_tree_goes_on_when_there_is_no_room_for_what_is_said_about_it(tmp_path: Path) -> None:
    desk(tmp_path, STEADY)
    done = in_shell("run desk.toml --for 0.6 > /dev/full", tmp_path)
    assert done.returncode == 0
    assert done.stderr == (
        "treewarden: the output cannot be written (No space left on device), and what it lacks is not repeated\n"
    )
    assert settled(tmp_path / "desk.db") > 8


def test_a_reading_command_says_that_it_could_not_speak(tmp_path: Path) -> None:
    desk(tmp_path, STEADY)
    done = in_shell("check desk.toml > /dev/full", tmp_path)
    assert done.returncode == 2
    assert done.stderr == "treewarden: the output cannot be written: No space left on device\n"


def test_streams_that_are_closed_lead_nowhere(tmp_path: Path) -> None:
    desk(tmp_path, STEADY)
    done = in_shell("run desk.toml --for 0.3 <&- >&- 2>&-", tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert settled(tmp_path / "desk.db") > 3
    assert in_shell("tree desk.db >&-", tmp_path).returncode == 0


def test_what_an_agent_prints_does_not_come_between_json_lines(tmp_path: Path) -> None:
    desk(tmp_path, TALKER)
    (tmp_path / "talkers.py").write_text(
        "from treewarden.agents.agent import Agent, every\n\n\nclass Talker(Agent[None]):\n"
        '    @every(0.05)\n    async def tick(self) -> None:\n        print("still here", flush=True)\n'
    )
    done = treewarden("run", "desk.toml", "--for", "0.3", "--json", cwd=tmp_path)
    assert done.returncode == 0
    assert all(json.loads(line) for line in done.stdout.splitlines())
    assert "still here\n" in done.stderr


def test_what_is_refused_moves_no_cursor(tmp_path: Path) -> None:
    (tmp_path / "colourful.py").write_text("raise RuntimeError('no \\x1b[2J\\rgood')\n")
    (tmp_path / "colourful.toml").write_text('children = [{ id = "desk", agent = "colourful:Desk" }]\n')
    done = treewarden("check", "colourful.toml", cwd=tmp_path)
    assert done.returncode == 2
    assert r"RuntimeError: no \x1b[2J\x0dgood" in done.stderr
    assert len(done.stderr.splitlines()) == 2, "what is wrong still stands on lines of its own"


def test_a_reader_that_is_far_behind_when_the_tree_ends_is_told_all_of_it(tmp_path: Path) -> None:
    (tmp_path / "talkers.py").write_text(TALKATIVE)
    desk(tmp_path, TALKER)
    file = tmp_path / "desk.db"
    with begin("run", "desk.toml", "--json", cwd=tmp_path) as running:
        running.event("Recorded")
        while settled(file) <= FACTS:
            time.sleep(0.01)
        running.signal(signal.SIGINT)
        while not closed_in_order(file):
            time.sleep(0.01)
        assert running.end() == 0, running.errors()
    told = [json.loads(line) for line in running.lines]
    assert [each["seq"] for each in told if "seq" in each] == list(range(1, settled(file) + 1))
