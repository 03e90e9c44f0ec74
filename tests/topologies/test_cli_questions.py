"""Questions from the command line: shown, and answered in a tree that runs and in a file that none has open."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Generator
from pathlib import Path
from typing import Any, Final

import pytest

from treewarden.topologies.cli import main

from .cli_desk import Running, begin, desk, said

MODULE: Final = """
from attrs import frozen
from treewarden.agents import Agent, Answered, handles

@frozen
class Buy:
    boxes: int

@frozen
class Bought:
    of: str

class Buyer(Agent[int]):
    state = 0

    @handles
    async def buy(self, message: Buy) -> None:
        end = await self.ask_person("supplier", f"Who sends {message.boxes} boxes?", choices=("ups", "dhl"))
        self.record(Bought(end.value if isinstance(end, Answered) else type(end).__name__))
"""


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Running]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cli_buyer.py").write_text(MODULE)
    desk(tmp_path, '{ id = "buyer", agent = "cli_buyer:Buyer" }')
    with begin("run", "desk.toml", "--json", cwd=tmp_path) as process:
        process.event("SupervisorStarted")
        assert main(["send", "desk.db", "buyer", "Buy", '{"boxes": 40}']) == 0
        process.event("ApprovalNoted")
        yield process


def listed(capsys: pytest.CaptureFixture[str]) -> list[Any]:
    return json.loads(said(capsys, "waits", "--json")[1])["waits"]


def test_it_is_shown_and_answered(running: Running, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = said(capsys, "waits")
    assert code == 0
    line = r"\S+ \S+  buyer  supplier of Buy \S+  key [0-9a-f]{12}  until \S+ \S+  Who sends 40 boxes\?  ups \| dhl\n"
    assert re.fullmatch(line, text)
    (found,) = listed(capsys)
    about = {"prompt": "Who sends 40 boxes?", "choices": ["ups", "dhl"], "returns": "str"}
    assert (found["what"], found["about"]) == ("question", about)
    words = ("answer", "buyer", "--key", found["key"], "--by", "ada", "--say")
    code, text = said(capsys, *words, "usp")
    assert (code, text.partition(": the answer ")[2]) == (
        1, "'usp' is none of the choices; did you mean 'ups'? They are ups and dhl\n"
    )  # fmt: skip
    code, text = said(capsys, "answer", "buyer", "--say", "ups")
    assert code == 1
    assert f"name the key of what is answered, so that it is what was shown: {found['key']} (supplier of Buy)" in text
    code, text = said(capsys, "approve", "buyer", "--key", found["key"])
    assert code == 1
    assert "is a question, which nobody approves" in text
    code, text = said(capsys, "answer", "buyer", "--give-up", "--by", "ada")
    assert code == 2
    assert "--by is 'ada', and only what is said with --say has it; leave it out" in text
    assert listed(capsys) == [found]
    assert said(capsys, *words, "ups", "--id", "7") == (
        0, f"applied: buyer: the supplier of Buy {found['message']} is answered by ada\n"
    )  # fmt: skip
    assert running.event("Recorded")["data"]["facts"] == {"of": "ups"}
    assert said(capsys, *words, "ups", "--id", "7")[1].startswith("duplicate: ")
    code, text = said(capsys, *words, "dhl")
    assert code == 1
    assert re.search(r"was answered by ada at \S+ \S+: 'ups'$", text.strip())
    assert main(["journal", "show", "desk.db", "--kind", "ApprovalNoted"]) == 0
    assert f'answered, says ada (key {found["key"]}): answer "ups"' in capsys.readouterr().out


def test_it_is_answered_after_a_kill(running: Running, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    running.signal(signal.SIGKILL)
    running.end()
    (found,) = listed(capsys)
    words = ("answer", "buyer", "--key", found["key"], "--by", "ada", "--say")
    assert said(capsys, *words, "usp")[0] == 1
    assert listed(capsys) == [found], "what does not fit has changed nothing"
    of = f"buyer: the supplier of Buy {found['message']}"
    assert said(capsys, *words, "dhl") == (0, f"applied: {of} is answered by ada, from the next start on\n")
    code, text = said(capsys, *words, "ups")
    assert code == 1
    assert re.fullmatch(rf"refused: {of} was answered by ada at \S+ \S+: 'dhl'\n", text)
    assert listed(capsys) == []
    assert main(["journal", "verify", "desk.db"]) == 0
    assert main(["journal", "check-code", "desk.db"]) == 0
    with begin("run", "desk.toml", "--json", cwd=tmp_path) as process:
        assert process.event("Recorded")["data"]["facts"] == {"of": "dhl"}
