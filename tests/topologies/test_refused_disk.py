"""Any call of SQLite's to the disk fails while a journal is imported or forked: nothing half done is left. Or while one
is verified: that is said."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import apsw
import pytest

from treewarden.topologies.cli import main

from ..crash.explorer.adapter import Connection, Shared, translated
from ..crash.explorer.scribe import ERRORS, FULL
from .copies import DEEDS, outcome

pytestmark = pytest.mark.usefixtures("originals_here")


class _File(apsw.VFSFile):
    def __init__(self, vfs: _Disk, name: Any, flags: list[int]) -> None:
        self._vfs = vfs
        super().__init__("", name, flags)

    def xRead(self, amount: int, offset: int) -> bytes:
        self._vfs.ask("read")
        return super().xRead(amount, offset)

    def xWrite(self, data: bytes, offset: int) -> None:
        self._vfs.ask("write")
        super().xWrite(data, offset)  # pyright: ignore[reportUnknownMemberType]  # the stubs do not say

    def xTruncate(self, newsize: int) -> None:
        self._vfs.ask("truncate")
        super().xTruncate(newsize)

    def xSync(self, flags: int) -> None:
        self._vfs.ask("sync")  # and the power stays on

    def xFileSize(self) -> int:
        self._vfs.ask("size")
        return super().xFileSize()


class _Disk(apsw.VFS):
    """The real one; calls of these kinds fail from the one with this number on, so many of them."""

    def __init__(self, errors: Mapping[str, int], first: int, count: int) -> None:
        self._errors = errors
        self._fails = range(first, first + count)
        self._calls = 0
        self.refused = 0
        super().__init__("refusing", base="")

    def ask(self, call: str) -> None:
        code = self._errors.get(call)
        if code is not None:
            self._calls += 1
            if self._calls in self._fails:
                self.refused += 1
                raise apsw.exception_for(code)

    def xOpen(self, name: Any, flags: list[int]) -> Any:
        self.ask("open")
        return _File(self, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        self.ask("delete")
        super().xDelete(filename, syncdir)

    def xAccess(self, pathname: str, flags: int) -> bool:
        self.ask("access")
        return super().xAccess(pathname, flags)


class _Copying(Connection):
    """What is copied is not of that disk."""

    text_factory: Any = str

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Any:
        if sql.startswith("ATTACH"):
            parameters = (f"{parameters[0]}&vfs=unix",)
        return super().execute(sql, parameters)


@contextmanager
def new_files_on(disk: _Disk) -> Generator[None]:
    true = sqlite3.connect
    flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_URI

    def connected(name: str | Path, **options: Any) -> Any:
        if not Path(name).name.startswith("new."):
            return true(name, **options)
        try:
            inner = apsw.Connection(str(name), flags=flags, vfs="refusing")
        except apsw.Error as error:
            raise translated(error) from error
        return _Copying(Shared(inner, users=1), inner)

    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sqlite3, "connect", connected)
            yield
    finally:
        disk.unregister()


@pytest.mark.parametrize("count", [1, 1_000_000], ids=["once", "from there on"])
@pytest.mark.parametrize("errors", [ERRORS, FULL], ids=["EIO", "ENOSPC"])
@pytest.mark.parametrize("deed", [deed for deed in DEEDS if deed[:6] != "export"])
def test_any_call_of_sqlite(
    deed: str, errors: Mapping[str, int], count: int, capsys: pytest.CaptureFixture[str]
) -> None:
    number = refusals = 0
    while True:
        number += 1
        disk = _Disk(errors, number, count)
        refusals += bool(outcome(deed, new_files_on(disk), capsys))
        if not disk.refused:
            break
    assert refusals > 1, "next to nothing has failed"


def test_any_read_of_what_is_verified(capsys: pytest.CaptureFixture[str]) -> None:
    """SQLite ends the transaction in which it could not read; what is said is why."""
    new = Path("new.db")
    new.write_bytes(Path("tree.db").read_bytes())
    with closing(sqlite3.connect(new, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE").fetchall()  # apsw's files have no memory to share
    number, said = 0, set[str]()
    while True:
        number += 1
        disk = _Disk({"read": apsw.SQLITE_IOERR_READ}, number, 1_000_000)
        with new_files_on(disk):
            code = main(["journal", "verify", str(new)])
        if not disk.refused:
            break
        told = capsys.readouterr()
        assert code == (2 if told.err else 1)
        said.add(told.err or told.out)
    assert code == 0
    assert len(said) > 2
    assert all("SQLITE_IOERR_READ" in each for each in said), said
