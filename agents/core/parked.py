"""The messages of one mailbox whose handlers wait, and which of them come back when; and events for which none does."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Any, cast

from .message import Envelope, Happened, MessageId
from .wait import EVENT, Wait, is_over

__all__ = ["ParkedMessages"]


class ParkedMessages:
    """By message, each with what it waits for. One that waits for a time is found by that, and for an event by its
    name."""

    __slots__ = ("_by_event", "_count", "_kept", "_times", "alarm", "alarm_at", "events")

    def __init__(self) -> None:
        self._kept: dict[MessageId, tuple[Envelope, Wait, int]] = {}
        self._times: list[tuple[float, int, MessageId]] = []
        self._by_event: dict[str, dict[MessageId, tuple[float, int, int]]] = {}
        """Who waits for events of this name, and since when: with none on its way to it."""
        self._count = 0
        self.events: dict[MessageId, Envelope] = {}
        """For which nobody waits yet, in the order of their coming."""
        self.alarm: Any = None
        """What calls when the next one comes back (`ports.Alarm`), if anything does."""
        self.alarm_at: float | None = None
        """For when that is set, in wall seconds."""

    def __len__(self) -> int:
        return len(self._kept)

    def __iter__(self) -> Iterator[Envelope]:
        """In the order in which they were parked."""
        return iter([envelope for envelope, _, _ in self._kept.values()])

    def add(self, envelope: Envelope, wait: Wait) -> None:
        """Park a message. It has an id, which none of the others has."""
        self._count += 1
        self._kept[envelope.id] = (envelope, wait, self._count)
        if wait.until is not None:
            heapq.heappush(self._times, (wait.until, self._count, envelope.id))
        if wait.what == EVENT:
            self.wait_on(envelope.id)

    def take_over(self, others: ParkedMessages) -> None:
        """Park all that is parked there, too, behind what is parked here. `others` is not used any more."""
        if self._kept:
            for envelope, wait, _ in others._kept.values():
                self.add(envelope, wait)
        else:
            self._kept, self._times, self._by_event = others._kept, others._times, others._by_event
            self._count = others._count

    def wait_on(self, message: MessageId) -> None:
        """The next event of its name is for it, if it is still parked: none is on its way to it."""
        if message in self._kept:
            envelope, wait, count = self._kept[message]
            self._by_event.setdefault(str(wait.about), {})[message] = (wait.since, envelope.row or 0, count)

    def pair(self, event: str, wall: float) -> tuple[Envelope, Wait] | None:
        """The oldest event of this name, taken out, and the oldest wait for it, to which no other one comes then; None
        where there is none, or only one of which the time has passed."""
        first, line = self.first(event), self._by_event.get(event, {})
        waiting = [message for message in line if not is_over(self._kept[message][1], wall)]
        if first is None or not waiting:
            return None
        wait = self._kept[min(waiting, key=line.__getitem__)][1]
        self._leave_line(wait)
        return self.events.pop(first.id), wait

    def first(self, event: str) -> Envelope | None:
        """The oldest event of this name."""
        of_name = (each for each in self.events.values() if cast("Happened", each.body).event == event)
        return next(of_name, None)

    def keep(self, event: Envelope, *, first: bool = False) -> None:
        """An event comes: behind the others, or before them if it was the `first` of them."""
        if first:
            self.events = {event.id: event} | self.events
        else:
            self.events[event.id] = event

    def take(self, message: MessageId) -> Envelope | None:
        """Take one out."""
        found = self._kept.pop(message, None)
        if found is None:
            return None
        self._leave_line(found[1])
        return found[0]

    @property
    def next(self) -> float | None:
        """When the next one comes back, in wall seconds."""
        while self._times and not self._stands(*self._times[0]):
            heapq.heappop(self._times)
        return self._times[0][0] if self._times else None

    def take_due(self, wall: float, most: int) -> list[tuple[Envelope, Wait]]:
        """Take out those whose time has come, in the order of the times; of equal ones in that of their coming. At
        most so many: there may be more."""
        due: list[tuple[Envelope, Wait]] = []
        while len(due) < most and (until := self.next) is not None and until <= wall:
            envelope, wait, _ = self._kept.pop(heapq.heappop(self._times)[2])
            self._leave_line(wait)
            due.append((envelope, wait))
        return due

    def _leave_line(self, wait: Wait) -> None:
        line = self._by_event.get(str(wait.about))
        if wait.what == EVENT and line is not None:
            line.pop(wait.message, None)
            if not line:
                del self._by_event[str(wait.about)]

    def _stands(self, _: float, count: int, message: MessageId) -> bool:
        """Whether this message still waits for that: it may have come back, and wait for something else."""
        found = self._kept.get(message)
        return found is not None and found[2] == count
