"""The latest events of a journal in memory, some of which are worked out when somebody reads them."""

from __future__ import annotations

import itertools
from bisect import bisect_left
from collections.abc import Collection
from typing import TypeAlias, cast

from treewarden.agents.waiting import Level

from ..core.event import Event, EventsPruned, IncidentLabelled
from .commit import Commit
from .port import START, Record, Seq

__all__ = ["Told"]

_Rows: TypeAlias = list[tuple[float, Event] | Commit]
"""Events with the time of each; and, as often as it has events, a commit that has not been read. From the front of such
a row some may be missing, for the oldest events are given up."""


class Told:
    """The last `room` events, and up to as many before them; each knows its place and its epoch."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._rows: _Rows = []
        self._cut: Record | None = None
        self._heads: list[Seq] = []
        """Where the journal stood when each epoch began."""
        self.head: Seq = START
        self.level = Level()
        """`head`, for those who wait for it."""

    def begin_epoch(self) -> None:
        """Events from here on are of the next owner."""
        self._heads.append(self.head)

    def append(self, events: tuple[tuple[float, Event], ...] | tuple[Commit, ...]) -> None:
        """Events, or one commit as often as it has events."""
        if events:
            self._rows.extend(events)
            self.head += len(events)
            if len(self._rows) > 2 * self._room:
                del self._rows[: -self._room]
            self.level.rise(self.head)

    def read(self, after: Seq, limit: int, kinds: Collection[str] | None = None) -> list[Record]:
        """As `Journal.read`, from the oldest that is here."""
        before = self.head - len(self._rows)
        first = max(after - before, 0)
        told = enumerate(_page(self._rows, first, self.head if kinds else first + limit), first + 1)
        if kinds is not None:
            told = ((place, (at, event)) for place, (at, event) in told if type(event).__name__ in kinds)
        return [self._record(place, at, event) for place, (at, event) in itertools.islice(told, limit)]

    def labels(self) -> list[Record]:
        """As `Journal.labels`."""
        last = self.cut()
        cut = None if last is None else last.event
        gone = cut.summary.get("labels", ()) if isinstance(cut, EventsPruned) else ()
        before = [Record(each["seq"], each["at"], each["event"], each["epoch"]) for each in gone]
        later = self.read(cut.through if isinstance(cut, EventsPruned) else START, self.head)
        return [*before, *(record for record in later if isinstance(record.event, IncidentLabelled))]

    def cut(self) -> Record | None:
        """As `Journal.cut`."""
        for place in range(len(self._rows), 0, -1):
            told = self._rows[place - 1]
            if isinstance(told, tuple) and isinstance(told[1], EventsPruned):
                self._cut = self._record(place, *told)
                break
        return self._cut

    def trim(self) -> None:
        """As `Journal.trim`."""
        cut = self.cut()
        if cut is not None and isinstance(cut.event, EventsPruned):
            before = self.head - len(self._rows)
            del self._rows[: max(0, cut.event.through - before)]

    def _record(self, place: int, at: float, event: Event) -> Record:
        """The event that is in this place here, from 1."""
        seq = self.head - len(self._rows) + place
        return Record(seq, at, event, bisect_left(self._heads, seq))


def _page(told: _Rows, first: int, stop: int) -> list[tuple[float, Event]]:
    """The events from place `first` to `stop`. What is read is worked out, and takes its place for good."""
    for place in range(first, min(stop, len(told))):
        commit = told[place]
        if isinstance(commit, Commit):
            begin = end = place
            while begin and told[begin - 1] is commit:
                begin -= 1
            while end < len(told) and told[end] is commit:
                end += 1
            told[begin:end] = commit.events[begin - end :]
    return cast("list[tuple[float, Event]]", told[first:stop])
