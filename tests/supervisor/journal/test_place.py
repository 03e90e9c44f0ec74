"""A file that is moved, replaced or removed while it is in use: nothing is acknowledged that nobody will find."""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from treewarden.agents.errors import ConfigurationError, JournalError
from treewarden.supervisor.core.bundle import sealed
from treewarden.supervisor.journal.exporting import bundle_of, read_bundle
from treewarden.supervisor.journal.forking import fork
from treewarden.supervisor.journal.place import Lookout, found_at
from treewarden.supervisor.journal.reading import JournalFile
from treewarden.supervisor.journal.sqlite import SqliteJournal

from ...journals import DESK, Told, WallClock, fact, on_disk, settle, state


def beside(file: pathlib.Path, end: str) -> pathlib.Path:
    return file.with_name(file.name + end)


def replaced(file: pathlib.Path) -> None:
    shutil.copy(file, beside(file, ".copy"))
    beside(file, ".copy").rename(file)


HARM: dict[str, Callable[[pathlib.Path], object]] = {
    "moved": lambda file: file.rename(beside(file, ".moved")),
    "replaced": replaced,
    "removed": lambda file: file.unlink(),
    "its log removed": lambda file: beside(file, "-wal").unlink(),
    "its locks removed": lambda file: beside(file, "-shm").unlink(),
    "its folder moved": lambda file: file.parent.rename(file.parent.with_name("other")),
    "its folder removed": lambda file: shutil.rmtree(file.parent),
}


@pytest.fixture
def file(tmp_path: pathlib.Path) -> pathlib.Path:
    (tmp_path / "folder").mkdir()
    return tmp_path / "folder" / "tree.db"


@pytest.mark.parametrize("harm", HARM)
async def test_nothing_more_is_acknowledged(harm: str, file: pathlib.Path, autojump_clock: MockClock) -> None:
    """From the next look on, a quarter of a second behind the last one."""
    told = Told()

    async def work() -> None:
        async with on_disk(file) as journal:
            await journal.commit(settle(1, events=[fact(1)]))
            HARM[harm](file)
            await trio.sleep(0.25)
            journal.submit(settle(2, events=[fact(2)]), told.of("2"))
            journal.submit(settle(3), told.of("3"))
            await trio.sleep_forever()

    with pytest.raises(JournalError, match=r"was moved, replaced or removed while .*tree\.db was in use"):
        await work()
    assert told.failed == ["2", "3"]


async def test_it_is_noticed_while_nothing_happens(file: pathlib.Path, autojump_clock: MockClock) -> None:
    async def work() -> None:
        async with on_disk(file, lease=9.0):
            HARM["removed"](file)
            await trio.sleep_forever()

    with pytest.raises(JournalError, match="was moved, replaced or removed"):
        await work()
    assert trio.current_time() <= 3.1


async def test_what_is_put_back_is_whole(file: pathlib.Path, autojump_clock: MockClock) -> None:
    """The log was not moved with it and has stayed, with what was acknowledged."""

    async def work() -> None:
        async with on_disk(file, lease=0.001) as journal:
            for number in range(1, 6):
                await journal.commit(settle(number, events=[fact(number)]))
            HARM["moved"](file)
            await trio.sleep(0.25)
            await journal.commit(settle(6))

    with pytest.raises(JournalError):
        await work()
    put_back(file)
    async with on_disk(file) as journal:
        held = await journal.recover(DESK)
        assert held.state in (state(5), state(6))
        assert (journal.head, journal.opened.after_crash) == (5, True)
    with JournalFile.open(file) as reading:
        assert reading.verify().sound


def put_back(file: pathlib.Path) -> None:
    assert beside(file, "-wal").stat().st_size
    beside(file, ".moved").rename(file)


async def test_a_relative_name_does_not_change_with_the_folder(
    file: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with on_disk(file.relative_to(tmp_path)) as journal:
        monkeypatch.chdir("/")
        await journal.commit(settle(1))


async def test_a_link_leads_where_it_led(file: pathlib.Path, tmp_path: pathlib.Path, autojump_clock: MockClock) -> None:
    link = tmp_path / "link.db"
    link.symlink_to(file)

    async def work() -> None:
        async with on_disk(link) as journal:
            await journal.commit(settle(1))
            link_to_another(link)
            await trio.sleep(0.25)
            await journal.commit(settle(2))

    with pytest.raises(JournalError, match=r"link\.db was moved, replaced"):
        await work()


def link_to_another(link: pathlib.Path) -> None:
    link.unlink()
    link.symlink_to(link.with_name("another.db"))


@pytest.mark.parametrize(
    ("error", "spoilt"),
    [
        (sqlite3.DatabaseError("database disk image is malformed"), True),
        (sqlite3.OperationalError("database is locked"), False),
        (OSError("Input/output error"), False),
    ],
    ids=str,
)
def test_a_log_that_cannot_be_read_as_one_is_spoilt(error: Exception, spoilt: bool, file: pathlib.Path) -> None:
    def refused() -> None:
        raise error

    with closing(sqlite3.connect(file, isolation_level=None)) as owner:
        owner.execute("PRAGMA journal_mode = WAL")
        owner.execute("CREATE TABLE t (x)")
        lookout = Lookout(file)
        assert lookout.look(1, refused, written=True) is None
        os.truncate(f"{file}-wal", 0)
        found = lookout.look(1, refused, written=True)
        assert ("cut off or overwritten" in str(found)) == spoilt
        lookout.end()


def test_a_file_that_the_system_does_not_know(tmp_path: pathlib.Path) -> None:
    assert found_at(tmp_path / "none.db") is None
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["file:tree.db", "file:tree.db?mode=memory", ":memory:", "a%41?#.db"])
async def test_a_name_is_that_of_a_file_whatever_sqlite_takes_it_for(
    name: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with on_disk(pathlib.Path(name)) as journal:
        await journal.commit(settle(1, events=[fact(1)]))
        fork(pathlib.Path(name), pathlib.Path(f"{name}.fork"), new_tree=lambda: "f0")
        with JournalFile.open(name) as reading:
            read_bundle(sealed(bundle_of(reading)), f"{name}.copy")
    assert sorted(os.listdir()) == sorted([name, f"{name}.fork", f"{name}.copy"])
    for file in os.listdir():
        with JournalFile.open(file) as reading:
            assert reading.verify().sound
            assert reading.states()[0] == state(1)


async def test_two_dots_behind_a_link_lead_where_the_system_leads(
    tmp_path: pathlib.Path, autojump_clock: MockClock
) -> None:
    (tmp_path / "far" / "folder").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "far" / "folder")
    async with on_disk(tmp_path / "link" / ".." / "tree.db") as journal:
        await journal.commit(settle(1))
        await trio.sleep(0.25)
        await journal.commit(settle(2))
    assert sorted(os.listdir(tmp_path / "far")) == ["folder", "tree.db"]


async def test_what_is_no_file_is_left_alone(tmp_path: pathlib.Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in str(tmp_path / "pipe"), os.devnull:
        with pytest.raises(JournalError, match="is a device or a pipe: name a file"):
            async with on_disk(pathlib.Path(name)):
                pass
    assert os.listdir(tmp_path) == ["pipe"]


@pytest.mark.parametrize("name", ["", "a\0b.db", "half\ud800.db", b"bytes.db", 7, None])
def test_what_can_be_no_name_of_a_file_is_refused(name: Any) -> None:
    with pytest.raises(ConfigurationError, match="it must be the name of a file, or nothing for one in memory"):
        SqliteJournal(name, clock=WallClock())


@pytest.mark.parametrize("name", [":memory:", "file:j.db", "file:j.db?mode=memory"])
def test_a_text_that_sqlite_takes_for_no_file_is_refused(name: Any) -> None:
    """It was a file of that name, and what was to be in memory stayed for the next process. A `Path` is a file."""
    with pytest.raises(
        ConfigurationError, match=rf"leave it out for one in memory, or give '\./{re.escape(name)}' for a file"
    ):
        SqliteJournal(name, clock=WallClock())
