"""A file of the current schema, to be kept: `python -m tests.supervisor.journal.stored_file` writes it.

Before the first release a change of the schema writes it anew. From then on it adds a migration and another file.
"""

from __future__ import annotations

import gzip
import pathlib
import tempfile
from typing import Final

import trio
from attrs import evolve

from treewarden.agents.core.label import Label
from treewarden.agents.core.message import Priority
from treewarden.supervisor.journal.port import Commit, ReplyRow
from treewarden.supervisor.journal.schema import VERSION

from ...journals import DESK, WALL, checkpoint, dead, fact, message, on_disk, settle, state, timer

__all__ = ["COMMITS", "FOLDER"]

FOLDER: Final = pathlib.Path(__file__).parent / "stored"
COMMITS: Final = (
    settle(1, events=[fact(1)]),
    Commit(accepted=(message(50), message(51)), timers=(timer("tick", WALL),)),
    Commit(dead=(evolve(dead(51), priority=Priority.HIGH),), replies=(ReplyRow("t-50>ask.0", DESK, "int", "4"),)),
    Commit(checkpoints=(evolve(checkpoint(1), label=Label("good", "by hand", ("v1",)), pinned=True),)),
    Commit(states=(evolve(state(2), body=f'"{"x" * 70_000}"'),), events=((WALL, fact(2)),)),
)


async def _write(file: pathlib.Path) -> None:
    async with on_disk(file, new_tree=lambda: "5702ed") as journal:
        for commit in COMMITS:
            await journal.commit(commit)


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "tree.db"
        trio.run(_write, file)
        (FOLDER / f"v{VERSION}.db.gz").write_bytes(gzip.compress(file.read_bytes(), mtime=0))


if __name__ == "__main__":
    main()
