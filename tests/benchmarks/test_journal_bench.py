"""The journal's benchmark works and counts right. How fast it is, is not asserted: `make bench-journal` says that."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from xml.etree import ElementTree

import journal
import pytest
from durable import TEXT, ask_alone, ask_at_a_rate, ask_many, bytes_each, chain, floor, tell_many, verify
from figures import Figures
from journal_report import Bar, Found, as_svg, as_text, verdict
from machine import on_one_processor
from plain import plain_at_a_rate


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "tree.db"


async def test_each_case_does_what_it_counts(tmp_path: Path) -> None:
    alone = await ask_alone(tmp_path / "1.db", 20)
    assert alone.transactions in (1.0, 1.05)  # on a busy machine a renewal of the lease comes in between
    assert alone.value > 0
    for number, case in enumerate((tell_many, ask_many(5), chain, verify), 2):
        figures = await case(tmp_path / f"{number}.db", 50)
        assert figures.value > 0
    assert (await ask_at_a_rate(5, 1.0)(tmp_path / "p99.db", 400, 1000.0)).p99 is not None


async def test_the_same_duty_without_treewarden(file: Path) -> None:
    assert await plain_at_a_rate(file, 5, 10_000.0, 800) > 0
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("SELECT count(*), min(length(body)) FROM rows").fetchone() == (5, len(TEXT))
    row = Found("row", "a row", Bar(10.0, "ms", low=True))
    row.add(Figures(12.0, plain=7.5), 100.0)
    facts = {"floor": 100.0, "capped": False, "lowest": 90.0, "highest": 110.0, "processor": None, "busy": None}
    assert "plain 7.5 ms" in as_text([row], facts)


def test_who_is_refused_is_told_by_whom(tmp_path: Path) -> None:
    """The measure itself holds what the second process is told against the owner's number."""
    (row,) = [row for row in journal.ROWS if row.name == "refused"]
    assert row.measure(journal.Bench(tmp_path, quick=True), 3, 100.0).value > 0


async def test_bytes_are_those_of_the_settles(tmp_path: Path) -> None:
    assert (await bytes_each(tmp_path / "1.db", 300, unchanged=False)).value > 300
    assert (await bytes_each(tmp_path / "2.db", 50, unchanged=True)).value < 1000


def test_the_floor_is_a_rate(file: Path) -> None:
    assert floor(file, 0.01) > 0


def found(bar: Bar, *values: float, floor: float = 100.0) -> Found:
    row = Found("row", "a row", bar)
    for value in values:
        row.add(Figures(value, p99=5.0, stall=15.0), floor)
    return row


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (found(Bar(2.0), 190.0, 250.0, 260.0), "PASS"),
        (found(Bar(2.0), 190.0, 199.0, 260.0), "FAIL"),
        (found(Bar(2.0, p99=10.0, stall=20.0), 300.0), "PASS"),
        (found(Bar(2.0, p99=4.0), 300.0), "FAIL"),
        (found(Bar(2.0, stall=14.0), 300.0), "FAIL"),
        (found(Bar(110.0, "ms", low=True), 109.0), "PASS"),
        (found(Bar(110.0, "ms", low=True), 111.0), "FAIL"),
        (found(Bar(1.3, "other", low=True), 111.0), "FAIL"),
    ],
)
def test_medians_are_held_against_the_bar(row: Found, said: str) -> None:
    assert verdict(row) == said


def test_a_row_may_be_compared_with_another() -> None:
    row = found(Bar(1.3, "other", low=True), 120.0)
    row.beside = 100.0
    assert (row.median, verdict(row)) == (1.2, "PASS")


def test_the_report_says_when_the_disk_is_too_fast_to_be_true() -> None:
    facts = {"floor": 12_000.0, "capped": True, "lowest": 11_000.0, "highest": 13_000.0, "processor": 3, "busy": None}
    text = as_text([found(Bar(2.0), 250.0)], facts)
    assert "F = 12,000 one-row commits/s" in text
    assert "it counts as 10,000" in text
    assert "Kept on one processor, number 3" in text
    assert "2.5F" in text
    ElementTree.fromstring(as_svg([found(Bar(2.0), 250.0)], "title"))


def test_the_command_measures_and_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, plot = tmp_path / "found.json", tmp_path / "made" / "plot.svg"
    arguments = ["--quick", "--only", "bytes-same", "--folder", str(tmp_path / "here"), "--json", str(data)]
    assert journal.main([*arguments, "--plot", str(plot), "--processors", "all"]) == 0
    (row,) = json.loads(data.read_text("utf-8"))["rows"]
    assert row["name"] == "bytes-same"
    assert plot.read_text("utf-8").startswith("<svg")
    said = capsys.readouterr().out
    assert "bytes-same" in said
    assert "Kept on one processor" not in said
    assert list((tmp_path / "here").iterdir()) == []


def test_it_keeps_to_one_processor_unless_told_otherwise(tmp_path: Path) -> None:
    """In a process of its own: threads that are kept for the next call would stay where they began."""
    row = [sys.executable, str(Path(journal.__file__)), "--quick", "--only", "bytes-same"]
    row += ["--folder", str(tmp_path), "--plot", str(tmp_path / "plot.svg")]
    ended = subprocess.run(row, capture_output=True, text=True, check=True, timeout=60)
    with on_one_processor() as number:
        assert (f"Kept on one processor, number {number}; " in ended.stdout) == (number is not None)


def allowed() -> set[int]:
    return os.sched_getaffinity(0) if sys.platform == "linux" else set()


def test_the_processors_come_back() -> None:
    before = allowed()
    with on_one_processor() as number:
        assert allowed() == (before if number is None else {number})
    assert allowed() == before


@pytest.mark.parametrize("arguments", [["--repeat", "0"], ["--only", "nothing"]], ids=" ".join)
def test_a_command_line_that_cannot_work_is_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        journal.main(arguments)
