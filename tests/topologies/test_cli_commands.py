"""The words that ask something of a tree in another process: what they print, and their exit codes."""

from __future__ import annotations

import json
import re
import signal
import threading
from collections.abc import Generator
from pathlib import Path
from typing import Any, Final

import pytest

from treewarden.supervisor.journal.reading import JournalFile
from treewarden.topologies.cli import main

from .cli_desk import Running, begin, desk

MODULE: Final = """
from attrs import frozen
from treewarden.agents import Agent, Request, handles

@frozen
class Letter:
    text: str

@frozen
class Count(Request[dict[str, int]]):
    word: str

class Writer(Agent[tuple[str, ...]]):
    state = ()

    @handles
    def letter(self, message: Letter) -> None:
        self.state = (*self.state, message.text)
        self.record(message)

    @handles
    def count(self, message: Count) -> dict[str, int]:
        if not message.word:
            raise ValueError("no word")
        return {message.word: sum(message.word in each for each in self.state)}
"""


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Running]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cli_writer.py").write_text(MODULE)
    desk(tmp_path, '{ id = "writer", agent = "cli_writer:Writer" }')
    with begin("run", "desk.toml", "--json", cwd=tmp_path) as process:
        process.event("SupervisorStarted")
        yield process


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    code = main([words[0], "desk.db", *words[1:]])
    return code, capsys.readouterr().out


def parsed(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    return json.loads(said(capsys, *words, "--json")[1])


def test_a_tree_in_another_process_is_spoken_to(running: Running, capsys: pytest.CaptureFixture[str]) -> None:
    letter = ("send", "writer", "Letter", '{"text": "hello"}', "--id", "mine")
    assert said(capsys, *letter) == (0, "applied: writer was told Letter\n")
    assert said(capsys, *letter) == (0, "duplicate: writer was told Letter\n")
    answered = running.event("CommandAnswered")
    assert (answered["data"]["command"], answered["data"]["what"]) == ("mine", "tell")
    recorded = running.event("Recorded")
    assert recorded["data"]["facts"] == {"text": "hello"}
    code, text = said(capsys, "send", "writer", "Letter", '{"txt": 1}')
    assert code == 1
    assert text.startswith("refused: writer: this is no cli_writer:Letter: ")
    assert "; its fields are text" in text
    assert main(["checkpoint", "keep", "desk.db", "writer", "--name", "good", "--json"]) == 0
    kept = json.loads(capsys.readouterr().out)
    assert (kept["state"], kept["duplicate"]) == ("applied", False)
    assert said(capsys, "send", "writer", "Letter", '{"text": "bad"}')[0] == 0
    assert said(capsys, "roll-back", "writer", "--to", "good")[0] == 0
    assert said(capsys, "roll-back", "writer", "--declared")[0] == 0
    assert said(capsys, "signal", "writer", "slow", "--severity", "0.2", "--lasts", "600")[0] == 0
    assert said(capsys, "signal", "writer", "slow", "--over") == (
        0,
        "applied: writer: its supervisor has been told that slow is over\n",
    )
    assert said(capsys, "stop", "writer") == (0, "applied: writer is stopped\n")
    assert said(capsys, "resume", "writer")[0] == 0
    code, text = said(capsys, "resume", "writer")
    assert (code, text) == (1, "refused: writer runs: there is nothing to resume\n")
    code, text = said(capsys, "hold", "writer", "--text", "until noon")
    assert (code, text.endswith(" holds writer: until noon. Start it?\n")) == (0, True), text
    assert said(capsys, "send", "writer", "Letter", '{"text": "it waits"}')[0] == 0
    assert said(capsys, "resume", "writer")[0] == 0
    assert said(capsys, "run-now", "writer") == (
        1,
        "refused: writer has no @every and no @at method; tell it a message\n",
    )
    assert said(capsys, "drain", "writer") == (0, "applied: writer is drained\n")
    assert said(capsys, "stop") == (0, "applied: the tree has stopped\n")
    assert running.end() == 0
    ended = json.loads(running.lines[-1])["ended"]
    assert re.fullmatch(r"ended in order \(.+ \(process \d+\) asked for it\)", ended)
    assert main(["send", "desk.db", "writer", "Letter", '{"text": "late"}']) == 2
    assert "nobody runs a tree on desk.db (closed in order by " in capsys.readouterr().err


def test_what_is_told_is_utf_8_whatever_the_locale(running: Running, capsys: pytest.CaptureFixture[str]) -> None:
    """Where that knows no more than ASCII, Python gives each byte of the rest as half of a character."""
    halves = '{"text": "böse"}'.encode().decode("ascii", "surrogateescape")
    assert said(capsys, "send", "writer", "Letter", halves)[0] == 0
    assert said(capsys, "ask", "writer", "Count", '{"word": "böse"}') == (0, '{\n  "böse": 1\n}\n')
    assert main(["send", "desk.db", "writer", "Letter", '{"text": "\udcff"}']) == 2
    assert "is no text in UTF-8; write it so, or as JSON with \\u and four digits" in capsys.readouterr().err


def test_an_agent_in_another_process_is_asked(running: Running, capsys: pytest.CaptureFixture[str]) -> None:
    said(capsys, "send", "writer", "Letter", '{"text": "tea for two"}')
    how_many = ("ask", "writer", "Count", '{"word": "tea"}')
    code, text = said(capsys, *how_many)
    assert (code, json.loads(text)) == (0, {"tea": 1})
    found = parsed(capsys, *how_many, "--id", "mine")
    assert found == {"file": "desk.db", "id": "mine", "state": "applied", "reply": {"tea": 1}, "duplicate": False}
    said(capsys, "send", "writer", "Letter", '{"text": "more tea"}')
    assert parsed(capsys, *how_many, "--id", "mine") == {**found, "duplicate": True}
    code, text = said(capsys, "ask", "writer", "Count", '{"word": ""}')
    assert (code, text.startswith("refused: writer: ValueError: no word (")) == (1, True)
    refused = parsed(capsys, "ask", "writer", "Letter", '{"text": "tea"}')
    assert (refused["state"], refused["text"]) == ("refused", "writer: Letter is no Request, and has no reply; send it")


def test_a_process_that_was_killed_is_spoken_to_no_more(running: Running, capsys: pytest.CaptureFixture[str]) -> None:
    running.signal(signal.SIGKILL)
    running.process.wait(30)
    assert main(["stop", "desk.db"]) == 2
    assert "which has died): start it first" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ("send desk.db writer Letter {", "'{' is not JSON"),
        ("send desk.db writer Letter NaN", "'NaN' is not JSON (NaN is not JSON)"),
        (f"send desk.db writer Letter {'[' * 50_000}", f"'{'[' * 200}...' is not JSON ("),
        ("send none.db writer Letter", "there is no journal none.db"),
        ("stop desk.db --within 1e9", "give a number of seconds, at most 86400"),
        ("roll-back desk.db writer", "one of the arguments --to --declared is required"),
        ("resume desk.db /", "resume concerns one slot; name its path, not /"),
        ("signal desk.db writer slow --lasts -4", "-4 is no time to wait; give a positive number of seconds"),
        ("resume desk.db writer --id \x07", "the id of a command is '\\x07'; give one line of text"),
    ],
    ids=range(9),
)
def test_what_cannot_be_asked(
    words: str, complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words.split()) == 2
    assert complaint in capsys.readouterr().err


def test_a_process_that_is_killed_over_a_command_leaves_it_to_the_next_to_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    desk(tmp_path, '{ id = "slow", agent = "cli_agents:Slow" }')
    with begin("run", "desk.toml", "--json", cwd=tmp_path) as process:
        process.event("SupervisorStarted")
        drain = ("drain", "slow", "--id", "mine", "--within", "60")
        asking = threading.Thread(target=main, args=(["drain", "desk.db", *drain[1:]],))
        asking.start()
        with JournalFile.open("desk.db") as journal:
            while journal.answer("mine") != ("taken", ""):
                asking.join(0.02)
        process.signal(signal.SIGKILL)
        process.end()
    with begin("run", "desk.toml", "--json", cwd=tmp_path) as process:
        answered = process.event("CommandAnswered")
        assert (answered["data"]["command"], answered["data"]["applied"]) == ("mine", False)
        asking.join(60)
        assert "unknown: the owner of epoch 1 began it and did not end it." in capsys.readouterr().out
        code, text = said(capsys, *drain)
        assert (code, text.partition(":")[0]) == (1, "duplicate")
        process.signal(signal.SIGINT)
        assert process.end() == 0
