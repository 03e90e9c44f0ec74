"""Several want one file at the same moment: one gets it, and the others hear soon who that is."""

from __future__ import annotations

import pathlib
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from treewarden.agents.errors import JournalOwned
from treewarden.supervisor.journal.holder import ProcfsTable
from treewarden.supervisor.journal.owned import OwnedFile
from treewarden.supervisor.journal.sqlite import SqliteJournal
from treewarden.supervisor.journal.taking import Claim

from ...journals import on_disk

_LONG = 300.0
"""Seconds of patience that no test has."""


def _claim(file: pathlib.Path, patience: float, connect: Callable[..., sqlite3.Connection] = sqlite3.connect) -> Claim:
    return Claim(
        file=file,
        at=file,
        processes=ProcfsTable(),
        connect=connect,
        new_tree=lambda: "tree",
        lease=60.0,
        patience=patience,
    )


@pytest.mark.parametrize(
    "before",
    ["PRAGMA journal_mode = WAL", "BEGIN EXCLUSIVE", "PRAGMA wal_checkpoint(TRUNCATE)", "BEGIN IMMEDIATE"],
)
def test_who_is_overtaken_while_taking_a_file_hears_of_the_owner_and_waits_for_no_lock(
    tmp_path: pathlib.Path, before: str
) -> None:
    """Each has looked and seen nobody; then one is the owner, and it, or a third who is to be refused too, has the lock
    at every moment at which the other would look for it."""
    file = tmp_path / "tree.db"
    owners: list[OwnedFile] = []
    locking = sqlite3.connect(file, isolation_level=None, timeout=0)
    if before == "BEGIN EXCLUSIVE":
        locking.execute("BEGIN IMMEDIATE")  # so that the log's mode cannot change at first

    def overtake(sql: str) -> None:
        if sql == before and not owners:
            if locking.in_transaction:
                locking.execute("ROLLBACK")
            owners.append(OwnedFile(_claim(file, 2.0), 0.0))
            locking.execute("BEGIN IMMEDIATE")

    def connect(*args: Any, **options: Any) -> sqlite3.Connection:
        connection = sqlite3.connect(*args, **options)
        connection.set_trace_callback(overtake)
        return connection

    with closing(locking):
        begun = time.monotonic()
        with pytest.raises(JournalOwned, match=r"tree\.db is owned by process \d+ on .* \(epoch 1, since"):
            OwnedFile(_claim(file, _LONG, connect), 0.0)
        assert time.monotonic() - begun < _LONG / 10
        locking.execute("ROLLBACK")
        for owner in owners:
            owner.close()
            assert owner.lost is None


@pytest.mark.parametrize("count", [2, 8])
def test_of_many_who_make_one_file_at_once_one_owns_it_and_the_others_hear_who(
    tmp_path: pathlib.Path, count: int
) -> None:
    """Threads, each with a connection of its own: SQLite's locks keep these from each other as they do processes."""
    gate = threading.Barrier(count)
    owners: list[OwnedFile] = []
    refused: list[str] = []

    def come() -> None:
        gate.wait(_LONG)
        try:
            owners.append(OwnedFile(_claim(tmp_path / "tree.db", _LONG), 0.0))
        except JournalOwned as error:
            refused.append(str(error))

    comers = [threading.Thread(target=come) for _ in range(count)]
    begun = time.monotonic()
    for each in comers:
        each.start()
    for each in comers:
        each.join()
    assert time.monotonic() - begun < _LONG / 10
    (owner,) = owners
    owner.close()
    assert len(refused) == count - 1
    assert all(" is owned by process " in each and "(epoch 1, since" in each for each in refused), refused


async def test_a_file_whose_log_somebody_reads_is_opened_when_patience_is_over(tmp_path: pathlib.Path) -> None:
    """What a reader looks at stays in the log; nobody refuses an owner for that."""
    file = tmp_path / "tree.db"

    def journal() -> SqliteJournal:
        return on_disk(file, patience=0.05)

    async with journal():
        pass
    with closing(sqlite3.connect(file, isolation_level=None)) as writer:
        writer.execute("UPDATE meta SET commits = commits + 1")
        with closing(sqlite3.connect(file, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM meta").fetchall()
            async with journal() as opened:
                assert opened.opened.epoch == 2
