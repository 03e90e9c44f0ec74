"""The chain of events as a file has it, read for a check: whatever is in a row, it hides no other."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Final

from attrs import evolve

from treewarden.agents.errors import JournalError

from ..core.chain import Head, StoredRow, Verdict, verify
from ..core.event import EventsPruned
from ..core.retention import chain_start
from . import rows
from .identity import TELLING, Said, contradictions
from .looked_at import LookedAt
from .port import START, Seq
from .schema import identity_of

__all__ = ["NO_VALUE", "verdict_on"]

_EVENTS: Final = "SELECT seq, at, epoch, path, kind, version, body, prev, hash FROM events WHERE seq >= ? ORDER BY seq"
_LOWEST: Final = -(2**63)
"""No number of a row is lower: one that is before the first event was put there."""
NO_VALUE: Final = (ValueError, LookupError, TypeError, AttributeError)
"""What is raised over a row that holds no such value as was written there: a bit of it has flipped.

A fault of treewarden's own would look like that too. It is told apart by `verify`, which then finds nothing, and stays
attached as the cause."""


def verdict_on(connection: sqlite3.Connection, head: Head, anchors: Sequence[Head], looked_at: LookedAt) -> Verdict:
    """Check all events, up to `head` and through `anchors`: see `JournalFile.verify`.

    Raises `sqlite3.Error` only where nothing can be read at all, or not now.
    """
    looked_at.begin("events", head.seq)
    text = connection.text_factory
    connection.text_factory = _readable_or_not
    telling: list[Said] = []
    try:
        start, heads = _beginning(connection)
        found = verify(_stored(connection, head.seq, telling, looked_at), head, anchors=[*anchors, *heads], start=start)
    finally:
        connection.text_factory = text
    if not found.sound:
        return found
    return evolve(found, faults=contradictions(telling, identity_of(connection)))


def _beginning(connection: sqlite3.Connection) -> tuple[Head | None, tuple[Head, ...]]:
    """Where the chain has to begin, and what it has to lead through, because of events that were pruned."""
    try:
        found = rows.first(connection)
    except sqlite3.DatabaseError as error:  # the check will say so of the row
        _must_be_of_the_row(error)
        found = None
    if found is not None and [type(value) for value in found] != [int, bytes]:
        found = None
    return chain_start(_cut(connection), *(found or (None, None)))


def _cut(connection: sqlite3.Connection) -> EventsPruned | None:
    """The record of what was pruned, if it is the one that was written: what another one says proves nothing."""
    try:
        cut = rows.cut(connection)
        if cut is None or not isinstance(cut.event, EventsPruned):
            return None
        row: StoredRow = connection.execute(_EVENTS, (cut.seq,)).fetchone()
    except sqlite3.DatabaseError as error:
        _must_be_of_the_row(error)
        return None
    except (JournalError, *NO_VALUE):
        return None
    prev = row[7]
    if not isinstance(prev, bytes) or not verify([row], start=Head(cut.seq - 1, prev)).sound:
        return None
    return cut.event


def _stored(connection: sqlite3.Connection, last: Seq, telling: list[Said], looked_at: LookedAt) -> Iterator[StoredRow]:
    """Every event as it is stored, in order, of which those that say which journal this is are put aside. Where SQLite
    gives up, one row without fields, then those behind it."""
    after, skip = _LOWEST - 1, 1
    while True:
        try:
            for row in connection.execute(_EVENTS, (after + 1,)):
                after, skip = row[0], 1
                looked_at.count += 1
                if row[4] in TELLING:
                    telling.append((row[0], row[4], row[5], row[6]))
                yield row
        except sqlite3.DatabaseError as error:
            _must_be_of_the_row(error)
            after = max(after, START)
            yield after + 1, None, None, None, None, None, None, None, None
            after, skip = after + skip, 2 * skip
            if after < last:
                continue
        return


def _must_be_of_the_row(error: sqlite3.DatabaseError) -> None:
    """Raise it again if the file is busy, or gone: that says nothing about what it holds."""
    if type(error) is not sqlite3.DatabaseError:
        raise error


def _readable_or_not(text: bytes) -> str | bytes:
    """Text of a damaged row as bytes, which is not what a text column holds."""
    try:
        return text.decode()
    except UnicodeDecodeError:
        return text
