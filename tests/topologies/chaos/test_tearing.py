"""A power cut in the middle of a commit, on real files: what is torn, and that SQLite's log protects from it."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from treewarden.topologies.chaos import faults
from treewarden.topologies.chaos.run import Setting, run_world
from treewarden.topologies.chaos.subjects import SUBJECTS
from treewarden.topologies.chaos.tearing import recovered, torn, wal_of
from treewarden.topologies.core.draws import Draws

PAGE = 4096


def commit(first: int, count: int) -> tuple[bytes, bytes]:
    """A database before and after one commit."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as made:
        made.execute("CREATE TABLE rows (n INTEGER PRIMARY KEY, text TEXT)")
        made.executemany("INSERT INTO rows VALUES (?, ?)", [(n, "old " * 20) for n in range(200)])
        before = made.serialize()
        made.execute("BEGIN")
        made.execute("UPDATE rows SET text = 'changed' WHERE n BETWEEN ? AND ?", (first, first + count))
        made.executemany("INSERT INTO rows VALUES (?, ?)", [(1000 + n, "new " * 20) for n in range(count)])
        made.execute("COMMIT")
        return before, made.serialize()


def rows(database: bytes) -> list[Any]:
    with closing(sqlite3.connect(":memory:")) as opened:
        opened.deserialize(database)
        return opened.execute("SELECT * FROM rows").fetchall()


@given(st.integers(0, 10**9), st.integers(0, 199), st.integers(1, 120))
def test_a_torn_commit_is_kept_whole_or_not_at_all(seed: int, first: int, count: int) -> None:
    before, after = commit(first, count)
    assert rows(recovered(before, after, Draws(seed))) in (rows(before), rows(after))


def test_it_is_torn_in_all_ways() -> None:
    before, after = commit(0, 100)
    log = wal_of(before, after)
    found = Counter(rows(recovered(before, after, Draws(seed))) == rows(after) for seed in range(100))
    assert set(found) == {False, True}
    ways = {(len(each) < len(log), each[:32] == log[:32]) for each in (torn(log, Draws(seed)) for seed in range(100))}
    assert ways >= {(True, True), (False, True), (False, False)}


def test_without_the_log_such_a_tear_damages_the_database() -> None:
    """The fault bites: the same pages, torn where they stand and not in a log with checksums, are neither."""
    before, after = commit(0, 100)
    spoilt = 0
    for at in range(PAGE, len(after), PAGE):
        half = after[:at] + after[at : at + 512] + (before + bytes(len(after)))[at + 512 : len(after)]
        try:
            spoilt += rows(half) not in (rows(before), rows(after))
        except sqlite3.DatabaseError:
            spoilt += 1
    assert spoilt > 0


def test_a_tree_comes_back_from_it_with_all_that_it_has_acknowledged() -> None:
    setting = Setting(faults=(faults.torn_write(rate=2.0, budget=6),), within=4.0)
    struck, crashed = 0, 0
    for seed, name in enumerate(("tree/one_for_one/message", "pipeline/message", "pool/shared/message") * 3):
        run = run_world(SUBJECTS[name].run, seed, setting)
        assert run.failures == ()
        assert run.digest == run_world(SUBJECTS[name].run, seed, setting).digest
        struck += run.faults.get("torn_write", 0)
        crashed += run.reached["the process died"]
    assert struck >= 20
    assert crashed >= 8
