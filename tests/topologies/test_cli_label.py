"""`treewarden label`: of a dead tree, of a live one, and what it refuses."""

from __future__ import annotations

import json
import random
import shutil
import signal
import sqlite3
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from treewarden.supervisor.core.event import IncidentLabelled
from treewarden.supervisor.journal.reading import JournalFile
from treewarden.topologies.cli import main
from treewarden.topologies.labelling import as_data

from ..supervisor.core.test_challenger import surprise, usual
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
    for wrong, fault in (("{", "is not JSON: "), ("[1]", "is no object; give path, ")):
        (dead.parent / "l.jsonl").write_text(f"{json.dumps(line)}\n{wrong}\n")
        code, text = said(capsys, "--from", "l.jsonl")
        assert (code, text.startswith(f"treewarden: l.jsonl, line 2 {fault}")) == (2, True)


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


# -- over processes that were killed


def standing_of(capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["tree", "desk.db"]) == 0
    return next(line for line in capsys.readouterr().out.splitlines() if " taught " in line)


def killed_after(folder: Path, told: list[IncidentLabelled], capsys: pytest.CaptureFixture[str]) -> str:
    """What a tree says of the challenger once it has been told these labels; then it is killed."""
    (folder / "labels.jsonl").write_text("\n".join(json.dumps(as_data(each)) for each in told))
    for process in begun(folder):
        if told:
            assert said(capsys, "--from", "labels.jsonl")[0] == 0
        text = standing_of(capsys)
        process.signal(signal.SIGKILL)
        process.process.wait(30)
        return text
    raise AssertionError("it did not begin")


def test_a_challenger_decides_and_is_silent_again_over_processes_that_are_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    odd = [surprise(number) for number in range(14)]
    assert "what 7 labels taught is silent" in killed_after(tmp_path, odd[:7], capsys)
    promoted = killed_after(tmp_path, odd[7:], capsys)
    assert "what 14 labels taught decides" in promoted
    assert killed_after(tmp_path, [], capsys) == promoted, "the same in the next process"
    as_shipped = [usual(random.Random(number), number) for number in range(1000, 1280)]
    demoted = killed_after(tmp_path, as_shipped, capsys)
    assert "what 294 labels taught is silent" in demoted
    assert killed_after(tmp_path, [], capsys) == demoted
    assert main(["journal", "verify", "desk.db"]) == 0
