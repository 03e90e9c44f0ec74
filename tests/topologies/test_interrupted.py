"""Ctrl-C in real processes: wherever it comes, the tree ends soon, in order where that is possible, and says why."""

from __future__ import annotations

import pathlib
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

PROGRAM = pathlib.Path(__file__).with_name("interrupted_tree.py")
LONG = 60
"""Seconds after which something hangs: none of these takes one, but the machine may be busy."""


def lines_until_ready(process: subprocess.Popen[str]) -> Iterator[str]:
    assert process.stdout is not None
    for line in process.stdout:
        if line == "READY\n":
            return
        yield line.rstrip()
    raise AssertionError("it ended before it was ready")


def interrupted(where: str, *arguments: str, again: bool = False) -> tuple[list[str], list[str]]:
    """What it said before and after Ctrl-C; `again`: Ctrl-C until it ends."""
    command = [sys.executable, str(PROGRAM), where, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            before = list(lines_until_ready(process))
            process.send_signal(signal.SIGINT)
            for _ in range(100 * again):
                try:
                    process.wait(0.2)
                except subprocess.TimeoutExpired:
                    process.send_signal(signal.SIGINT)
                else:
                    break
            said, _ = process.communicate(timeout=LONG)
        finally:
            process.kill()
        assert process.returncode == 130 or (again and process.returncode == -signal.SIGINT)
    return before, said.splitlines()


def raised(after: list[str]) -> list[str]:
    """What came out of the tree: in any order, for trio goes on with tasks of one moment in any."""
    word, *kinds = after[-1].split()
    assert word == "RAISED"
    return kinds


@pytest.mark.parametrize(
    ("where", "begun"),
    [
        ("on_start", ["one"]),
        ("on_start of a supervisor", ["one"]),
        ("below: on_start", ["one", "s/n"]),
    ],
)
def test_while_a_tree_opens_who_has_begun_is_stopped_in_order(where: str, begun: list[str]) -> None:
    """Nobody waits for the start that was under way, which would have had 100 seconds, and nobody else starts."""
    before, after = interrupted(where)
    assert [line for line in before if "slow" not in line] == [f"+ {path}" for path in begun]
    assert after == [*(f"- {path}" for path in reversed(begun)), "RAISED KeyboardInterrupt"]


@pytest.mark.parametrize("where", ["block", "drain", "handler"])
def test_a_tree_that_runs_is_stopped_in_order(where: str) -> None:
    before, after = interrupted(where, "once")
    stopped = [line for line in (*before, *after) if line.startswith("- ") and "slow" not in line]
    assert stopped == ["- two", "- one"]
    assert "KeyboardInterrupt" in raised(after)


@pytest.mark.parametrize("where", ["handler", "on_stop", "storm", "handler, shielded", "below: on_start"])
def test_whoever_is_not_patient_need_not_be(where: str) -> None:
    """The second one ends at once what the first one would have waited for, but for a shield, which has its time."""
    _, after = interrupted(where, again=True)
    assert "KeyboardInterrupt" in raised(after)


@pytest.mark.parametrize("where", ["handler, busy", "on_start, busy", "storm", "on_stop"])
def test_whoever_is_at_work_is_interrupted_there_and_so_is_the_tree(where: str) -> None:
    _, after = interrupted(where, "once")
    assert "KeyboardInterrupt" in raised(after)
