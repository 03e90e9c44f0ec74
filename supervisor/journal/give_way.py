"""Give way: while something of ours is in another thread, a loop that never rests lets it have the interpreter."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import trio

from treewarden.agents.core.values import define

__all__ = ["Breaks", "GiveWay", "breaks_of_this_loop"]

_PAUSE: Final = 50e-6
"""Seconds; with what the system adds twice as many: a thread that waits for the interpreter wakes within them."""
_EVERY: Final = 100e-6
"""Seconds that the loop has for itself after a pause, at least."""
_SHARE: Final = 8
"""A call that has taken so many times longer than that gets a pause as seldom: it is the disk that it waits for."""


@define(eq=False)
class Breaks:
    """What the journals of one loop know of each other's pauses."""

    until: float = -math.inf
    """When another one than the last may make the next, on their clock."""


_BREAKS: Final = trio.lowlevel.RunVar[Breaks]("breaks")


def breaks_of_this_loop() -> Breaks:
    """Those that all journals of the running loop share. Raises `RuntimeError` outside of one."""
    try:
        return _BREAKS.get()
    except LookupError:
        breaks = Breaks()
        _BREAKS.set(breaks)
        return breaks


class GiveWay(trio.abc.Instrument):
    """Pauses a loop that has something to do in every round, for as long as a call in another thread is `away`.

    Such a loop asks the system for news in each round without waiting for any. It lets go of the interpreter for that
    and takes it back within a microsecond, before a thread that has waited for it is awake; that one begins to wait
    anew each time, and so never comes to the end of the switch interval after which it would be given its turn. SQLite
    wants the interpreter back after every statement: a transaction of 1 ms took 10 beside such a loop.

    A loop that waits for news itself is not paused. A pause takes some 0.1 ms, so that at most half of the loop's time
    goes to them, whether one journal makes them or several. Not promised: that the thread gets its turn in each of
    them, nor that the loop gets its processor back at once where others want that too.
    """

    def __init__(
        self,
        now: Callable[[], float],
        rest: Callable[[float], object],
        breaks: Breaks,
        raised: Callable[[BaseException], object],
    ) -> None:
        """`now` is in seconds; `rest` blocks for that many seconds, without the interpreter. `raised` is told what a
        signal's handler raises meanwhile: trio would log that, go on without it, and drop this instrument.
        """
        self._now = now
        self._rest = rest
        self._breaks = breaks
        self._raised = raised
        self._since = self._next = math.inf
        self._until = -math.inf
        """What it has told the others."""

    def begin(self) -> None:
        """A call goes to another thread."""
        self._since = self._next = self._now()

    def end(self) -> None:
        """It has come back."""
        self._next = math.inf

    def before_io_wait(self, timeout: float) -> None:
        """Called by trio in each round of the loop."""
        if timeout > 0 or self._next == math.inf:
            return
        try:
            now, breaks = self._now(), self._breaks
            if now >= self._next and (now >= breaks.until or breaks.until == self._until):
                self._rest(_PAUSE)
                ended = self._now()
                breaks.until = self._until = ended + max(_EVERY, ended - now)
                self._next = ended + max(_EVERY, (now - self._since) / _SHARE)
        except BaseException as error:
            self._raised(error)
