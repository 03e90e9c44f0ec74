"""`kill -9` at each place of a chain: what goes on in the next process is in the trace that it was in."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from .trace_victim import PLACES, POINTS

VICTIM = Path(__file__).with_name("trace_victim.py")


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(VICTIM), *words], capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("point", POINTS)
def test_it_is_in_the_trace_that_it_was_in(tmp_path: Path, point: str) -> None:
    journal, seen = str(tmp_path / "tree.db"), tmp_path / "seen"
    killed = run(journal, str(seen), point)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    went_on = run(journal, str(seen), "")
    assert went_on.returncode == 0, went_on.stderr
    lines = [line.split(" ") for line in seen.read_text().splitlines()]
    traces = {of: {trace for each, _, trace in lines if each == of} for of, _, _ in lines}
    assert all(len(each) == 1 and "" not in each for each in traces.values())
    assert len(set[str]().union(*traces.values())) == len(traces)
    assert {place for of, place, _ in lines if of == "1"} == set(PLACES)
