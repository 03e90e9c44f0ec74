"""The same duty without treewarden: rows that are handed to a thread, which commits what has gathered meanwhile.

What this takes is what the disk, the thread and the loop take of anybody who commits in groups; the rest of a time in
the table is ours.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

import trio
from durable import TEXT, at_a_rate
from figures import Watch

__all__ = ["PlainStore", "plain_at_a_rate"]

_BATCH: Final = 128


class PlainStore:
    """Rows by number, the last one counts; whoever puts one waits until it is on the disk."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._waiting: list[tuple[int, trio.Event]] = []
        self._some = trio.Event()

    async def put(self, number: int) -> None:
        done = trio.Event()
        self._waiting.append((number, done))
        self._some.set()
        await done.wait()

    async def run(self) -> None:
        """Commit for as long as nobody cancels it."""
        while True:
            await self._some.wait()
            batch, self._waiting = self._waiting[:_BATCH], self._waiting[_BATCH:]
            if not self._waiting:
                self._some = trio.Event()
            await trio.to_thread.run_sync(self._write, [number for number, _ in batch])
            for _, done in batch:
                done.set()

    def _write(self, numbers: Sequence[int]) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        for number in numbers:
            self._connection.execute("INSERT OR REPLACE INTO rows VALUES (?, ?)", (number, TEXT))
        self._connection.execute("COMMIT")


async def plain_at_a_rate(file: Path, rows: int, rate: float, size: int) -> float:
    """The milliseconds within which 99 of 100 rows are on the disk, counted as `ask_at_a_rate` counts them."""
    with closing(sqlite3.connect(file, isolation_level=None, check_same_thread=False)) as connection:
        connection.execute("PRAGMA synchronous = EXTRA")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, body TEXT)")
        store, watch, chance = PlainStore(connection), Watch(), random.Random(0)

        async def put() -> None:
            await store.put(chance.randrange(rows))

        async with watch.looking(), trio.open_nursery() as nursery:
            nursery.start_soon(store.run)
            await at_a_rate(put, rate, size, watch.times)
            nursery.cancel_scope.cancel()
        return watch.p99
