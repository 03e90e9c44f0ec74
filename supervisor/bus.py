"""Committed events to whoever wants them: a cursor on the journal, not a queue, so nobody can fall behind for good."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

from .journal.port import START, Journal, Record, Seq

__all__ = ["follow"]


@asynccontextmanager
async def follow(journal: Journal, after: Seq = START) -> AsyncGenerator[AsyncIterator[Record]]:
    """Every committed event after `after`, in order, for as long as the journal is open.

    A slow reader makes the next read longer and loses nothing; only committed events are seen. Cancellation ends it.
    """
    records = _read(journal, after)
    try:
        yield records
    finally:
        await records.aclose()


async def _read(journal: Journal, after: Seq) -> AsyncGenerator[Record, None]:
    cursor = after
    while True:
        await journal.wait_beyond(cursor)
        for record in await journal.read(cursor):
            cursor = record.seq
            yield record
