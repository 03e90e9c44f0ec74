"""`treewarden run` from its first line to its last, in a process of its own."""

from __future__ import annotations

import json
import re
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from treewarden.supervisor.core.event import Recorded
from treewarden.supervisor.journal.reading import JournalFile

from .cli_desk import COMMAND, begin, desk, treewarden

STEADY = '{ id = "steady", agent = "cli_agents:Steady" }'
FLAKY = '{ id = "flaky", agent = "cli_agents:Flaky", stable_after = 0.1 }'
TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"


def alone(name: str) -> str:
    return f'{{ id = "x", agent = "cli_agents:{name}", shutdown = 0.2, backoff = {{ first = 0.01, most = 0.01 }} }}'


def test_a_run_as_plain_lines(tmp_path: Path) -> None:
    desk(tmp_path, STEADY, FLAKY)
    done = treewarden("run", "desk.toml", "--for", "0.7", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert re.fullmatch(rf"{TIME}  desk runs; journal desk\.db, new", lines[0])
    assert lines[1] == "slot    state  life  restarts  mailbox  handled"
    assert [line.split()[:3] for line in lines[2:4]] == [["steady", "up", "1"], ["flaky", "up", "1"]]
    assert lines[4] == "Ctrl-C stops it in order; a second one forces."
    assert re.fullmatch(rf"{TIME}  flaky  incident 1\.1", lines[5])
    chain = [line.split()[0] for line in lines[6:] if re.match(r"  [a-z]", line)]
    assert chain[:5] == ["signal", "context", "confidence", "decision", "because"]
    again, outcome = (line for line in lines if re.match(TIME, line) and line not in (lines[0], lines[5]))
    assert re.fullmatch(rf"{TIME}  flaky  up again: life 2.*", again)
    assert re.fullmatch(rf"{TIME}  flaky  outcome: restart: fixed after .+ \(incident 1\.1\)", outcome)
    last = lines[-lines[::-1].index(outcome) :]
    assert re.fullmatch(r"desk ran \d+\.\d s: ended in order \(after 0\.7 s, as asked\)", last[0])
    assert last[1:5] == [
        "  lives       3, 1 restart, 1 failure",
        "  incidents   1 opened; over: fixed 1",
        "  decisions   restart 1",
        "  outcomes    fixed 1",
    ]
    assert re.fullmatch(r"  messages    \d+ handled, 0 returned, 0 dead letters", last[5])
    assert re.fullmatch(r"  recorded    cli_agents:Seen \d+", last[6])
    assert re.fullmatch(r"  journal     desk\.db, \d+ events", last[7])
    assert last[8] == "  look at it  treewarden tree desk.db · treewarden why desk.db flaky"


def test_a_second_run_goes_on_where_the_first_has_stopped(tmp_path: Path) -> None:
    desk(tmp_path, STEADY)
    assert treewarden("run", "desk.toml", "--for", "0.2", cwd=tmp_path).returncode == 0
    done = treewarden("run", "desk.toml", "--for", "0.2", cwd=tmp_path)
    assert re.search(r"journal desk\.db, goes on after \d+ events$", done.stdout.splitlines()[0])
    with JournalFile.open(tmp_path / "desk.db") as file:
        recorded = [record.event for record in file.records(kinds=["Recorded"])]
    counts = [event.facts["n"] for event in recorded if isinstance(event, Recorded)]
    assert counts == list(range(1, len(counts) + 1))


def test_a_run_for_machines(tmp_path: Path) -> None:
    desk(tmp_path, STEADY, FLAKY)
    treewarden("run", "desk.toml", "--for", "0.2", cwd=tmp_path)
    done = treewarden("run", "desk.toml", "--for", "0.5", "--json", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    first, *events, last = [json.loads(line) for line in done.stdout.splitlines()]
    assert (first["type"], first["tree"], first["journal"], first["epoch"]) == ("header", "desk", "desk.db", 2)
    assert [each["type"] for each in events] == ["event"] * len(events)
    with JournalFile.open(tmp_path / "desk.db") as file:
        committed = file.records(first["head"], 10_000)
    assert [(each["seq"], each["kind"]) for each in events] == [
        (record.seq, type(record.event).__name__) for record in committed
    ]
    assert (events[0]["kind"], events[-1]["kind"]) == ("TreeOpened", "TreeClosed")
    assert (last["type"], last["exit"], last["head"]) == ("summary", 0, committed[-1].seq)
    assert (last["events"], last["restarts"], last["decisions"]) == (len(events), 1, {"restart": 1})


def test_the_journal_is_in_the_current_folder(tmp_path: Path) -> None:
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    home.mkdir()
    elsewhere.mkdir()
    desk(home, STEADY)
    for options, arguments, made in (
        ("", (), "desk.db"),
        ('journal = "named.db"', (), "named.db"),
        ('journal = "named.db"', ("--journal", "given.db"), "given.db"),
    ):
        desk(home, STEADY, options=options)
        done = treewarden("run", "../home/desk.toml", "--for", "0.1", *arguments, cwd=elsewhere)
        assert done.returncode == 0, done.stderr
        assert [file.name for file in elsewhere.glob("*.db")] == [made]
        for file in elsewhere.iterdir():
            file.unlink()
    assert list(home.glob("*.db*")) == []


def test_a_tree_that_fails_is_told_with_its_reason(tmp_path: Path) -> None:
    desk(tmp_path, alone("Broken"), options="restarts = { max_restarts = 2, within = 30 }")
    done = treewarden("run", "desk.toml", cwd=tmp_path)
    assert done.returncode == 1
    assert re.fullmatch(
        r"treewarden: the tree failed: the root gave up .+\n  `treewarden why desk\.db /` tells what led to it\n",
        done.stderr,
    )
    assert "Traceback" not in done.stdout + done.stderr
    assert "  decisions   restart 2, escalate 1" in done.stdout.splitlines()
    why = treewarden("why", "desk.db", "/", cwd=tmp_path)
    assert "escalate" in why.stdout


def test_a_tree_that_does_not_start_is_told_with_its_reason(tmp_path: Path) -> None:
    desk(tmp_path, STEADY, alone("Stillborn"))
    for arguments in ((), ("--json",)):
        done = treewarden("run", "desk.toml", *arguments, cwd=tmp_path)
        assert done.returncode == 1
        assert "RuntimeError: cannot begin" in done.stderr
        assert "Traceback" not in done.stderr
        assert "RuntimeError: cannot begin" in done.stdout
    assert [json.loads(line)["type"] for line in done.stdout.splitlines()][::99] == ["header"]


def test_an_exception_that_ends_the_loop_is_told_with_whose_it_was(tmp_path: Path) -> None:
    desk(tmp_path, '{ id = "mute", agent = "cli_agents:Speechless" }')
    done = treewarden("run", "desk.toml", "--for", "20", cwd=tmp_path)
    assert done.returncode == 1
    said = done.stderr.splitlines()[-1]
    assert said.startswith(
        "treewarden: the event loop has ended: the repr of an exception in mute raised RuntimeError: no words ("
    )
    assert "mend that `__repr__`, or begin such tasks with self.start_soon" in said
    assert "Traceback" not in done.stderr


def test_an_agent_that_ends_the_process_does(tmp_path: Path) -> None:
    desk(tmp_path, STEADY, alone("Exits"))
    done = treewarden("run", "desk.toml", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (5, "")
    assert "an agent ended the process: SystemExit(5)" in done.stdout


@pytest.mark.parametrize("word", ["desk.toml", "desk.toml.toml"])
def test_a_bad_file_starts_nothing(word: str, tmp_path: Path) -> None:
    desk(tmp_path, '{ id = "a", agent = "cli_agents:Nobody" }')
    done = treewarden("run", word, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"treewarden: {word} is refused, 1 problem:\n")
    assert list(tmp_path.glob("*.db")) == []


def test_a_journal_that_is_none_is_left_alone(tmp_path: Path) -> None:
    desk(tmp_path, STEADY)
    (tmp_path / "notes.db").write_text("notes " * 100)
    done = treewarden("run", "desk.toml", "--journal", "notes.db", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "treewarden: notes.db is not a treewarden journal: it is no SQLite database. Name another file\n"
    )
    missing = treewarden("run", "desk.toml", "--journal", "no/such.db", cwd=tmp_path)
    assert (missing.returncode, missing.stdout) == (2, "")
    assert "there is no folder no" in missing.stderr
    endless = "a" * 300 + ".db"
    unreachable = treewarden("run", "desk.toml", "--journal", endless, cwd=tmp_path)
    assert (unreachable.returncode, unreachable.stdout) == (2, "")
    assert f"{endless} cannot be opened: File name too long. Name one that" in unreachable.stderr
    unnamed = treewarden("run", "desk.toml", "--journal", "", cwd=tmp_path)
    assert (unnamed.returncode, unnamed.stdout) == (2, ""), "of a variable that is not set, not the file of the TOML"
    assert "argument --journal: '' can be no journal; give the name of a file, as 'desk.db'\n" in unnamed.stderr


def test_a_disk_without_room_is_no_mistake_and_the_next_start_goes_on(tmp_path: Path) -> None:
    """So systemd, which is told not to repeat a mistake (2), starts it again."""
    desk(tmp_path, STEADY)
    assert treewarden("run", "desk.toml", "--for", "0.1", cwd=tmp_path).returncode == 0
    where_no_file_may_grow = ["sh", "-c", 'ulimit -f 0; exec "$@"', "sh", sys.executable, "-c", COMMAND]
    refused = subprocess.run(
        [*where_no_file_may_grow, "run", "desk.toml"], cwd=tmp_path, capture_output=True, text=True, timeout=30
    )
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.endswith("its disk is full, or broken. Make room, or mend it, and start again\n")
    assert treewarden("run", "desk.toml", "--for", "0.1", cwd=tmp_path).returncode == 0


def test_a_reader_that_has_gone_ends_the_tree_in_order(tmp_path: Path) -> None:
    desk(tmp_path, STEADY)
    with begin("run", "desk.toml", "--json", cwd=tmp_path) as running:
        running.event("Recorded")
        running.out.close()
        assert running.process.wait(30) == 0
        assert running.errors() == ""
    with JournalFile.open(tmp_path / "desk.db") as file:
        assert "closed in order" in file.describe_holder()


def test_every_word_works_without_rich(tmp_path: Path) -> None:
    core = f"import sys; sys.modules['rich'] = None; {COMMAND}"
    desk(tmp_path, STEADY)
    for arguments in (
        ("check", "desk.toml"),
        ("run", "desk.toml", "--for", "0.1"),
        ("run", "desk.toml", "--for", "0.1", "--json"),
        ("tree", "desk.db"),
        ("journal", "show", "desk.db"),
        ("why", "desk.db", "steady"),
    ):
        done = treewarden(*arguments, cwd=tmp_path, program=core)
        assert (done.returncode, done.stderr) == (0, ""), arguments
        assert done.stdout


def test_a_run_that_is_killed_is_followed_by_one_that_knows(tmp_path: Path) -> None:
    desk(tmp_path, STEADY)
    with begin("run", "desk.toml", "--json", cwd=tmp_path) as running:
        running.event("Recorded")
        running.signal(signal.SIGKILL)
        assert running.end() == -signal.SIGKILL
    done = treewarden("run", "desk.toml", "--for", "0.1", "--json", cwd=tmp_path)
    assert done.returncode == 0
    assert json.loads(done.stdout.splitlines()[0])["after_crash"] is True


def test_a_run_whose_journal_another_one_has_taken_ends_as_one_that_finds_it_owned(tmp_path: Path) -> None:
    desk(tmp_path, STEADY)
    with begin("run", "desk.toml", cwd=tmp_path) as running:
        running.until("Ctrl-C stops it")
        with closing(sqlite3.connect(tmp_path / "desk.db", timeout=30)) as other, other:
            other.execute("UPDATE meta SET epoch = epoch + 1")
            other.execute("UPDATE owner SET epoch = epoch + 1, host = 'elsewhere', pid = 77")
        assert running.end() == 3
        said = running.errors()
    assert "treewarden: the journal failed: " in said  # what waited for a commit may have been told of before
    assert "is owned by process 77 on elsewhere" in said
