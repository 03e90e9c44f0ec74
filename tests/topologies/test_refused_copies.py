"""Any call fails while a journal is exported, imported or forked: one sentence, and nothing half done is left."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
import trio
from attrs import define, evolve

from treewarden.supervisor.journal.port import Commit
from treewarden.supervisor.journal.reading import JournalFile
from treewarden.topologies.cli import main

from ..journals import WALL, checkpoint, fact, message, on_disk, settle, state

DEEDS: Final = ("export tree.db -o new", "import tree.jsonl new", "fork tree.db new")
CALLS: Final = ("open", "close", "link", "fsync", "unlink")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("copies")

    async def write() -> None:
        large = evolve(settle(2, events=[fact(2)]), states=(evolve(state(2), body=f'"{"x" * 70_000}"'),))
        async with on_disk(folder / "tree.db") as journal:
            for commit in (settle(1, events=[fact(1)]), Commit(accepted=(message(50),)), large):
                await journal.commit(commit)
            await journal.commit(Commit(checkpoints=(checkpoint(60),), events=((WALL, fact(3)),)))

    trio.run(write)
    assert main(["journal", "export", str(folder / "tree.db"), "-o", str(folder / "tree.jsonl")]) == 0
    return folder


@pytest.fixture(autouse=True)
def here(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for each in folder.iterdir():
        shutil.copy(each, tmp_path)
    monkeypatch.chdir(tmp_path)


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


def outcome(deed: str, refusing: AbstractContextManager[None], told: pytest.CaptureFixture[str]) -> str:
    """Why it was not done, if it was not; then nothing is there of it, and otherwise all."""
    told.readouterr()
    with refusing:
        code = main(["journal", *deed.split()])
    said = told.readouterr().err
    new = sorted(set(os.listdir()) - {"tree.db", "tree.jsonl"})
    if code == 0:
        assert (new, said) == (["new"], "")
        check_whole(Path("new"))
    else:
        assert code in (1, 2)
        assert said.startswith("treewarden: ")
        assert said.count("\n") == 1
        assert not new or ("cannot be removed" in said and deed[:6] != "export"), (new, said)
    for name in new:
        os.unlink(name)
    return said


def check_whole(new: Path) -> None:
    if new.read_bytes()[:6] == b"SQLite":
        with JournalFile.open(new) as journal:
            assert journal.verify().sound
            assert not journal.check_rows().faults
    else:
        assert new.read_bytes() == Path("tree.jsonl").read_bytes()


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
        refusals += bool(outcome(deed, statements(refused), capsys))
        if refused.calls < number:
            break
    assert refusals > 10, "next to nothing has failed"
