"""Effects in doubt from the command line: listed, and answered in a tree that runs and in a file that none has open."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Generator
from pathlib import Path
from typing import Final

import pytest

from treewarden.topologies.cli import main

from .cli_desk import Running, begin, desk, said

MODULE: Final = """
from pathlib import Path
import trio
from attrs import frozen
from treewarden.agents import Agent, handles

@frozen
class Pay:
    cents: int

@frozen
class Receipt:
    id: str

@frozen
class Got:
    receipt: Receipt

class Bank(Agent[int]):
    state = 0

    @handles
    async def pay(self, message: Pay) -> None:
        async def charge(key: str) -> Receipt:
            with Path("outside").open("a") as outside:
                outside.write(key + "\\n")
            if Path("waits").exists():
                await trio.sleep_forever()
            if not Path("works").exists():
                raise ConnectionError("the line went dead")
            return Receipt(key)

        receipt = await self.effect("charge", charge)
        self.state += message.cents
        self.record(Got(receipt))
"""


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Running]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cli_bank.py").write_text(MODULE)
    desk(tmp_path, '{ id = "bank", agent = "cli_bank:Bank" }')
    with begin("run", "desk.toml", "--json", cwd=tmp_path) as process:
        process.event("SupervisorStarted")
        assert main(["send", "desk.db", "bank", "Pay", '{"cents": 500}']) == 0
        process.event("QuestionAsked")
        yield process


def test_it_is_listed_and_answered(running: Running, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = said(capsys, "effects")
    assert code == 0
    assert re.fullmatch(
        r"\S+ \S+  bank  charge of Pay [0-9a-f]+-1  key [0-9a-f]{32}  held: waits for an answer\n", text
    )
    (found,) = json.loads(said(capsys, "effects", "bank", "--json")[1])["effects"]
    assert (found["path"], found["effect"], found["kind"], found["held"]) == ("bank", "charge", "Pay", True)
    code, text = said(capsys, "effects", "banks")
    assert code == 2
    assert "desk.db: no slot banks was ever in this tree; did you mean bank?" in text
    assert found["key"] == Path("outside").read_text().strip()
    code, text = said(capsys, "answer", "bank", "--done", "5")
    assert code == 1
    assert text.startswith("refused: bank: 'charge' does not return 5: ")
    code, text = said(capsys, "answer", "bank", "--done", "{", "--key", found["key"])
    assert code == 2
    assert "'{' is no JSON" in text
    code, text = said(capsys, "answer", "bank", "--done", '{"id": "4711"}', "--key", found["key"])
    assert (code, text) == (0, f"applied: bank: the charge of Pay {found['message']} is done\n")
    assert running.event("Recorded")["data"]["facts"] == {"receipt": {"id": "4711"}}
    assert said(capsys, "effects") == (0, "desk.db: no effect is in doubt\n")
    code, text = said(capsys, "answer", "bank", "--not-done")
    assert code == 1
    assert "bank: no effect is in doubt there" in text


@pytest.mark.parametrize("answer", ["--done", "--not-done", "--give-up"])
def test_it_is_answered_where_no_tree_runs(
    running: Running, answer: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert said(capsys, "stop")[0] == 0
    (found,) = json.loads(said(capsys, "effects", "--json")[1])["effects"]
    words = [answer, '{"id": "4711"}'] if answer == "--done" else [answer]
    code, text = said(capsys, "answer", "bank", *words, "--key", "x")
    assert code == 1
    assert text.startswith("refused: bank: ")
    assert f"no effect has the key x there, but {found['key']}; " in text
    code, text = said(capsys, "answer", "bank", *words, "--id", "1")
    assert code == 2
    assert "nobody runs a tree on desk.db (closed in order by " in text
    assert "only a tree that runs remembers an id; leave --id out, or start it first" in text
    code, text = said(capsys, "answer", "bank", *words)
    assert code == 0
    assert text.endswith("from the next start on\n")
    assert main(["journal", "verify", "desk.db"]) == 0
    Path("works").touch()
    with begin("run", "desk.toml", "--json", cwd=tmp_path) as process:
        if answer == "--give-up":
            process.event("SupervisorStarted")
            assert said(capsys, "tree", "--json")[0] == 0
        else:
            id = "4711" if answer == "--done" else found["key"]
            assert process.event("Recorded")["data"]["facts"] == {"receipt": {"id": id}}
        assert said(capsys, "effects") == (0, "desk.db: no effect is in doubt\n")
    assert len(Path("outside").read_text().split()) == (2 if answer == "--not-done" else 1)


def test_check_code_and_a_copy_know_it(running: Running, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "stop")[0] == 0
    capsys.readouterr()
    assert main(["journal", "check-code", "desk.db"]) == 0
    assert "1 effect" in capsys.readouterr().out
    assert main(["journal", "export", "desk.db", "-o", "desk.jsonl"]) == 0
    assert main(["journal", "import", "desk.jsonl", "copy.db"]) == 0
    assert main(["journal", "fork", "desk.db", "fork.db"]) == 0
    assert main(["journal", "compact", "copy.db"]) == 0
    for file in ("copy.db", "fork.db"):
        assert main(["journal", "verify", file]) == 0
        capsys.readouterr()
        assert main(["effects", file]) == 0
        assert "bank  charge of Pay" in capsys.readouterr().out
    assert main(["answer", "copy.db", "bank", "--done", '{"id": "4711"}']) == 0
    assert main(["journal", "check-code", "copy.db"]) == 0
    assert main(["journal", "verify", "copy.db"]) == 0


def test_what_is_under_way_waits_for_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not even where its process has died: the next one says what is to be asked."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cli_bank.py").write_text(MODULE)
    (tmp_path / "waits").touch()
    desk(tmp_path, '{ id = "bank", agent = "cli_bank:Bank" }')
    with begin("run", "desk.toml", "--json", cwd=tmp_path) as process:
        process.event("SupervisorStarted")
        assert main(["send", "desk.db", "bank", "Pay", '{"cents": 500}']) == 0
        process.event("EffectNoted")
        assert said(capsys, "effects")[1].endswith("  perhaps under way\n")
        (found,) = json.loads(said(capsys, "effects", "--json")[1])["effects"]
        assert not found["held"]
        process.signal(signal.SIGKILL)
        process.end()
        assert re.search(r"key [0-9a-f]{32}\n$", said(capsys, "effects")[1])
