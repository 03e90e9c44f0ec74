"""How long an agent that never runs dry may go on before it lets the others run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import trio

__all__ = ["LOOK_EVERY", "Slice"]

LOOK_EVERY: Final = 16
"""Messages between two looks at the clock."""
_MOST_MESSAGES: Final = 512
_LONGEST: Final = 0.001
_SHORTEST: Final = 0.00002
_ROUND: Final = 0.004
"""Seconds in which everybody should have had a turn."""


class Slice:
    """Of one agent's loop. A millisecond and 512 messages at most, and less while it takes the others long to come
    round: many busy agents share the time of the loop without knowing of each other."""

    __slots__ = ("_ends", "_length", "_looks", "_now")

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._length = _LONGEST
        self._ends: float | None = None
        self._looks = 0

    def begin(self) -> None:
        """After the agent has waited: the clock is looked at when it has handled a few messages."""
        self._ends = None
        self._looks = 0

    def is_over(self) -> bool:
        """Whether it is time to let the others run; to be asked after every `LOOK_EVERY` messages."""
        now = self._now()
        self._looks += 1
        if self._ends is None:
            self._ends = now + self._length
            return False
        return now > self._ends or self._looks * LOOK_EVERY >= _MOST_MESSAGES

    async def give_way(self) -> None:
        """Let the others run, and begin the next slice. A checkpoint."""
        left = self._now()
        await trio.lowlevel.checkpoint()
        back = self._now()
        self._length = max(_SHORTEST, self._length / 2) if back - left > _ROUND else min(_LONGEST, self._length * 1.25)
        self._ends = back + self._length
        self._looks = 0
