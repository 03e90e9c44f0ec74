"""How long an agent that never runs dry may go on before it lets the others run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import trio

__all__ = ["LOOK_EVERY", "Rounds", "Slice"]

LOOK_EVERY: Final = 16
"""Messages between two looks at the clock: every slice is at least that long."""
_MOST_MESSAGES: Final = 512
_LONGEST: Final = 0.001
_ROUND: Final = 0.002
"""Seconds in which everybody should have had a turn. A sleeper waits for two of them at most: for the one in which it
is due, and for its own turn in the next."""


class Rounds:
    """One per tree: how the agents that never run dry share the time between two turns of everybody else.

    A round is over when an agent comes to its turn again that has had one. As many as there were in it share the next.
    """

    __slots__ = ("left", "length", "now", "number", "spent", "turns")

    def __init__(self, now: Callable[[], float]) -> None:
        self.now = now
        self.number = 0
        self.turns = 0
        """Slices that have ended in this round."""
        self.spent = 0.0
        """Seconds that they have taken."""
        self.length = _LONGEST
        """Seconds that a slice of this round may take."""
        self.left: Slice | None = None
        """What is left of the slice of a life that a handler has just ended: the next one that begins goes on with it,
        for it may begin in the same task, without a turn of anybody else in between."""

    def slice(self) -> Slice:
        """For a loop that begins."""
        left, self.left = self.left, None
        return left if left is not None else Slice(self)

    def begin(self) -> None:
        """The next round."""
        self.number += 1
        self.length = min(_LONGEST, _ROUND / max(1, self.turns))
        self.turns = 0
        self.spent = 0.0


class Slice:
    """Of one agent's loop: a millisecond and 512 messages at most, and its share of a round if there are others."""

    __slots__ = ("_began", "_looks", "_round", "_rounds", "rested")

    def __init__(self, rounds: Rounds) -> None:
        self._rounds = rounds
        self._round = -1
        self._began = 0.0
        self._looks = 0
        self.rested = True
        """Set by an agent that has waited: the clock is looked at when it has handled a few messages."""

    def is_over(self) -> bool:
        """Whether it is time to let the others run; to be asked after every `LOOK_EVERY` messages."""
        rounds = self._rounds
        now = rounds.now()
        if self.rested:
            self.rested = False
            self._began = now
            self._looks = 1
            return rounds.spent > _ROUND  # many woke at once, and those before it have used this round up
        self._looks += 1
        return now - self._began > rounds.length or self._looks * LOOK_EVERY >= _MOST_MESSAGES

    def leave(self) -> None:
        """Its life ends, and the time that it has taken counts."""
        if not self.rested:
            self._rounds.left = self

    async def give_way(self) -> None:
        """Let the others run, and begin the next slice. A checkpoint."""
        rounds = self._rounds
        rounds.turns += 1
        rounds.spent += rounds.now() - self._began
        self._round = rounds.number
        await trio.lowlevel.checkpoint()
        if self._round == rounds.number:
            rounds.begin()
        self._began = rounds.now()
        self._looks = 0
