"""A file that is there whole, or not at all: who has its name first keeps it, and the name is on the disk."""

from __future__ import annotations

import errno
import os
import pathlib

import pytest

from treewarden.agents.errors import JournalError
from treewarden.supervisor.journal.new_file import refuse_remains, whole_or_not


@pytest.fixture
def file(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "new.db"


def without_links(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)


def lowest_free() -> int:
    opened = os.open(os.devnull, os.O_RDONLY)
    os.close(opened)
    return opened


@pytest.mark.parametrize("links", [True, False])
def test_its_name_is_synced_behind_what_it_holds(
    links: bool, file: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not links:
        without_links(monkeypatch)
    done: list[str] = []
    folder, sync = os.open(file.parent, os.O_RDONLY), os.fsync

    def noted(descriptor: int) -> None:
        sync(descriptor)
        done.append("folder" if os.path.sameopenfile(descriptor, folder) else "file")
        assert file.read_text() == "whole"

    monkeypatch.setattr(os, "fsync", noted)
    free = lowest_free()
    with whole_or_not(file, ".making") as partial:
        assert done == []
        partial.write_text("whole")
    assert done == ["folder"]
    assert lowest_free() <= free
    os.close(folder)
    assert (file.read_text(), os.listdir(file.parent)) == ("whole", [file.name])


@pytest.mark.parametrize("links", [True, False])
def test_what_has_come_meanwhile_stays(links: bool, file: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not links:
        without_links(monkeypatch)

    def make() -> None:
        with whole_or_not(file, ".making") as partial:
            partial.write_text("mine")
            file.write_text("theirs")

    with pytest.raises(JournalError, match="is there already: name a new file" if links else "cannot be made there"):
        make()
    assert (file.read_text(), os.listdir(file.parent)) == ("theirs", [file.name])


@pytest.mark.parametrize(
    ("place", "why"), [("no/new.db", "there is no folder .*no$"), ("file/new.db", "cannot be made: Not a directory$")]
)
def test_where_nothing_can_be_made(place: str, why: str, tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(JournalError, match=why), whole_or_not(tmp_path / place, ".making"):
        raise AssertionError("it was made")


def test_a_log_beside_a_file_is_its_own(file: pathlib.Path) -> None:
    log = file.with_name("new.db-wal")
    log.write_text("log")
    with pytest.raises(JournalError, match=r"new\.db-wal lies there, of a journal that was called new\.db before"):
        refuse_remains(file)
    file.touch()
    refuse_remains(file)
