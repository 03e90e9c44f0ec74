"""The last committed events in memory, so that following the journal costs its writer nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ..core.event import Event
from .batch import EventRow
from .event_codec import decode_event, is_open_ended
from .port import START, Record, Seq

__all__ = ["Recent"]

_ROOM: Final = 512


class Recent:
    """The end of the journal: its head, and at least the last 512 events that were committed since it was opened."""

    def __init__(self, head: Seq = START) -> None:
        self.head = head
        self._events: list[tuple[EventRow, Event] | Record] = []

    def extend(self, events: Sequence[tuple[EventRow, Event]]) -> None:
        """Add what was committed, in order."""
        if events:
            self._events.extend(events)
            self.head = events[-1][0][0]
            if len(self._events) > 2 * _ROOM:
                del self._events[:-_ROOM]

    def forget(self, through: Seq) -> None:
        """Drop the events up to `through`."""
        del self._events[: max(0, through - (self.head - len(self._events)))]

    def after(self, seq: Seq, limit: int) -> list[Record] | None:
        """The events after `seq`, oldest first; None if some of them are not here."""
        first = len(self._events) - (self.head - seq)
        if first < 0:
            return None
        return [self._record(position) for position in range(first, min(first + limit, len(self._events)))]

    def _record(self, position: int) -> Record:
        """As it would be read from the file: facts of the user's are simpler there than they were."""
        found = self._events[position]
        if isinstance(found, Record):
            return found
        (seq, at, _, kind, version, body, _, hash, epoch), event = found
        if is_open_ended(type(event)):
            event = decode_event(kind, version, body)
        record = Record(seq, at, event, epoch, hash.hex())
        self._events[position] = record
        return record
