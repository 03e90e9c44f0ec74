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
_PREPARES: Final = 2e-3
_PREPARES_EACH: Final = 60e-6
"""Seconds that the loop waits for a call to get ready, at most, and so many more for each commit of it: twice what it
takes, since one that was given up takes ten times as long, and all who come meanwhile make the next one larger."""
_SELDOM: Final = 20
"""Times so long as it took it does not wait for another one, at most, where several in a row were not ready by then."""


@define(eq=False)
class Breaks:
    """What the journals of one loop know of each other's pauses."""

    until: float = -math.inf
    """When another one than the last may make the next, on their clock."""
    wait_from: float = -math.inf
    """When one of them may have the loop wait for a call again."""


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

    The first pause of a call lasts until that has nothing left to do but to wait for the disk, which lets go of the
    interpreter for good: before that it wants it back some 20 times, and neither of the two can run while the other
    does. Any other pause takes some 0.1 ms.

    A loop that waits for news itself is not paused. Before it waits for another call it has as much time as it has
    waited for one, and after any other pause 0.1 ms, whether one journal makes them or several. Not promised: that the
    thread gets its turn in each of them, nor that the loop gets its processor back at once where others want that too.
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
        self._ready: Callable[[float], bool] | None = None
        """Waits for the call that is away, if nobody has yet."""
        self._commits = 0
        """How many it takes."""
        self._wait_from = -math.inf
        """When the loop waits again for a call of this journal, of which one was not ready."""
        self._seldom = 1
        """By how many times as long as it waited for the next one that is not ready it puts that off."""

    def begin(self, ready: Callable[[float], bool], commits: int) -> None:
        """A call that takes so many commits goes to another thread. `ready` blocks for so many seconds at most, without
        the interpreter, until the call has only the disk to wait for, or is over; and says whether it has come to that.
        """
        self._since = self._next = self._now()
        self._ready, self._commits = ready, commits

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
                self._pause(now)
                ended = self._now()
                breaks.until = self._until = ended + max(_EVERY, ended - now)
                self._next = ended + max(_EVERY, (now - self._since) / _SHARE)
        except BaseException as error:
            self._raised(error)

    def _pause(self, now: float) -> None:
        ready, self._ready = self._ready, None
        if ready is None or now < max(self._wait_from, self._breaks.wait_from):
            self._rest(_PAUSE)
            return
        was_ready = ready(_PREPARES + _PREPARES_EACH * self._commits)
        ended = self._now()
        self._breaks.wait_from = ended + (ended - now)
        if was_ready:
            self._seldom = 1
        else:
            self._wait_from = ended + self._seldom * (ended - now)
            self._seldom = min(_SELDOM, 2 * self._seldom)
