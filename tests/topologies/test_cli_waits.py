"""Approvals from the command line: listed, and ruled about in a tree that runs and in a file that none has open."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any, Final

import pytest
import trio

from treewarden.agents.core.approval import Refused
from treewarden.agents.core.path import ROOT
from treewarden.supervisor.common import LoopClock
from treewarden.supervisor.ruling import rule_at_rest
from treewarden.topologies.cli import main
from treewarden.topologies.open import journal_in

from .cli_desk import COMMAND, Running, begin, desk, said

MODULE: Final = """
from attrs import frozen
from treewarden.agents import Agent, handles

@frozen
class Pay:
    to: str
    cents: int
    token: str = ""

@frozen
class Ended:
    how: str
    approved: bool

class Payments(Agent[int]):
    state = 0

    @handles
    async def pay(self, message: Pay) -> None:
        ruling = await self.approval("pay", about=message, subject=message.to)
        self.state += message.cents if ruling.approved else 0
        self.record(Ended(type(ruling).__name__, ruling.approved))
"""
SECRET: Final = "s3cr3t-0123456789"


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Running]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cli_payments.py").write_text(MODULE)
    desk(tmp_path, '{ id = "payments", agent = "cli_payments:Payments" }')
    with begin("run", "desk.toml", "--json", cwd=tmp_path) as process:
        process.event("SupervisorStarted")
        pay = json.dumps({"to": "bob", "cents": 500, "token": SECRET})
        assert main(["send", "desk.db", "payments", "Pay", pay]) == 0
        process.event("ApprovalNoted")
        yield process


def listed(capsys: pytest.CaptureFixture[str]) -> list[Any]:
    return json.loads(said(capsys, "waits", "--json")[1])["waits"]


def test_it_is_listed_and_ruled_about(running: Running, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = said(capsys, "waits", "payments")
    assert code == 0
    assert re.fullmatch(
        r"\S+ \S+  payments  pay of Pay [0-9a-f]+-1  key [0-9a-f]{12}  until \S+ \S+  of bob  "
        r'cli_payments:Pay \{"to":"bob","cents":500,"token":"s3cr3t-0123456789"\}\n',
        text,
    )
    (found,) = listed(capsys)
    assert json.loads(said(capsys, "waits", "--json")[1])["running"] is True
    assert (found["path"], found["wait"], found["what"], found["kind"]) == ("payments", "pay", "approval", "Pay")
    assert found["about"] == {"to": "bob", "cents": 500, "token": SECRET}
    assert said(capsys, "send", "paymens", "Pay", "{}")[0] == 1
    for word in ("waits", "effects", "dead-letters", "why", "tree"):  # which the refusal has not made a slot
        code, text = said(capsys, word, "paymens")
        assert (code, text.partition("; ")[2]) == (2, "did you mean payments?\n")
    code, text = said(capsys, "approve", "payments", "--key", "0" * 12, "--by", "ada")
    assert code == 1
    assert f"no approval with the key '{'0' * 12}' waits there, but {found['key']} (pay of Pay)" in text
    code, text = said(capsys, "approve", "payments", "--key", found["key"], "--by", "")
    assert code == 2
    assert "by is ''" in text
    words = ("approve", "payments", "--key", found["key"], "--by", "ada", "--comment", "well", "--id", "7")
    assert said(capsys, *words) == (0, f"applied: payments: the pay of Pay {found['message']} is approved by ada\n")
    assert running.event("Recorded")["data"]["facts"] == {"approved": True, "how": "Approved"}
    assert said(capsys, *words)[1].startswith("duplicate: payments: the pay of Pay")
    code, text = said(capsys, "refuse", "payments", "--key", found["key"], "--by", "eve")
    assert code == 1
    assert text.startswith(f"refused: payments: the pay for {found['message']} was approved by ada at ")
    assert said(capsys, "waits") == (0, "desk.db: nobody waits\n")
    assert main(["journal", "show", "desk.db", "--kind", "ApprovalNoted"]) == 0
    asked, approved = capsys.readouterr().out.splitlines()
    assert "pay of bob for " in asked
    assert '"cents":500' in asked
    assert approved.endswith(f"approved, says ada (key {found['key']}): well")


@pytest.mark.parametrize("down", ["stopped", "killed"])
@pytest.mark.parametrize("word", ["approve", "refuse"])
def test_it_is_ruled_about_where_no_tree_runs(
    running: Running, down: str, word: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    if down == "stopped":
        assert said(capsys, "stop")[0] == 0
    else:
        running.signal(signal.SIGKILL)
        running.end()
    (found,) = listed(capsys)
    text = ("--comment", "well") if word == "approve" else ("--reason", "no")
    words = (word, "payments", "--key", found["key"], "--by", "ada", *text)
    code, printed = said(capsys, *words, "--id", "1")
    assert code == 2
    assert "only a tree that runs remembers an id; leave --id out, or start it first" in printed
    code, printed = said(capsys, *words)
    what = "approved" if word == "approve" else "refused"
    said_so = f"payments: the pay of Pay {found['message']} is {what} by ada, from the next start on\n"
    assert (code, printed) == (0, f"applied: {said_so}")
    code, printed = said(capsys, "refuse", "payments", "--key", found["key"], "--by", "eve")
    assert code == 1
    assert printed.startswith(f"refused: payments: the pay of Pay {found['message']} was {what} by ada at ")
    assert listed(capsys) == []
    assert main(["journal", "verify", "desk.db"]) == 0
    with begin("run", "desk.toml", "--json", cwd=tmp_path) as process:
        facts = process.event("Recorded")["data"]["facts"]
        assert facts == {"approved": word == "approve", "how": what.capitalize()}


def test_two_processes_rule_at_once(running: Running, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert said(capsys, "stop")[0] == 0
    (found,) = listed(capsys)
    rulers = [
        subprocess.Popen(
            [sys.executable, "-c", COMMAND, word, "desk.db", "payments", "--key", found["key"],
             "--by", word, "--json", "--within", "60"],
            cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for word in ("approve", "refuse")
    ]  # fmt: skip
    printed = [ruler.communicate(timeout=120) for ruler in rulers]
    assert sorted(ruler.returncode for ruler in rulers) == [0, 1], printed
    assert " was approved by approve at " in str(printed) or " was refused by refuse at " in str(printed)
    assert main(["journal", "show", "desk.db", "--kind", "ApprovalNoted"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2, "asked, and one ruling"
    assert listed(capsys) == []


@pytest.mark.parametrize(
    ("down", "before"),
    [("stopped", False), ("stopped", True), ("killed", False)],
    ids=["nothing", "a ruling", "nothing, after a kill"],
)
def test_who_owned_the_file_for_a_moment_leaves_it_to_who_asks(
    running: Running, down: str, before: bool, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Another word at the same moment owns it, and closes it without a look at what it was sent."""
    if down == "stopped":
        assert said(capsys, "stop")[0] == 0
    else:
        running.signal(signal.SIGKILL)
        running.end()
    (found,) = listed(capsys)
    words = [sys.executable, "-c", COMMAND, "approve", "desk.db", "payments", "--key", found["key"], "--by", "ada"]

    def ask() -> subprocess.Popen[str]:
        return subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    async def visit() -> subprocess.Popen[str]:
        clock = LoopClock(time.time)
        async with journal_in("desk.db", clock, visits=True) as journal:
            asking = ask()
            with trio.fail_after(60):
                await journal.commands()
            if before:
                await rule_at_rest(journal, clock, ROOT, Refused(by="eve", reason="no"), found["key"])
        return asking

    asking = trio.run(visit)
    printed, _ = asking.communicate(timeout=120)
    if before:
        assert asking.returncode == 1
        assert printed.startswith(f"refused: payments: the pay of Pay {found['message']} was refused by eve at ")
    else:
        assert (asking.returncode, printed[:9]) == (0, "applied: ")
    assert listed(capsys) == []


def test_copies_know_it_and_an_export_hides_what_is_secret(
    running: Running, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said(capsys, "stop")[0] == 0
    (found,) = listed(capsys)
    assert main(["journal", "export", "desk.db", "-o", "desk.jsonl", "--secret", "token"]) == 0
    assert SECRET not in Path("desk.jsonl").read_text()
    assert main(["journal", "export", "desk.db", "-o", "whole.jsonl"]) == 0
    assert main(["journal", "import", "whole.jsonl", "copy.db"]) == 0
    assert main(["journal", "fork", "desk.db", "fork.db"]) == 0
    for file in ("copy.db", "fork.db"):
        capsys.readouterr()
        assert main(["waits", file, "--json"]) == 0
        (copy,) = json.loads(capsys.readouterr().out)["waits"]
        assert (copy["key"], copy["about"]) == (found["key"], found["about"])
        assert main(["approve", file, "payments", "--key", copy["key"], "--by", "ada"]) == 0
        assert main(["journal", "verify", file]) == 0
        assert main(["journal", "check-code", file]) == 0
    assert listed(capsys) == [found]
