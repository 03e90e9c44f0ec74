"""A journal in memory whose bits can be flipped, and what an owner and a reader make of it."""

from __future__ import annotations

import pathlib
import sqlite3
from contextlib import closing
from typing import Any

from attrs import evolve, frozen

from treewarden.agents.core.label import Label
from treewarden.agents.core.path import ROOT, Path
from treewarden.agents.errors import JournalError
from treewarden.supervisor.core.chain import Head
from treewarden.supervisor.core.checkpoint import EVERYTHING
from treewarden.supervisor.journal import integrity, kept_rows, rows
from treewarden.supervisor.journal.holder import ProcfsTable
from treewarden.supervisor.journal.port import Commit, ReplyRow, ReturnedRow
from treewarden.supervisor.journal.reading import JournalFile

from ..journals import DESK, WALL, checkpoint, dead, fact, message, on_disk, settle, state, timer

__all__ = ["Seen", "look", "write"]

_WRITER = Path("writer")
_COMMITS = (
    settle(1, events=[fact(1)]),
    settle(1, _WRITER, events=[fact(2, _WRITER)]),
    Commit(accepted=tuple(message(50 + n, path) for n, path in enumerate((DESK, _WRITER) * 8))),
    Commit(returned=(ReturnedRow(50, 2, 1, WALL),), timers=(timer("tick", WALL), timer("tock", WALL, _WRITER))),
    Commit(dead=(dead(65),), replies=(ReplyRow("t-50>ask.0", DESK, "int", "4"),)),
    Commit(checkpoints=(evolve(checkpoint(40), label=Label("good", "by hand", ("v1",)), pinned=True),)),
    Commit(states=(evolve(state(2), body=f'"{"x" * 70_000}"'),)),
)


@frozen
class Seen:
    """What is there, as far as it can be had."""

    at_open: bool
    """An owner, or an agent's next life, is told that something is wrong."""
    by_check: bool
    """`treewarden journal verify` tells."""
    values: tuple[Any, ...]
    """What everybody is given; empty if somebody is refused."""


async def write(file: pathlib.Path) -> bytearray:
    """A closed journal with all kinds of rows."""
    async with on_disk(file) as journal:
        for commit in _COMMITS:
            await journal.commit(commit)
    data = bytearray(file.read_bytes())  # noqa: ASYNC240
    data[18:20] = b"\1\1"  # no write-ahead log in memory
    return data


def look(data: bytes, head: Head | None = None) -> Seen:
    """Read and check a file that holds `data`; `head` was kept elsewhere."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.deserialize(data)
        try:
            values = _given(connection)
        except (JournalError, sqlite3.Error, AttributeError, TypeError, ValueError):
            values = ()
        journal = JournalFile(pathlib.Path("tree.db"), connection, ProcfsTable())
        try:
            end = None if head is None else Head(max(head.seq, journal.head.seq), head.hash)
            sound = journal.verify(end).sound and not journal.check_rows().faults
        except (JournalError, ValueError):
            sound = False
        return Seen(not values, not sound, values)


def _given(connection: sqlite3.Connection) -> tuple[Any, ...]:
    """What the lives of all agents begin with, and what people may go back to."""
    slots = rows.slots(connection)
    for path in slots:
        integrity.refuse_damaged(connection, path, "tree.db")
    kept = [each.number for each in kept_rows.checkpoints(connection, ROOT, 20, EVERYTHING)]
    for number in kept:
        integrity.refuse_damaged_checkpoint(connection, number, "tree.db")
    return (
        {path: rows.recovered(connection, path) for path in slots},
        [kept_rows.checkpoint(connection, number) for number in kept],
        rows.dead_letters(connection, None, 100),
        rows.records(connection, 0, 100),
    )
