"""The messages of one mailbox whose handlers wait, and which of them come back when."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Any

from .message import Envelope, MessageId
from .wait import Wait

__all__ = ["ParkedMessages"]


class ParkedMessages:
    """By message, each with what it waits for. One that waits for nothing but a time is found by that."""

    __slots__ = ("_count", "_kept", "_times", "alarm", "alarm_at")

    def __init__(self) -> None:
        self._kept: dict[MessageId, tuple[Envelope, Wait, int]] = {}
        self._times: list[tuple[float, int, MessageId]] = []
        self._count = 0
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

    def take(self, message: MessageId) -> Envelope | None:
        """Take one out."""
        found = self._kept.pop(message, None)
        return None if found is None else found[0]

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
            due.append((envelope, wait))
        return due

    def _stands(self, _: float, count: int, message: MessageId) -> bool:
        """Whether this message still waits for that: it may have come back, and wait for something else."""
        found = self._kept.get(message)
        return found is not None and found[2] == count
