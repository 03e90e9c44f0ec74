"""check, tree, journal show and why: what they print about files."""

from __future__ import annotations

import json
import math
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from treewarden.topologies.cli import main
from treewarden.topologies.commands.exposition import exposition

from .cli_desk import begin, desk, treewarden

CHILDREN = (
    '{ id = "steady", agent = "cli_agents:Steady", mailbox = { durability = { messages = 10 } } }',
    '{ id = "below", strategy = "one_for_all", '
    'children = [ { id = "flaky", agent = "cli_agents:Flaky", stable_after = 0.1 } ] }',
    '{ id = "poll", worker = "cli_agents:poll", every = 0.5, mailbox = { durability = "volatile" } }',
)
TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The journal of a tree that ended in order."""
    folder = tmp_path_factory.mktemp("closed")
    desk(folder, *CHILDREN)
    done = treewarden("run", "desk.toml", "--for", "0.7", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    return folder / "desk.db"


@pytest.fixture(autouse=True)
def forgets_its_agents() -> Iterator[None]:
    """The next test's module of that name stands in another folder."""
    yield
    sys.modules.pop("cli_agents", None)


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    assert main(arguments) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out.splitlines()


def parsed(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    return json.loads("\n".join(printed(capsys, *arguments)))


def matches(pattern: str, line: str) -> bool:
    return re.fullmatch(pattern, line) is not None


# check


def test_a_good_file_is_shown_as_its_tree(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = desk(tmp_path, *CHILDREN, options='policy = "otp"\njournal = "mine.db"')
    assert printed(capsys, "check", str(file)) == [
        f"{file} is good: 3 agents under 2 supervisors, policy otp, journal mine.db",
        "slot       agent                        strategy               restart    durability",
        "/          supervisor                   one_for_one, 3 in 5 s  permanent",
        "  steady   cli_agents:Steady                                   permanent  checkpoint every 10 messages",
        "  below    supervisor                   one_for_all, 3 in 5 s  permanent",
        "    flaky  cli_agents:Flaky                                    permanent  message",
        "  poll     cli_agents:poll every 0.5 s                         permanent  volatile",
    ]
    assert list(tmp_path.glob("*.db")) == []


def test_a_good_file_for_machines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = parsed(capsys, "check", str(desk(tmp_path, *CHILDREN)), "--json")
    assert (found["good"], found["tree"], found["journal"]) == (True, "desk", "desk.db")
    assert [slot["path"] for slot in found["slots"]] == ["/", "steady", "below", "below/flaky", "poll"]
    assert found["slots"][1]["agent"] == "cli_agents:Steady"


def test_everything_that_is_wrong_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    faults = '{ id = "a", agent = "cli_agents:Nobody" }', '{ id = "a", agent = "cli_agents:Steady", restart = "ever" }'
    file = desk(tmp_path, *faults)
    for word in ("check", "run"):
        assert main([word, str(file)]) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.startswith("treewarden: desk.toml is refused, ")
        assert "Nobody" in captured.err
        assert "'ever'" in captured.err
    assert main(["check", str(file), "--json"]) == 2
    found = json.loads(capsys.readouterr().out)
    assert found["good"] is False
    assert {"path", "value", "fault", "remedy"} == set(found["problems"][0])
    assert len(found["problems"]) >= 2
    assert list(tmp_path.glob("*.db")) == []


# tree


def test_the_tree_of_a_closed_file(closed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, "tree", str(closed))
    assert matches(rf"{re.escape(str(closed))}: closed in order by process \d+ on .+ \(epoch 1, since .+\)", lines[0])
    assert matches(rf"as of event \d+, {TIME}; opened 1 time; ended: .+", lines[1])
    assert lines[-2:] == ["", "4 slots: 4 down"]
    assert [line.split()[:3] for line in lines[3:-2]] == [
        ["slot", "state", "lives"],
        ["/", "down"],
        ["steady", "down", "1"],
        ["below", "down"],
        ["flaky", "down", "2"],
        ["poll", "down", "1"],
    ]
    assert matches(r".* ago: ValueError: unlucky \(.*cli_agents\.py:\d+ in tick\)", lines[7])


def test_the_tree_for_machines(closed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = parsed(capsys, "tree", str(closed), "--json")
    assert (found["running"], found["processes"], found["crashes"], found["failed"]) == (False, 1, 0, False)
    slots = {slot["path"]: slot for slot in found["slots"]}
    assert list(slots) == ["/", "steady", "below", "below/flaky", "poll"]
    assert (slots["below/flaky"]["lives"], slots["below/flaky"]["restarts"]) == (2, 1)
    assert slots["below/flaky"]["settled"] > 1
    assert slots["below/flaky"]["due"] > found["opened_at"]
    assert slots["below"]["supervisor"] is True


def test_the_tree_for_a_collector_of_metrics(closed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = parsed(capsys, "tree", str(closed), "--json")
    lines = printed(capsys, "tree", str(closed), "--prometheus")
    samples = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    families = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert len(families) == len(set(families)), "each is described once, with its samples behind it"
    for sample, value in samples.items():
        name, labels = sample.removesuffix("}").split("{")
        assert name in families
        assert labels.split(",")[0] == f'journal="{closed}"'
        assert math.isfinite(float(value))
    file = f'journal="{closed}"'
    assert samples[f"treewarden_running{{{file}}}"] == "0"
    assert samples[f"treewarden_events_total{{{file}}}"] == str(said["head"])
    for slot in said["slots"]:
        where = f'{file},path="{slot["path"]}"'
        assert samples[f'treewarden_slot_state{{{where},state="{slot["state"]}"}}'] == "1"
        assert samples[f"treewarden_slot_restarts_total{{{where}}}"] == str(slot["restarts"])
        assert samples[f"treewarden_slot_dead_letters_total{{{where}}}"] == str(slot["dead"])
        settled = samples.get(f"treewarden_slot_settled_total{{{where}}}")
        assert settled == (None if slot["settled"] is None else str(slot["settled"])), "none is not nought"
    (below,) = {
        line for line in printed(capsys, "tree", str(closed), "below/flaky", "--prometheus") if "_state{" in line
    }
    assert 'path="below/flaky"' in below
    assert main(("tree", str(closed), "--json", "--prometheus")) == 2
    assert "not allowed with argument" in capsys.readouterr().err


def test_a_file_name_is_escaped_for_a_collector() -> None:
    """In a label of Prometheus' a quote, a backslash and a line feed end it or break the line."""
    numbers: dict[str, Any] = {
        "file": 'a"b\\c\nd',
        "running": True,
        "head": 3,
        "at": None,
        "processes": 1,
        "crashes": 0,
        "slots": [],
    }
    lines = exposition(numbers).splitlines()
    assert 'treewarden_running{journal="a\\"b\\\\c\\nd"} 1' in lines
    assert not [line for line in lines if "timestamp" in line], "nothing has happened yet"


def test_a_part_of_the_tree(closed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, "tree", str(closed), "below")
    assert [line.split()[0] for line in lines[4:-2]] == ["below", "flaky"]
    assert lines[4].startswith("below "), "it is the top of what is shown"
    assert lines[-1] == "2 slots: 2 down"
    found = parsed(capsys, "tree", str(closed), "below", "--json")
    whole = parsed(capsys, "tree", str(closed), "--json")
    assert found["slots"] == [slot for slot in whole["slots"] if slot["path"].startswith("below")]
    assert {**found, "slots": []} == {**whole, "slots": []}
    assert main(["tree", str(closed), "below/flakey"]) == 2
    assert "no slot below/flakey was ever in this tree; did you mean below/flaky?" in capsys.readouterr().err


def test_a_live_tree_and_a_killed_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    desk(tmp_path, *CHILDREN)
    file = str(tmp_path / "desk.db")
    with begin("run", "desk.toml", "--json", cwd=tmp_path) as running:
        running.event("OutcomeObserved")
        live = printed(capsys, "tree", file)
        assert f"owned by process {running.process.pid} on " in live[0]
        assert live[5].split()[:2] == ["steady", "up"]
        assert parsed(capsys, "tree", file, "--json")["running"] is True
        second = treewarden("run", "desk.toml", cwd=tmp_path)
        assert (second.returncode, second.stdout) == (3, "")
        assert second.stderr.startswith(f"treewarden: desk.db is owned by process {running.process.pid} on ")
        assert second.stderr.count("\n") == 1
        running.signal(signal.SIGKILL)
        running.end()
    dead = printed(capsys, "tree", file)
    assert "left behind by process" in dead[0]
    assert "which has died" in dead[0]
    assert dead[5].split()[:3] == ["steady", "was", "up"]
    again = treewarden("run", "desk.toml", "--for", "0.2", cwd=tmp_path)
    assert again.returncode == 0
    assert "after a process that did not close it" in again.stdout.splitlines()[0]
    assert "; opened 2 times, 1 time after a process that did not close it; ended: " in printed(capsys, "tree", file)[1]


# journal show


def test_events_as_lines(closed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, "journal", "show", str(closed))
    opened = rf" +1  {TIME}  TreeOpened {{9}}/ {{17}}opened by process .+, epoch 1, treewarden .+"
    assert matches(opened, lines[0])
    assert [int(line.split()[0]) for line in lines] == list(range(1, len(lines) + 1))
    (crash,) = [line for line in lines if "ChildEnded" in line and "unlucky" in line]
    assert "  below/flaky       life 1 failed: ValueError: unlucky (" in crash
    assert any(matches(r".*  Recorded {11}steady {12}\S*Seen n=1", line) for line in lines)


def test_some_of_the_events(closed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = str(closed)
    everything = printed(capsys, "journal", "show", file)
    assert printed(capsys, "journal", "show", file, "--last", "3") == everything[-3:]
    below = printed(capsys, "journal", "show", file, "--path", "below")
    assert below == [line for line in everything if "  below" in line]
    assert printed(capsys, "journal", "show", file, "--path", "below", "--last", "2") == below[-2:]
    ended = printed(capsys, "journal", "show", file, "--kind", "childended", "--kind", "TreeClosed")
    assert ended == [line for line in everything if "ChildEnded" in line or "TreeClosed" in line]
    assert printed(capsys, "journal", "show", file, "--since", "100000") == everything
    assert printed(capsys, "journal", "show", file, "--since", "1e-6") == []


def test_events_of_a_slot_that_never_was(closed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["journal", "show", str(closed), "--path", "below/flakey"]) == 2
    said = f"treewarden: {closed}: no slot below/flakey was ever in this tree; did you mean below/flaky?\n"
    assert capsys.readouterr().err == said


def test_events_for_machines(closed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, "journal", "show", str(closed), "--json", "--kind", "Decided")
    (decided,) = [json.loads(line) for line in lines]
    assert (decided["type"], decided["kind"], decided["path"]) == ("event", "Decided", "below/flaky")
    assert decided["data"]["action"] == "restart"


def test_events_as_they_come(tmp_path: Path) -> None:
    desk(tmp_path, *CHILDREN)
    with begin("run", "desk.toml", "--json", cwd=tmp_path) as running:
        running.event("ChildStarted")
        follow = ("journal", "show", "desk.db", "--follow", "--path", "steady", "--kind", "Recorded")
        with begin(*follow, cwd=tmp_path) as following:
            following.until("Seen n=2")
            following.until("Seen n=9")
            following.signal(signal.SIGINT)
            assert following.end() == 0
            assert following.errors() == ""
            assert all("Recorded" in line for line in following.lines)
            counts = [int(line.rpartition("=")[2]) for line in following.lines]
            assert counts == list(range(counts[0], counts[-1] + 1))


@pytest.mark.parametrize("words", ["journal show desk.db", "tree desk.db", "why desk.db /", "check desk.toml"])
def test_a_reader_that_has_gone_ends_it_quietly(words: str, closed: Path) -> None:
    with begin(*words.split(), cwd=closed.parent) as reading:
        reading.out.close()
        assert reading.process.wait(30) == 0
        assert reading.errors() == ""


# why


def test_the_incidents_of_a_slot(closed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, "why", str(closed), "below/flaky")
    assert matches(rf"{TIME}  below/flaky  incident 1\.1  crash: fixed after \S+ .?s", lines[0])
    labels = [line.split()[0] for line in lines if matches(r"  \w.*", line) and not matches(rf"  {TIME}.*", line)]
    assert labels[:4] == ["signal", "context", "confidence", "decision"]
    assert {"because", "not", "next"} <= set(labels)
    assert "crashed: ValueError: unlucky (" in lines[2]
    assert matches(rf"  {TIME}  outcome  restart: fixed after .+ \(incident 1\.1\)", lines[-1])


def test_the_incidents_below_a_supervisor(closed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    of_slot = printed(capsys, "why", str(closed), "below/flaky")
    assert printed(capsys, "why", str(closed), "below") == of_slot
    assert printed(capsys, "why", str(closed), "/") == of_slot
    assert printed(capsys, "why", str(closed), "steady") == ["steady: no incidents"]


def test_incidents_for_machines(closed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = parsed(capsys, "why", str(closed), "below", "--json")
    (story,) = found["incidents"]
    assert (story["path"], story["kind"], story["outcome"], story["open"]) == ("below/flaky", "crash", "fixed", False)
    assert [line["kind"] for line in story["lines"]] == ["Decided", "OutcomeObserved"]
    assert story["lines"][0]["data"]["rejected"]


def test_an_incident_that_an_end_in_order_has_cut(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    desk(tmp_path, '{ id = "below", children = [ { id = "flaky", agent = "cli_agents:Flaky", stable_after = 60 } ] }')
    assert treewarden("run", "desk.toml", "--for", "0.4", cwd=tmp_path).returncode == 0
    assert treewarden("run", "desk.toml", "--for", "0.4", cwd=tmp_path).returncode == 0
    lines = printed(capsys, "why", str(tmp_path / "desk.db"), "below/flaky")
    heads = [line for line in lines if "incident" in line and not line.startswith(" ")]
    assert len(heads) == 2
    assert all(line.endswith("crash: below ended before its outcome was seen") for line in heads)
    last = printed(capsys, "why", str(tmp_path / "desk.db"), "below", "--last", "1")
    assert last[:2] == ["(1 earlier incident not shown; --last shows more)", ""]
    assert last[2:] == lines[lines.index(heads[1]) :]


@pytest.mark.parametrize(
    ("path", "near"),
    [("below/flakey", "below/flaky"), ("flaky", "below/flaky"), ("stedy", "steady"), ("STEADY", "steady")],
)
def test_a_slot_that_never_was(path: str, near: str, closed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["why", str(closed), path]) == 2
    captured = capsys.readouterr()
    assert captured.err == f"treewarden: {closed}: no slot {path} was ever in this tree; did you mean {near}?\n"


def test_a_slot_that_is_like_no_other(closed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["why", str(closed), "zzzzzzzzzzzz"]) == 2
    assert f"`treewarden tree {closed}` shows all slots" in capsys.readouterr().err


def test_no_word_changes_the_file(closed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = closed.read_bytes()
    for arguments in (["tree"], ["journal", "show"], ["why"]):
        assert main([*arguments, str(closed), *(["/"] if arguments == ["why"] else [])]) == 0
    assert closed.read_bytes() == before
