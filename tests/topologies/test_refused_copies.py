"""Any call fails while a journal is exported, imported or forked: one sentence, and nothing half done is left."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from attrs import define

from treewarden.topologies.cli import main

from .copies import DEEDS, check_whole, new_files, outcome

pytestmark = pytest.mark.usefixtures("originals_here")

CALLS: Final = ("open", "close", "link", "fsync", "unlink")


@define
class Refused:
    """One of the calls that are counted fails."""

    number: int
    error: Callable[[], Exception]
    calls: int = 0

    def __call__(self) -> None:
        self.calls += 1
        if self.calls == self.number:
            raise self.error()


@contextmanager
def calls_of(name: str, refused: Refused) -> Generator[None]:
    """What Python itself asks the system for, about files in this folder."""
    true: Callable[..., Any] = getattr(os, name)
    opened: Callable[..., int] = os.open
    ours: set[int] = set()

    def call(first: str | int, *rest: Any, **options: Any) -> Any:
        concerned = first in ours if isinstance(first, int) else Path(first).absolute().is_relative_to(Path.cwd())
        if name != "close":
            if concerned:
                refused()
            return true(first, *rest, **options)
        ours.discard(first) if isinstance(first, int) else None
        true(first)  # as Linux does: it is closed all the same
        return refused() if concerned else None

    def remembered(*given: Any, **options: Any) -> int:
        descriptor = opened(*given, **options)
        ours.add(descriptor)
        return descriptor

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "open", remembered)
        patch.setattr(os, name, call)
        yield


@contextmanager
def statements(refused: Refused) -> Generator[None]:
    """What is asked of SQLite."""

    class Connection(sqlite3.Connection):
        def execute(self, *given: Any) -> sqlite3.Cursor:
            refused()
            return super().execute(*given)

    connect = sqlite3.connect

    def connected(*given: Any, **options: Any) -> sqlite3.Connection:
        return connect(*given, **options, factory=Connection)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite3, "connect", connected)
        yield


def of_sqlite(kind: type[sqlite3.Error], code: int) -> Callable[[], Exception]:
    def made() -> Exception:
        error = kind("refused")
        error.sqlite_errorcode = code
        return error

    return made


def refused_call() -> Exception:
    return OSError(errno.EIO, "Input/output error")


@pytest.mark.parametrize("deed", DEEDS)
@pytest.mark.parametrize("name", CALLS)
def test_any_call_of_the_system(name: str, deed: str, capsys: pytest.CaptureFixture[str]) -> None:
    number = 0
    while True:
        number += 1
        refused = Refused(number, refused_call)
        outcome(deed, calls_of(name, refused), capsys)
        if refused.calls < number:
            return


@pytest.mark.parametrize("deed", DEEDS)
@pytest.mark.parametrize("name", ["link", "fsync"])
def test_a_disk_without_hard_links(name: str, deed: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It is given its name by a rename; whether that is synced is looked at as well."""

    def none() -> Exception:
        return PermissionError(errno.EPERM, "Operation not permitted")

    number = 0
    while True:
        number += 1
        refused = Refused(number if name == "fsync" else 0, refused_call)
        with calls_of("link", Refused(1, none)):
            said = outcome(deed, calls_of(name, refused), capsys)
        assert bool(said) == (0 < refused.number <= refused.calls)
        if not said:
            break


@pytest.mark.parametrize("deed", DEEDS)
def test_a_disk_from_which_the_half_file_cannot_be_removed(deed: str, capsys: pytest.CaptureFixture[str]) -> None:
    """As one that is read-only since its last error: whoever reads that nothing is left finds it there all the same."""

    def read_only() -> Exception:
        return OSError(errno.EROFS, "Read-only file system")

    with calls_of("link", Refused(1, read_only)), calls_of("unlink", Refused(2, read_only)):
        assert main(["journal", *deed.split()]) == 2
    (half,) = new_files()
    said = capsys.readouterr().err
    assert said.startswith(
        f"treewarden: {half} is half a file, and cannot be removed (Read-only file system): remove it"
    )
    assert "new cannot be made there" in said
    os.unlink(half)


@pytest.mark.parametrize("deed", DEEDS[1:])
@pytest.mark.parametrize("end", ["-wal", "-journal"])
def test_no_journal_is_made_beside_the_log_of_one_that_was_removed(
    end: str, deed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """SQLite would read it as what came last in the new one."""
    with closing(sqlite3.connect("other.db", isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode = WAL")
        other.execute("CREATE TABLE here (x)")
        log = Path("other.db-wal").read_bytes()
    os.unlink("other.db")
    remains = Path(f"new{end}")
    remains.write_bytes(log)
    assert main(["journal", *deed.split()]) == 2
    assert capsys.readouterr().err.startswith(
        f"treewarden: new{end} lies there, of a journal that was called new before"
    )
    assert new_files() == [remains.name]
    assert remains.read_bytes() == log
    remains.write_bytes(b"")  # as a reader may leave it
    assert main(["journal", *deed.split()]) == 0
    check_whole(Path("new"))
    assert main(["journal", *deed.split()]) == 2
    assert "new is there already" in capsys.readouterr().err
    for name in new_files():
        os.unlink(name)


@pytest.mark.parametrize("deed", DEEDS)
@pytest.mark.parametrize(
    "error",
    [
        of_sqlite(sqlite3.OperationalError, sqlite3.SQLITE_IOERR),
        of_sqlite(sqlite3.DatabaseError, sqlite3.SQLITE_CORRUPT),
    ],
    ids=["the disk refuses", "the disk gives back what nobody wrote"],
)
def test_any_statement(error: Callable[[], Exception], deed: str, capsys: pytest.CaptureFixture[str]) -> None:
    number = refusals = 0
    while True:
        number += 1
        refused = Refused(number, error)
        said = outcome(deed, statements(refused), capsys)
        assert "the bundle is damaged" not in said
        refusals += bool(said)
        if refused.calls < number:
            break
    assert refusals > 10, "next to nothing has failed"
