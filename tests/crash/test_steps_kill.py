"""A process is killed, or interrupted, at every transaction of effects, waits, events, approvals and questions: each
step counts once, and what was acknowledged counts. `make soak` does it before every statement."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import trio

from treewarden.supervisor.journal.reading import JournalFile

from .stepping import Outside, go_on

# What a fork of a process with threads may lead to, Python says from 3.12 on; the child uses none of them.
pytestmark = pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")

ALL = "TREEWARDEN_KILLS" in os.environ
STEPS = ("EffectNoted", "WaitNoted", "ApprovalNoted")
CLOSED = "TreeClosed"
SHARES = 4


def statements(folder: Path) -> list[str]:
    """Of the journal of a process that nobody ends, and from which on its tree is open."""
    told: list[str] = []
    outside = Outside(folder / "outside")
    go_on(folder / "tree.db", outside, 1, told.append)
    outside.close()
    assert all(any(step in sql for sql in told) for step in STEPS), "each kind of step is in it"
    return told


def moments(told: list[str]) -> list[int]:
    """Before and behind each commit of the tree while it is open, as numbers of the statement that is not run any
    more."""
    first, last = (next(number for number, sql in enumerate(told) if event in sql) for event in ("TreeOpened", CLOSED))
    if ALL:
        return list(range(first, last))
    commits = [number for number in range(first, last) if told[number] == "COMMIT"]
    return sorted({*commits, *(number + 1 for number in commits)})


def ended(file: Path, outside: Outside, at: int, end: Callable[[], None]) -> int:
    """Run a process of its own that calls `end` before its statement `at`. Returns how it has ended."""
    child = os.fork()
    if not child:
        code, count = 1, 0

        def next_one(_: str) -> None:
            nonlocal count
            if count == at:
                end()
            count += 1

        try:
            go_on(file, outside, 1, next_one)
        except* KeyboardInterrupt:
            code = 2
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def interrupt() -> None:
    """As Ctrl-C: in the loop, not in SQLite, for there the journal of a tree is in a thread."""
    trio.lowlevel.current_trio_token().run_sync_soon(signal.raise_signal, signal.SIGINT)


def released(file: Path) -> bool:
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute("SELECT released FROM owner").fetchone() == (1,)


def left(file: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(file)) as connection:
        ask = connection.execute
        return [row for table in ("mailbox", "replies", "dead_letters") for row in ask(f"SELECT * FROM {table}")]


@pytest.mark.parametrize("share", range(SHARES))
@pytest.mark.parametrize(("end", "code"), [(kill, -signal.SIGKILL), (interrupt, 2)], ids=["kill -9", "Ctrl-C"])
def test_each_step_counts_once(tmp_path: Path, end: Callable[[], None], code: int, share: int) -> None:
    told = statements(tmp_path)
    at_all = moments(told)
    assert len(at_all) > 2 * 12
    for at in at_all[share::SHARES]:
        where = f"before {at}: {told[at][:80]}"
        folder = tmp_path / str(at)
        folder.mkdir()
        file, outside = folder / "tree.db", Outside(folder / "outside")
        assert ended(file, outside, at, end) == code, where
        assert released(file) or end is kill, where
        said, ordered = outside.lines("said"), outside.lines("told")
        doubtful, event, by, answer, key = go_on(file, outside, 2)
        assert set(said) <= {f"event {event}", f"ruling {by}", f"answer {answer}"}, where
        assert len(ordered) <= len(outside.lines("told")) == 1 or not ordered, where
        assert doubtful == "done", where
        assert [did.partition(" ")[0] for did in outside.lines("did")] == ["doubtful", "pay"], where
        assert outside.lines("did")[1] == f"pay {key}", where
        assert left(file) == [], where
        with JournalFile.open(file) as reading:
            assert reading.verify().sound, where
        outside.close()
