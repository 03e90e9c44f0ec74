"""How long an agent that never runs dry may go on before it lets the others run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import trio

__all__ = ["Rounds", "Slice"]

_LOOK_EVERY: Final = 16
"""Messages between two looks at the clock, at most: every slice is at least as long as those before the first."""
_BETWEEN: Final = tuple([range(messages) for messages in range(_LOOK_EVERY + 1)])
_FIRST: Final = _BETWEEN[2]
_MOST_MESSAGES: Final = 512
_LONGEST: Final = 0.001
_ROUND: Final = 0.002
"""Seconds. A sleeper waits for two rounds at most: for the one in which it is due, and for its own turn in the next."""


class Rounds:
    """How those that never run dry share the time between two turns of everybody else: one per tree for agents, and one
    for senders.

    A round is over when somebody comes to its turn again who has had one. As many as there were in it share the next.
    """

    __slots__ = ("lasts", "left", "length", "now", "number", "spent", "turns")

    def __init__(self, now: Callable[[], float], lasts: float = _ROUND) -> None:
        self.now = now
        self.lasts = lasts
        """Seconds in which everybody should have had a turn."""
        self.number: int = 0
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

    def end_slice(self, seconds: float) -> int:
        """A slice has ended that took so long. Returns the number of its round, for `go_on`."""
        self.turns += 1
        self.spent += seconds
        return self.number

    def go_on(self, number: int) -> None:
        """Everybody else has had a turn since a slice ended in round `number`: the next one begins, if it has not."""
        if number != self.number:
            return
        self.number += 1
        self.length = min(_LONGEST, self.lasts / max(1, self.turns))
        self.turns = 0
        self.spent = 0.0


class Slice:
    """Of one agent's loop: a millisecond and 512 messages at most, and its share of a round if there are others."""

    __slots__ = ("_began", "_looked", "_messages", "_rounds", "awaited", "between", "rested")

    def __init__(self, rounds: Rounds) -> None:
        self._rounds = rounds
        self._began = 0.0
        self._looked = 0.0
        self._messages = 0
        self.between = _FIRST
        """As many messages as are handled before the next look at the clock: the fewer, the longer each has taken."""
        self.rested = True
        """Set by an agent that has waited: the clock is looked at when it has handled a few messages."""
        self.awaited = False
        """Set by one that has awaited a handler: how long that took says nothing about how long it kept the loop."""

    def is_over(self) -> bool:
        """Whether it is time to let the others run; to be asked after `between` messages."""
        rounds, between = self._rounds, self.between
        now = rounds.now()
        seconds, self._looked = now - self._looked, now
        if self.rested:
            self.rested = self.awaited = False
            self._began = now
            self._messages = len(between)
            return rounds.spent > rounds.lasts  # many woke at once, and those before it have used this round up
        self._messages += len(between)
        if self.awaited:
            self.awaited = False
        elif seconds > rounds.length / 2:
            self.between = _BETWEEN[max(1, int(len(between) * rounds.length / 2 / seconds))]
        elif len(between) < _LOOK_EVERY:
            self.between = _BETWEEN[min(_LOOK_EVERY, 2 * len(between))]
        return now - self._began > rounds.length or self._messages >= _MOST_MESSAGES

    def leave(self) -> None:
        """Its life ends, and the time that it has taken counts."""
        if not self.rested:
            self._rounds.left = self

    async def give_way(self) -> None:
        """Let the others run, and begin the next slice. A checkpoint."""
        rounds = self._rounds
        number = rounds.end_slice(rounds.now() - self._began)
        await trio.lowlevel.checkpoint()
        rounds.go_on(number)
        self._began = self._looked = rounds.now()
        self._messages = 0
