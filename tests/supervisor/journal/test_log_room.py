"""The write-ahead log is made longer in advance: commits find their place on the disk, and zeros are no rows."""

from __future__ import annotations

import errno
import os
import pathlib
import shutil
import sqlite3
from collections.abc import Generator
from contextlib import closing
from itertools import pairwise

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from treewarden.supervisor.journal.log import Log
from treewarden.supervisor.journal.reading import JournalFile

from ...journals import DESK, on_disk, settle, state

FRAME = 24 + 4096


def length(file: pathlib.Path) -> int:
    return pathlib.Path(f"{file}-wal").stat().st_size


def held(file: pathlib.Path) -> bytes:
    return pathlib.Path(f"{file}-wal").read_bytes()


def leave(file: pathlib.Path, data: bytes) -> None:
    pathlib.Path(f"{file}-wal").write_bytes(data)


@pytest.fixture
def file(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "tree.db"


@pytest.fixture
def log(file: pathlib.Path) -> Generator[tuple[Log, sqlite3.Connection]]:
    """One in use, with a frame or two, and the connection that writes it."""
    with closing(sqlite3.connect(file, isolation_level=None)) as owner:
        owner.execute("PRAGMA journal_mode = WAL")
        owner.execute("CREATE TABLE rows (body TEXT)")
        made = Log(f"{file}-wal")
        try:
            yield made, owner
        finally:
            made.close()


async def test_few_commits_make_it_longer(file: pathlib.Path) -> None:
    lengths: list[int] = []
    async with on_disk(file) as journal:
        for number in range(1, 201):
            await journal.commit(settle(number))
            lengths.append(length(file))
    grown = [after for before, after in pairwise(lengths) if after != before]
    assert len(grown) < 10
    assert lengths == sorted(lengths)
    assert lengths[0] < 400_000  # one that settles little takes little
    assert lengths[-1] < 3 * 400 * FRAME


@pytest.mark.parametrize("cut", [0, 1, 700, FRAME])
async def test_who_opens_the_file_after_a_kill_finds_what_was_committed(
    cut: int, file: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """However many of the zeros have reached the disk."""
    after = tmp_path / "after.db"
    async with on_disk(file) as journal:
        for number in range(1, 31):
            await journal.commit(settle(number))
        shutil.copyfile(file, after)
        data = held(file)
    assert data.endswith(bytes(2 * FRAME))
    leave(after, data[: len(data) - cut])
    with JournalFile.open(after) as reading:
        assert not reading.check_rows().faults
    async with on_disk(after, lease=0.1) as journal:
        assert (await journal.recover(DESK)).state == state(30)
        await journal.commit(settle(31))


async def test_one_that_others_have_emptied_is_made_longer_again(file: pathlib.Path, autojump_clock: MockClock) -> None:
    async with on_disk(file, lease=3.0) as journal:
        for number in range(1, 101):
            await journal.commit(settle(number))
        with closing(sqlite3.connect(file)) as other:
            other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        assert not length(file)
        await trio.sleep(2)  # a renewal
        await journal.commit(settle(101))
        await journal.commit(settle(102))
        assert length(file) > 65_536


@given(rows=st.lists(st.integers(1, 30), max_size=20), most=st.integers(1, 1_000_000))
def test_it_never_gets_longer_than_it_may_nor_shorter(
    rows: list[int], most: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.mktemp("log") / "rows.db"
    with closing(sqlite3.connect(file, isolation_level=None)) as owner:
        owner.execute("PRAGMA journal_mode = WAL")
        owner.execute("PRAGMA synchronous = OFF")
        owner.execute("CREATE TABLE rows (body TEXT)")
        log = Log(f"{file}-wal")
        try:
            for count in rows:
                owner.execute("BEGIN IMMEDIATE")
                before = length(file)
                log.make_room(most)
                assert before <= length(file) <= max(before, most)
                owner.executemany("INSERT INTO rows VALUES (?)", [("x" * 3000,)] * count)
                owner.execute("COMMIT")
            with closing(sqlite3.connect(file)) as reader:
                assert reader.execute("SELECT count(*) FROM rows").fetchone() == (sum(rows),)
        finally:
            log.close()


def test_it_is_made_longer_when_its_end_was_reached(file: pathlib.Path, log: tuple[Log, sqlite3.Connection]) -> None:
    made, owner = log
    made.make_room(1_000_000)
    longer = length(file)
    assert made.has_room(longer)
    assert not made.has_room(longer + 1)
    while length(file) == longer:
        made.make_room(1_000_000)
        assert length(file) == longer
        owner.execute("INSERT INTO rows VALUES ('')")
    made.make_room(1_000_000)
    assert made.has_room(longer + 65_536)


def test_a_disk_that_is_nearly_full_is_left_alone(
    file: pathlib.Path, log: tuple[Log, sqlite3.Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    made, _ = log
    before, found = length(file), os.statvfs(file)
    full = os.statvfs_result((found.f_bsize, found.f_frsize, found.f_blocks, 20, 20, *tuple(found)[5:]))

    def nearly_full(fd: int) -> os.statvfs_result:
        return full

    monkeypatch.setattr(os, "fstatvfs", nearly_full)
    made.make_room(100_000)
    assert length(file) == before
    assert not made.has_room(100_000)


async def test_a_small_disk_is_not_taken_by_the_log(file: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is full of it could neither take more nor have it copied to the file."""
    size, found = 2_000_000, os.statvfs(file.parent)

    def room() -> int:
        return size - file.stat().st_size - length(file)

    def of_a_small_disk(fd: int) -> os.statvfs_result:
        left = room() // found.f_frsize
        return os.statvfs_result((found.f_bsize, found.f_frsize, found.f_blocks, left, left, *tuple(found)[5:]))

    monkeypatch.setattr(os, "fstatvfs", of_a_small_disk)
    async with on_disk(file) as journal:
        for number in range(1, 501):
            await journal.commit(settle(number))
            assert room() > 20 * FRAME
        assert (await journal.recover(DESK)).state == state(500)
    with JournalFile.open(file) as reading:
        assert reading.verify().sound


async def test_a_disk_that_refuses_it_takes_commits_all_the_same(
    file: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def refuse(fd: int, data: bytes, offset: int) -> int:
        asked.append(len(data))
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", refuse)
    async with on_disk(file) as journal:
        for number in range(1, 11):
            await journal.commit(settle(number))
        assert (await journal.recover(DESK)).state == state(10)
    assert asked
