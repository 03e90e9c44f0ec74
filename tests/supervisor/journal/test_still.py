"""A journal that was closed can be read where nobody may write; one with a log there is refused with what to do."""

from __future__ import annotations

import os
import pathlib
import resource
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager

import pytest

from treewarden.agents.errors import JournalError
from treewarden.supervisor.core.bundle import sealed
from treewarden.supervisor.journal.exporting import bundle_of
from treewarden.supervisor.journal.forking import fork
from treewarden.supervisor.journal.reading import JournalFile
from treewarden.supervisor.journal.still import found_still

from ...journals import fact, on_disk, settle


@pytest.fixture
def folder() -> Generator[pathlib.Path]:
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        folder.chmod(0o755)
        yield folder


@contextmanager
def read_only(folder: pathlib.Path) -> Generator[None]:
    """As a user who may write nothing there; root may, whatever the mode says."""
    user = os.geteuid()
    folder.chmod(0o555)
    for each in folder.iterdir():
        each.chmod(0o444)
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)
        folder.chmod(0o755)


async def closed(folder: pathlib.Path) -> pathlib.Path:
    file = folder / "tree.db"
    async with on_disk(file) as journal:
        for number in (1, 2, 3):
            await journal.commit(settle(number, events=[fact(number)]))
    return file


async def test_one_that_was_closed_is_read_as_it_lies(folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    file, copy = await closed(folder), tmp_path / "fork.db"
    before = file.read_bytes()
    with read_only(folder), JournalFile.open(file) as reading:
        assert [record.event for record in reading.records()] == [fact(1), fact(2), fact(3)]
        assert reading.verify().sound
        assert not reading.check_rows().faults
        assert len(list(sealed(bundle_of(reading)))) > 4
        assert reading.describe_holder().endswith("; read as it lies there, without a lock")
    with read_only(folder), JournalFile.open(file) as reading:
        os.seteuid(os.getuid())  # who may write where the fork comes
        assert "immutable=1" in reading.uri
        fork(file, copy, new_tree=lambda: "copy")
    assert os.listdir(folder) == ["tree.db"]
    assert file.read_bytes() == before


@contextmanager
def no_room() -> Generator[None]:
    """Where no file may grow, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_one_that_was_closed_is_read_on_a_disk_that_is_full(folder: pathlib.Path) -> None:
    file = await closed(folder)
    with no_room(), JournalFile.open(file) as reading:
        found, sound = reading.records(), reading.verify().sound
    assert [record.event for record in found] == [fact(1), fact(2), fact(3)]
    assert sound
    refused = ""
    with no_room():
        try:
            async with on_disk(file):
                refused = "it was not"
        except JournalError as error:
            refused = str(error)
    assert "its disk is full, or broken. Make room, or mend it, and start again" in refused


async def test_what_changes_meanwhile_is_not_taken_for_an_answer(folder: pathlib.Path) -> None:
    file = await closed(folder)
    with read_only(folder):
        reading = JournalFile.open(file)
    with reading:
        assert len(reading.records()) == 3
        async with on_disk(file) as journal:
            await journal.commit(settle(4, events=[fact(4)]))
            with pytest.raises(
                JournalError, match="was opened or changed by its owner while it was read: read it again"
            ):
                reading.records()
        with pytest.raises(JournalError, match="read it again"):
            reading.states()


def test_a_log_alone_tells_that_somebody_writes(folder: pathlib.Path) -> None:
    file = folder / "tree.db"
    file.touch()
    still = found_still(file)
    (folder / "tree.db-wal").touch()
    still.check()
    (folder / "tree.db-wal").write_bytes(b"a commit")
    with pytest.raises(JournalError, match="was opened or changed by its owner while it was read"):
        still.check()


def test_what_cannot_be_looked_at_is_no_file_that_lies_still(folder: pathlib.Path) -> None:
    (folder / "file").touch()
    for name in ("file/tree.db", "none.db"):
        with pytest.raises(JournalError, match=f"{name} cannot be read: "):
            found_still(folder / name)


async def test_one_with_a_log_is_refused_with_what_to_do(folder: pathlib.Path) -> None:
    file = folder / "live.db"
    async with on_disk(file) as journal:
        await journal.commit(settle(1, events=[fact(1)]))
        left = folder / "left"
        left.mkdir()
        for name in ("live.db", "live.db-wal"):
            shutil.copy(folder / name, left)
    with read_only(left), pytest.raises(JournalError, match=r"Copy live\.db and live\.db-wal to a folder of your own"):
        JournalFile.open(left / "live.db")


@pytest.mark.parametrize("mode", [0o755, 0o700])
async def test_one_that_may_not_be_read_is_refused_by_name(mode: int, folder: pathlib.Path) -> None:
    file = await closed(folder)
    with read_only(folder):
        user = os.geteuid()
        os.seteuid(os.getuid())
        file.chmod(0)
        os.chmod(folder, mode)
        os.seteuid(user)
        with pytest.raises(JournalError, match=r"tree\.db (may not be read by this user|cannot be read: Permission)"):
            JournalFile.open(file)
