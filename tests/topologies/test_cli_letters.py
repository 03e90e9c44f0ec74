"""Dead letters from the command line: listed, and put back into a tree that runs."""

from __future__ import annotations

import json
import re
from collections.abc import Generator
from pathlib import Path
from typing import Any, Final

import pytest

from treewarden.topologies.cli import main

from .cli_desk import Running, begin, desk, said

MODULE: Final = """
from pathlib import Path
from attrs import frozen
from treewarden.agents import Agent, handles

@frozen
class Load:
    what: str

@frozen
class Loaded:
    what: str

class Truck(Agent[int]):
    state = 0

    @handles
    async def load(self, message: Load) -> None:
        if not Path("mended").exists():
            raise RuntimeError("it broke")
        self.state += 1
        self.record(Loaded(message.what))
"""
WHAT: Final = ("glass", "wood", "sand")


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Running]:
    """Two trucks, one of which could load nothing of three."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cli_truck.py").write_text(MODULE)
    trucks = ('{ id = "truck", agent = "cli_truck:Truck" }', '{ id = "van", agent = "cli_truck:Truck" }')
    desk(tmp_path, *trucks, options='restarts = { max_restarts = 100, within = 1 }\npolicy = "otp"')
    with begin("run", "desk.toml", "--json", cwd=tmp_path) as process:
        process.event("SupervisorStarted")
        for what in WHAT:
            assert main(["send", "desk.db", "truck", "Load", json.dumps({"what": what})]) == 0
            process.event("DeadLettered")
        yield process


def listed(capsys: pytest.CaptureFixture[str], *words: str) -> list[dict[str, Any]]:
    return json.loads(said(capsys, "dead-letters", *words, "--json")[1])["dead_letters"]


def test_they_are_listed(running: Running, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = said(capsys, "dead-letters", "truck")
    assert code == 0
    assert [line.split("  ")[1] for line in text.splitlines()] == ["truck"] * 3
    assert re.match(
        r"\S+ \S+  truck  Load [0-9a-f]+-\d+  its handler failed 2 times; the last time: RuntimeError", text
    )
    found = listed(capsys)
    assert [each["body"] for each in found] == [{"what": what} for what in WHAT]
    assert {(each["path"], each["kind"], each["sender"]) for each in found} == {("truck", "cli_truck:Load", None)}
    assert listed(capsys, "--last", "1") == found[-1:]
    assert json.loads(said(capsys, "dead-letters", "--json")[1])["running"] is True
    assert said(capsys, "dead-letters", "van") == (
        0,
        "desk.db: on disk no message of van was given up, or all were put back\n"
        "  of mailboxes in memory only events tell: treewarden journal show --kind DeadLettered\n",
    )
    code, text = said(capsys, "dead-letters", "vans")
    assert code == 2
    assert "desk.db: no slot vans was ever in this tree; did you mean van?" in text


def test_one_is_put_back_and_then_the_others(running: Running, capsys: pytest.CaptureFixture[str]) -> None:
    Path("mended").touch()
    second = listed(capsys)[1]["message"]
    code, text = said(capsys, "replay", "van", second)
    assert (code, text) == (1, f"refused: {second} was given up at truck, and not at van; name that\n")
    code, text = said(capsys, "replay", "truck", second)
    assert code == 0
    assert re.fullmatch(rf"applied: truck: {second} is put back, as {second}/\d+\n", text)
    assert running.event("Recorded")["data"]["facts"] == {"what": "wood"}
    code, text = said(capsys, "replay", "truck", second)
    assert code == 1
    assert f"truck: no dead letter has the id {second}; `treewarden dead-letters FILE.db truck` shows" in text
    assert said(capsys, "replay", "/") == (0, "applied: /: 2 dead letters put back\n")
    assert [running.event("Recorded")["data"]["facts"]["what"] for _ in range(2)] == ["glass", "sand"]
    code, text = said(capsys, "replay", "truck")
    assert (code, listed(capsys)) == (1, [])
    assert text.startswith("refused: truck: nothing that was given up waits; ")


def test_it_says_how_many_were_put_back_before_one_was_refused(
    running: Running, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said(capsys, "stop", "truck")[0] == 0
    assert said(capsys, "send", "van", "Load", '{"what": "stone"}')[0] == 0
    assert running.event("DeadLettered")["path"] == "van"
    Path("mended").touch()
    code, text = said(capsys, "replay", "/")
    assert code == 1
    assert text.startswith("refused: truck")
    assert len(listed(capsys)) == 4
    assert said(capsys, "resume", "truck")[0] == 0
    assert said(capsys, "replay", "/") == (0, "applied: /: 4 dead letters put back\n")


def test_where_no_tree_runs_they_are_listed_and_stay(running: Running, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "stop")[0] == 0
    found = listed(capsys)
    assert len(found) == 3
    code, text = said(capsys, "replay", "truck")
    assert code == 2
    assert "nobody runs a tree on desk.db" in text
    assert listed(capsys) == found
