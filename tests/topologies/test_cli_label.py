"""`treewarden label`: of a dead tree, of a live one, and what it refuses."""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from treewarden.supervisor.journal.reading import JournalFile
from treewarden.topologies.cli import main

from .cli_desk import Running, begin, desk

FLAKY = '{ id = "flaky", agent = "cli_agents:Flaky" }'


def begun(folder: Path) -> Generator[Running]:
    """A tree that runs and has decided something."""
    desk(folder, FLAKY)
    with begin("run", "desk.toml", "--json", cwd=folder) as process:
        process.event("Decided")
        yield process


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Running]:
    monkeypatch.chdir(tmp_path)
    yield from begun(tmp_path)


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The journal of a process that was killed."""
    folder = tmp_path_factory.mktemp("killed")
    for process in begun(folder):
        process.signal(signal.SIGKILL)
        process.process.wait(30)
    return folder


@pytest.fixture
def dead(killed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, here."""
    for name in killed.glob("desk.db*"):
        shutil.copy(name, tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "desk.db"


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    code = main(["label", "desk.db", *words])
    captured = capsys.readouterr()
    return code, captured.out + captured.err


def labels() -> list[tuple[str, str, str]]:
    with JournalFile.open("desk.db") as journal:
        assert journal.verify().sound
        events: list[Any] = [record.event for record in journal.labels()]
    return [(event.incident, event.cause, event.by) for event in events]


def test_a_running_tree_writes_it(running: Running, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = said(capsys)
    assert (code, "1.1  flaky" in text) == (0, True)
    assert said(capsys, "1.1", "leak", "--by", "ada") == (0, "applied: incident 1.1 of flaky was leak\n")
    event = running.event("IncidentLabelled")["data"]
    assert (event["cause"], event["by"], event["symptoms"][0][0]) == ("leak", "ada", "crash")
    assert said(capsys) == (0, "every incident has its label\n")
    assert main(["stop", "desk.db"]) == 0
    assert running.end() == 0
    assert labels() == [("1.1", "leak", "ada")]


def test_of_a_dead_tree_the_file_is_written(dead: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "1.1", "leak", "--by", "ada") == (0, "applied: incident 1.1 of flaky was leak\n")
    assert said(capsys, "1.1", "hang", "--by", "bob")[0] == 0
    assert labels() == [("1.1", "leak", "ada"), ("1.1", "hang", "bob")]
    assert main(["why", "desk.db", "flaky"]) == 0
    assert "incident 1.1 was hang, says bob" in capsys.readouterr().out
    with closing(sqlite3.connect(dead)) as connection:  # the next owner still learns of the process that died
        assert connection.execute("SELECT released FROM owner").fetchone() == (0,)
    assert main(["tree", "desk.db"]) == 0
    assert "what 1 label taught is silent, and e is " in capsys.readouterr().out
    desk(dead.parent, FLAKY)
    with begin("run", "desk.toml", "--json", cwd=dead.parent) as process:
        assert process.event("TreeOpened")["data"]["after_crash"]
        assert process.event("Decided")["data"]["challenger"]["labels"] == 1


def test_labels_of_chaos_runs_are_taken_from_a_file(dead: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = {"path": "w", "incident": "t/1/1.1", "cause": "leak", "by": "chaos", "symptoms": [["out_of_memory"]],
            "tried": [], "rehearsed": True, "seed": 1}  # fmt: skip
    lines = [line, {**line, "cause": None}, {**line, "incident": "t/2/1.1"}]
    (dead.parent / "l.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    assert said(capsys, "--from", "l.jsonl") == (0, "applied: 2 incidents are labelled\n")
    assert [incident for incident, _, _ in labels()] == ["t/1/1.1", "t/2/1.1"]
    (dead.parent / "l.jsonl").write_text(json.dumps({**line, "tried": [1]}))
    code, text = said(capsys, "--from", "l.jsonl")
    assert code == 2
    assert text.startswith("treewarden: l.jsonl, line 1 is no label: ")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("1.1", "rain"), "there is no cause 'rain'; there is transient, overload, bad_state, bad_version, "),
        (("1.1",), "what was the cause of incident 1.1? there is transient, "),
        (("9.9", "leak"), "desk.db: there was no incident '9.9'; `treewarden label desk.db` lists them"),
        (("1.11", "leak"), "desk.db: there was no incident '1.11'; did you mean 1.1?"),
        (("1.1", "leak", "--from", "x"), "give an incident with its cause, or --from with a file of labels, not both"),
        (("--from", "missing"), "missing cannot be read: "),
    ],
)
def test_what_cannot_be_labelled(
    dead: Path, words: tuple[str, ...], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, text = said(capsys, *words)
    assert code == 2
    assert text.startswith(f"treewarden: {sentence}")
    assert labels() == []


def test_the_list_as_data(dead: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (incident,) = json.loads(said(capsys, "--json")[1])["incidents"]
    assert (incident["incident"], incident["path"], incident["kind"]) == ("1.1", "flaky", "crash")
    assert max(incident["causes"].values()) > 0.5
