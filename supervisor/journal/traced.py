"""What a journal still holds of one trace: messages that wait, dead letters, and the events that name its messages."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Final

from attrs import field

from treewarden.agents.core.message import MessageId
from treewarden.agents.core.path import Path
from treewarden.agents.core.values import frozen

from ..core.event import ChildEnded
from . import rows
from .canonical import dump
from .port import DeadRow, MessageRow, Record

__all__ = ["Left", "left_of"]

_OF_INCIDENTS: Final = ("ChildEnded", "IncidentOpened", "Decided", "QuestionAsked", "ActionPerformed")
_AFTER_A_FAILURE: Final = 8
"""Events of an incident that are read behind the end of a life: those of the next one end them, mostly."""


@frozen(kw_only=True)
class Left:
    """What is left of a trace."""

    messages: Sequence[MessageRow] = ()
    """Those that wait, or are in hand; without their bodies."""
    letters: Sequence[DeadRow] = ()
    records: Sequence[Record] = ()
    """Events that name a message of it, the oldest first."""
    followed: dict[int, Sequence[Record]] = field(factory=dict[int, Sequence[Record]])
    """By the number of a `ChildEnded` among them: what was decided about that failure."""
    more: bool = False
    """There are events before these."""


def left_of(connection: sqlite3.Connection, trace: str, limit: int) -> Left:
    """What is left of `trace`, with the newest `limit` events at most. Looks through the whole file.

    Raises what `rows.records` raises, and `sqlite3.Error`.
    """
    seqs = [seq for (seq,) in connection.execute(
        "SELECT seq FROM events WHERE instr(body, ?) ORDER BY seq DESC LIMIT ?", (dump(trace)[:-1], limit + 1)
    )]  # fmt: skip
    records = [record for seq in reversed(seqs[:limit]) for record in rows.records(connection, seq - 1, 1)]
    return Left(
        messages=list(_waiting(connection, trace)),
        letters=[row for id in _given_up(connection, trace) if (row := rows.dead_letter(connection, id)) is not None],
        records=records,
        followed={
            record.seq: _followed(connection, record.event.path, record.seq)
            for record in records
            if isinstance(record.event, ChildEnded)
        },
        more=len(seqs) > limit,
    )


def _waiting(connection: sqlite3.Connection, trace: str) -> Iterator[MessageRow]:
    found = connection.execute(
        "SELECT path, row, id, kind, sender, priority, at, deliveries, deaths FROM mailbox"
        f" WHERE {_within('id')} ORDER BY row",
        _ids(trace),
    )
    for path, row, id, kind, sender, *rest in found:
        yield MessageRow(Path(path), row, id, kind, "", None if sender is None else Path(sender), *rest)


def _given_up(connection: sqlite3.Connection, trace: str) -> list[MessageId]:
    found = connection.execute(
        f"SELECT message FROM dead_letters WHERE {_within('message')} ORDER BY id", _ids(trace)
    ).fetchall()
    return [id for (id,) in found]


def _within(name: str) -> str:
    return f"({name} = ? OR ({name} > ? AND {name} < ?))"


def _ids(trace: str) -> tuple[str, str, str]:
    return trace, f"{trace}/", f"{trace}0"


def _followed(connection: sqlite3.Connection, path: Path, seq: int) -> Sequence[Record]:
    """What was decided about the end of a life."""
    found: list[Record] = []
    for record in rows.records(connection, seq, _AFTER_A_FAILURE, path, _OF_INCIDENTS):
        if isinstance(record.event, ChildEnded):
            break
        found.append(record)
    return found
