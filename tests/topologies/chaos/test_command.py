"""`treewarden chaos`: what it prints, and its exit codes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from treewarden.topologies.chaos.replaying import Replay
from treewarden.topologies.chaos.reporting import html
from treewarden.topologies.cli import main
from treewarden.topologies.labelling import read_lines

SETS: Final = """
from treewarden.agents import Agent
from treewarden.topologies import child, tree


class Idle(Agent[None]):
    pass


async def test_order(world):
    await world.start(tree(child(Idle)))
    world.fail("the order", " ".join({"one", "two", "three", "four", "five", "six", "seven"}))
"""


@pytest.fixture(autouse=True)
def beside_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.path", [str(Path(__file__).parent), *__import__("sys").path])


def said(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().out


def test_seeds_of_an_own_tree(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    tree = "own:tree/one_for_one/message"
    assert main(["chaos", "run", tree, "--seeds", "5", "--within", "2", "--report", str(page)]) == 0
    assert re.search(r"^own:tree/one_for_one/message: 0 of 5, at most 45 % at 95 % failed; \d+ faults", said(capsys))
    data = json.loads((tmp_path / "report.html.json").read_text("utf-8"))
    assert data["runs"] == 5
    assert page.read_text("utf-8").startswith("<!doctype html>")
    assert "<p>5 runs, " in page.read_text("utf-8")
    assert "<p>1 run, " in html({**data, "runs": 1})


def test_a_failure_is_replayed_and_shrunk(capsys: pytest.CaptureFixture[str]) -> None:
    test = "test_world:forgets"
    assert main(["chaos", "run", test, "--seeds", "20", "--faults", "crash,slow", "--within", "5"]) == 1
    command = next(line for line in said(capsys).splitlines() if "treewarden chaos replay" in line)
    string = command.split()[-1]
    assert main(["chaos", "replay", string]) == 1
    replayed = said(capsys)
    assert "AssertionError" in replayed
    assert "replayed test_world:forgets" in replayed
    assert main(["chaos", "shrink", string, "--most", "10"]) == 1
    assert "faults are needed" in said(capsys)


def test_a_blueprint_in_a_file_is_left_alone(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "desk.py").write_text(
        "from treewarden.agents import Agent, every\n\n\nclass Clerk(Agent[int]):\n    state = 0\n\n"
        "    @every(1.0)\n    def tick(self) -> None:\n        self.state += 1\n",
        "utf-8",
    )
    file = tmp_path / "desk.toml"
    file.write_text('children = [{ id = "clerk", agent = "desk:Clerk" }]\n', "utf-8")
    assert main(["chaos", "sweep", str(file), "--within", "2"]) == 0
    assert "; 0 failed" in said(capsys)
    assert main(["chaos", "label", str(file), "--seeds", "3", "--within", "5"]) == 0
    lines = [json.loads(line) for line in said(capsys).splitlines()]
    assert {line["fault"] for line in lines} == {"kill"}
    assert {line["cause"] for line in lines} == {"transient"}
    labels = tmp_path / "labels.jsonl"
    labels.write_text("\n".join(json.dumps(line) for line in [*lines, {**lines[0], "cause": None}]), "utf-8")
    read = read_lines(str(labels))
    assert [each.incident for each in read] == [line["incident"] for line in lines]
    assert len({each.incident for each in read}) == len(read)
    assert all(each.rehearsed and each.symptoms and each.by == "chaos" for each in read)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["run", "nothing"], "is no topology: give FILE.toml, module:function, or own:NAME"),
        (["run", "own:nothing"], "there is no tree 'nothing'"),
        (["run", "shop:nothing"], "shop:nothing cannot be imported"),
        (["run", "shop:Till"], "is no `async def` that takes a world"),
        (["run", "own:topic/message", "--faults", "rain"], "there is no fault 'rain'"),
        (["replay", "tw1:x"], "is no run to replay, or not all of it"),
        (["sabotage", "--only", "rain"], "there is no mutant 'rain'"),
    ],
)
def test_what_cannot_be_run_is_refused(arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["chaos", *arguments]) == 2
    assert sentence in capsys.readouterr().err


def test_what_was_never_reached_is_not_green(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["chaos", "run", "test_sweep:waits", "--seeds", "1", "--first", "1", "--within", "1"]) == 1
    assert said(capsys).splitlines()[-1] == "never reached: it <rained>"


def test_the_command_says_in_which_order_sets_come(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "test_sets.py").write_text(SETS, "utf-8")
    run = [sys.executable, "-c", "import sys; from treewarden.topologies.cli import main; sys.exit(main())", "chaos"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONHASHSEED"}
    environment["PYTHONPATH"] = str(tmp_path)

    def output(*arguments: str, **more: str) -> str:
        done = subprocess.run(
            [*run, *arguments], capture_output=True, text=True, env={**environment, **more}, check=False
        )
        assert (done.returncode, done.stderr) == (1, "")
        return done.stdout

    found = output("run", "test_sets:test_order", "--seeds", "1", PYTHONHASHSEED="7")
    string = found.splitlines()[-2].split()[-1]
    assert Replay.parse(string).order == "7"
    told = next(line for line in found.splitlines() if line.startswith("the order: "))
    assert told in output("replay", string).splitlines()  # which says 7 for itself
    assert "another" not in output("replay", string, PYTHONHASHSEED="3")
    found = output("run", "test_sets:test_order", "--seeds", "1")
    assert Replay.parse(found.splitlines()[-2].split()[-1]).order == "0"
