"""What a journal still holds of one trace: messages that wait, dead letters, and the events that name its messages."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

from attrs import field

from treewarden.agents.core.exit import Failure
from treewarden.agents.core.message import MessageId, trace_of
from treewarden.agents.core.path import Path
from treewarden.agents.core.values import frozen

from ..core.event import (
    ApprovalNoted,
    ChildEnded,
    DeadLettered,
    Decided,
    EffectNoted,
    Event,
    MessageReplayed,
    MessageReturned,
    Recorded,
    RolledBack,
    SupervisorEnded,
    WaitNoted,
)
from . import rows
from .canonical import dump
from .port import DeadRow, MessageRow, Record

__all__ = ["Left", "left_of", "named_in"]

_OF_INCIDENTS: Final = ("ChildEnded", "IncidentOpened", "Decided", "QuestionAsked", "ActionPerformed")
_AFTER_A_FAILURE: Final = 8
"""Events of an incident that are read behind the end of a life: those of the next one end them, mostly."""


@frozen(kw_only=True)
class Left:
    """What is left of a trace."""

    messages: Sequence[MessageRow] = ()
    """Those that wait, or are in hand; without their bodies."""
    letters: Sequence[DeadRow] = ()
    """The oldest first; likewise."""
    records: Sequence[Record] = ()
    """Events that name a message of it, the oldest first."""
    followed: dict[int, Sequence[Record]] = field(factory=dict[int, Sequence[Record]])
    """By the number of a `ChildEnded` among them: what was decided about that failure."""
    more: bool = False
    """There are events before these."""


def left_of(connection: sqlite3.Connection, trace: MessageId, limit: int) -> Left:
    """What is left of `trace`, with the newest `limit` events at most. Looks through the whole file.

    Raises what `rows.records` raises, and `sqlite3.Error`.
    """
    newest = list(islice(_naming(connection, trace), limit + 1))
    records = newest[limit - 1 :: -1] if limit else []
    return Left(
        messages=list(_waiting(connection, trace)),
        letters=list(_given_up(connection, trace)),
        records=records,
        followed={
            record.seq: _followed(connection, record.event.path, record.seq)
            for record in records
            if isinstance(record.event, ChildEnded)
        },
        more=len(newest) > limit,
    )


def named_in(event: Event) -> list[MessageId]:
    """The messages that an event names, the one that it is about first; texts of the user's are none."""
    match event:
        case MessageReplayed():
            return [event.message, event.replayed_as]
        case MessageReturned() | DeadLettered() | EffectNoted() | WaitNoted() | ApprovalNoted() | Recorded():
            return [event.message]
        case ChildEnded(failure=Failure() as failure) | SupervisorEnded(failure=Failure() as failure):
            return [each.message for each in (failure, *failure.parts) if each.message]
        case Decided(details={"message": str(message)}):
            return [message]
        case RolledBack():
            return [*event.dropped, *([event.diagnosis.message] if event.diagnosis is not None else [])]
        case _:
            return []


def _naming(connection: sqlite3.Connection, trace: MessageId) -> Iterator[Record]:
    """Events that name a message of it, the newest first. Its text may stand in others, too, as a word of them."""
    begun = dump(trace)[:-1]
    found = connection.execute(
        "SELECT seq FROM events WHERE instr(body, ?) AND (instr(body, ?) OR instr(body, ?) OR instr(body, ?))"
        " ORDER BY seq DESC",  # nearly all are without the first, and are not looked at three times
        (begun, f'{begun}"', f"{begun}/", f"{begun}>"),
    )
    for (seq,) in found:
        for record in rows.records(connection, seq - 1, 1):
            if any(trace_of(id) == trace for id in named_in(record.event)):
                yield record


def _waiting(connection: sqlite3.Connection, trace: str) -> Iterator[MessageRow]:
    found = connection.execute(
        "SELECT path, row, id, kind, sender, priority, at, deliveries, deaths FROM mailbox"
        f" WHERE {_within('id')} ORDER BY row",
        _ids(trace),
    )
    for path, row, id, kind, sender, *rest in found:
        yield MessageRow(Path(path), row, id, kind, "", None if sender is None else Path(sender), *rest)


def _given_up(connection: sqlite3.Connection, trace: str) -> Iterator[DeadRow]:
    found = connection.execute(
        f"SELECT path, message, kind, reason, at, row, sender FROM dead_letters WHERE {_within('message')} ORDER BY id",
        _ids(trace),
    )
    for path, message, kind, reason, at, row, sender in found:
        yield DeadRow(Path(path), message, kind, "", reason, at, row, None if sender is None else Path(sender))


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
