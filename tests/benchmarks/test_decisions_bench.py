"""The benchmark of decisions works and counts right. How fast it is: `make bench-decisions`, not asserted here."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import decided
import decisions
import pytest
from attrs import evolve
from decided import AGENTS, crash_in_memory, fold_in_tree
from harness import Measured, Run, Series, Unit, in_process, once
from ours import Counter, everything_on
from report import Line
from work import Crash, Miscounted, Tally

from treewarden.agents.agent import handles
from treewarden.supervisor import ChildSpec

NAMES = [row.name for row in decisions.rows(Path())]


@pytest.mark.parametrize("name", NAMES[2:])
async def test_each_case_does_what_it_counts(name: str, tmp_path: Path) -> None:
    (row,) = [row for row in decisions.rows(tmp_path) if row.name == name]
    for size in (row.sizes.tiny, AGENTS // 2 + 1):
        measured = await once(row.ours, Run(size), within=60)
        assert measured.count == size
        assert measured.cpu > 0


async def test_latencies_are_those_of_decisions_in_races() -> None:
    for name in ("ladder", "belief"):
        (row,) = [row for row in decisions.rows(Path()) if row.name == name]
        measured = await once(row.ours, Run(row.sizes.tiny), within=60)
        assert measured.count > 20
        assert measured.value is not None
        assert measured.value > 0


async def test_a_child_that_does_not_come_back_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Forgetful(Counter):
        """One that swallows what it was to die of, and counts the next message."""

        @handles
        def crash(self, message: Crash) -> None: ...

    def one(id: str, tally: Tally) -> ChildSpec:
        return everything_on(id, tally, agent=Forgetful)

    monkeypatch.setattr(decided, "everything_on", one)
    with pytest.raises(Miscounted, match="3 crashed, 0 restarts decided, 0 noted and 0 done"):
        await once(crash_in_memory, Run(3), within=60)


async def test_a_signal_about_which_nothing_is_decided_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """All in one trouble: what they share is broken, and then the rest waits with it."""
    monkeypatch.setattr(decided, "trouble_of", dict.fromkeys(range(AGENTS), "slow").get)
    monkeypatch.setattr(decided, "MILD", decided.SEVERE)
    with pytest.raises(Miscounted, match="150 signals about 100 agents came to"):
        await once(fold_in_tree, Run(150), within=60)


def test_the_table_says_both_clocks_and_what_was_missed() -> None:
    row = evolve(decisions.rows(Path())[2], bar=100.0)
    slow = Line(row, Series("treewarden", Unit.PER_SECOND, runs=[Measured(100, 0.5, 2.0, 50.0)]))
    text = decisions.as_table([slow, Line(row, Series("treewarden", Unit.PER_SECOND, error="Miscounted: no"))])
    assert " ".join(text.splitlines()[1].split()) == "signal-disk ≥ 100 50.0 50.0 - 50.0 200 50.0 FAIL"
    assert "no number  FAIL" in text
    assert "Miscounted: no" in text


def test_the_command_measures_and_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, plot = tmp_path / "found.json", tmp_path / "made" / "plot.svg"
    arguments = ["--quick", "--only", "crash-memory", "--folder", str(tmp_path / "here"), "--json", str(data)]
    assert decisions.main([*arguments, "--plot", str(plot)]) == 0
    (row,) = json.loads(data.read_text("utf-8"))["rows"]
    assert row["name"] == "crash-memory"
    assert row["contenders"][0]["runs"][0]["count"] == 1_000
    ElementTree.fromstring(plot.read_text("utf-8"))
    assert "crash-memory" in capsys.readouterr().out


def test_no_file_is_left_behind(tmp_path: Path) -> None:
    for name in ("signal-disk", "crash-disk"):
        (row,) = [row for row in decisions.rows(tmp_path) if row.name == name]
        assert in_process(row.ours, row.sizes.tiny).count == row.sizes.tiny
    assert list(tmp_path.iterdir()) == []


def test_rows_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert decisions.main(["--list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == NAMES


@pytest.mark.parametrize("arguments", [["--repeat", "0"], ["--only", "nothing"]], ids=" ".join)
def test_a_command_line_that_cannot_work_is_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        decisions.main(arguments)
