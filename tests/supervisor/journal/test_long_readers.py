"""A log that cannot begin anew because somebody reads: its owner says so, for nobody else notices."""

from __future__ import annotations

import pathlib
import sqlite3
from collections.abc import Generator
from contextlib import closing

import pytest

from treewarden.supervisor.journal.place import Lookout

LARGE = 1_000_000


@pytest.fixture
def file(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "tree.db"


@pytest.fixture
def owner(file: pathlib.Path) -> Generator[sqlite3.Connection]:
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA journal_size_limit = 300000")
        connection.execute("PRAGMA wal_autocheckpoint = 40")
        connection.execute("CREATE TABLE t (x)")
        yield connection


def test_a_log_that_a_reader_keeps_is_told_of_each_time_it_has_doubled(
    file: pathlib.Path, owner: sqlite3.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    lookout = Lookout(file, LARGE)

    def write(times: int, size: int = 100_000) -> None:
        for _ in range(times):
            owner.execute("INSERT INTO t VALUES (zeroblob(?))", (size,))
            assert lookout.look(1, lambda: None, written=True) is None

    write(30)
    write(1, size=2 * LARGE)
    write(30)
    assert not caplog.records, "nobody reads: it begins anew by itself, also after a transaction that was large"
    with closing(sqlite3.connect(file, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM t").fetchone()
        write(15)
        (said,) = [record.getMessage() for record in caplog.records]
        assert f"{file}-wal has grown to 1 MB: somebody has been reading tree.db for long" in said
        write(40)
        assert [record.args[1] for record in caplog.records if isinstance(record.args, tuple)] == [1, 3]
    caplog.clear()
    write(30)
    assert not caplog.records, "it has begun anew"
    lookout.end()
