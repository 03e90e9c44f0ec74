"""Journals to be copied by `treewarden journal`, and what has to be there whatever came in between."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

import pytest
import trio
from attrs import evolve

from treewarden.supervisor.journal.port import Commit
from treewarden.supervisor.journal.reading import JournalFile
from treewarden.topologies.cli import main

from ..journals import WALL, checkpoint, fact, message, on_disk, settle, state

__all__ = ["DEEDS", "check_whole", "new_files", "outcome", "write_originals"]

DEEDS: Final = ("export tree.db -o new", "import tree.jsonl new", "fork tree.db new")
_ORIGINALS: Final = ("tree.db", "tree.jsonl")


def write_originals(folder: Path) -> None:
    """`tree.db`, and its bundle `tree.jsonl`."""

    async def write() -> None:
        large = evolve(settle(2, events=[fact(2)]), states=(evolve(state(2), body=f'"{"x" * 70_000}"'),))
        async with on_disk(folder / "tree.db") as journal:
            for commit in (settle(1, events=[fact(1)]), Commit(accepted=(message(50),)), large):
                await journal.commit(commit)
            await journal.commit(Commit(checkpoints=(checkpoint(60),), events=((WALL, fact(3)),)))

    trio.run(write)
    assert main(["journal", "export", str(folder / "tree.db"), "-o", str(folder / "tree.jsonl")]) == 0


def new_files() -> list[str]:
    """What lies in the current folder beside the originals; SQLite may leave its files beside what it has read."""
    return sorted(name for name in os.listdir() if not name.startswith(_ORIGINALS))


def check_whole(new: Path) -> None:
    """`new` is a journal that is sound, or the bundle."""
    if new.read_bytes()[:6] == b"SQLite":
        with JournalFile.open(new) as journal:
            assert journal.verify().sound
            assert not journal.check_rows().faults
    else:
        assert new.read_bytes() == Path("tree.jsonl").read_bytes()


def outcome(deed: str, refusing: AbstractContextManager[None], told: pytest.CaptureFixture[str]) -> str:
    """Why it was not done, if it was not; then nothing is there of it, and otherwise all."""
    told.readouterr()
    with refusing:
        code = main(["journal", *deed.split()])
    said = told.readouterr().err
    new = new_files()
    if code == 0:
        assert (new, said) == (["new"], "")
        check_whole(Path("new"))
    else:
        assert code in (1, 2)
        assert said.startswith("treewarden: ")
        assert said.count("\n") == 1
        assert len(new) == (2 if "cannot be removed" in said else 0), (new, said)
    for name in new:
        os.unlink(name)
    return said
