"""What all refs of one tree share: when a sender has gone on for long enough, and the limits of asks."""

from __future__ import annotations

import math
from functools import partial
from typing import Final, Protocol, TypeAlias

import trio

from .ports import Alarms

__all__ = ["Limited", "Traffic"]

_TELLS_PER_CHECKPOINT: Final = 32
_SECONDS_PER_CHECKPOINT: Final = 0.001
_BUCKETS_PER_SECOND: Final = 64


class Limited(Protocol):
    """Somebody who waits until a limit."""

    def expire(self) -> None:
        """The limit has passed."""
        ...


Bucket: TypeAlias = dict[Limited, None]


class Traffic:
    """One per tree."""

    __slots__ = ("_alarms", "_buckets", "_since", "_tells", "now")

    def __init__(self, alarms: Alarms) -> None:
        self.now = trio.lowlevel.current_clock().current_time
        self._alarms = alarms
        self._buckets: dict[int, Bucket] = {}
        self._tells = 0
        self._since = 0.0

    async def pace(self) -> None:
        """After a tell that did not wait: a checkpoint after every 32nd and after every millisecond, else a look at
        whether the sender was cancelled.

        Counted for all senders together: between two tells of one sender that run without a checkpoint nobody else
        can have told anything.
        """
        self._tells += 1
        if self._tells >= _TELLS_PER_CHECKPOINT or self.now() - self._since > _SECONDS_PER_CHECKPOINT:
            self._tells = 0
            await trio.lowlevel.checkpoint()
            self._since = self.now()
        else:
            await trio.lowlevel.checkpoint_if_cancelled()

    def limit(self, waiting: Limited, deadline: float) -> Bucket | None:
        """Call `waiting.expire()` at `deadline`, in the clock of the loop, or up to 1/64 s later.

        Take it out of the bucket that is returned to call it off; so a limit that is not reached costs one entry of a
        dict and no timer. None: the limit never comes.
        """
        if deadline == math.inf:
            return None
        number = math.ceil(deadline * _BUCKETS_PER_SECOND)
        bucket = self._buckets.get(number)
        if bucket is None:
            bucket = self._buckets[number] = {}
            self._alarms.at(number / _BUCKETS_PER_SECOND, partial(self._expire, number))
        bucket[waiting] = None
        return bucket

    def _expire(self, number: int) -> None:
        for waiting in list(self._buckets.pop(number)):
            waiting.expire()
