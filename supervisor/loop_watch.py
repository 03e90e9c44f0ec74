"""A thread that notices when a handler blocks the loop, and says which agent, which handler and which line."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Final

import trio

from treewarden.agents.core.path import Path
from treewarden.agents.core.values import frozen
from treewarden.agents.life import Life

__all__ = ["Blocked", "LoopWatch", "runs_in_real_time"]

_LOG: Final = logging.getLogger("treewarden")
_AGENTS: Final = Life.__module__.removesuffix("life")


@frozen
class Blocked:
    """The loop did not turn for a while, and this was running."""

    path: Path | None
    """The slot whose handler it was; None where the loop was held up by something else."""
    handler: str
    """The function that the runner had called."""
    line: str
    """`file:line in function` of the innermost frame."""
    seconds: float

    def __str__(self) -> str:
        who = f"{self.path}: {self.handler}" if self.path is not None else "something that is no handler"
        return f"{who} has blocked the loop for {self.seconds:.2g} s, at {self.line}; await, or use trio.to_thread"


class LoopWatch:
    """Asks the loop for a sign of life from a thread of its own; costs the loop one callback each time, and no more.

    A blocked loop is logged once, at most `limit` + 0.25 seconds after it began, and reported to `found` in the loop
    when it turns again. It cannot be ended from here: nothing in a process can. A sample that the thread itself took
    late is thrown away, for a busy machine is no blocked loop. Sources: `sys._current_frames`, `sys.setswitchinterval`.
    """

    def __init__(self, found: Callable[[Blocked], None], *, limit: float = 0.5) -> None:
        self._found = found
        self._limit = limit
        self._beat = 0
        self._ended = threading.Event()
        self._loop_thread = threading.get_ident()
        self._token = trio.lowlevel.current_trio_token()
        self._thread = threading.Thread(target=self._watch, name="treewarden loop watch", daemon=True)

    def start(self) -> None:
        """Begin to watch the loop of the task that made this."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; it is gone when this returns."""
        self._ended.set()
        self._thread.join()

    def _turned(self) -> None:
        self._beat += 1

    def _watch(self) -> None:
        pause = self._limit / 2
        while not self._ended.wait(pause):
            asked, beat = time.monotonic(), self._beat
            try:
                self._token.run_sync_soon(self._turned, idempotent=True)
            except trio.RunFinishedError:
                return
            reported = False
            while self._beat == beat and not self._ended.wait(pause / 2):
                waited = time.monotonic() - asked
                if not reported and self._limit <= waited < 3 * self._limit:
                    reported = True
                    self._report(waited)

    def _report(self, seconds: float) -> None:
        frames = sys._current_frames()  # pyright: ignore[reportPrivateUsage]  # documented, whatever its name
        frame = frames.get(self._loop_thread)
        if frame is None:
            return
        blocked = where(frame, seconds)
        if blocked is None:
            return
        _LOG.warning("%s", blocked)
        try:
            self._token.run_sync_soon(self._found, blocked)
        except trio.RunFinishedError:
            return


def where(frame: FrameType, seconds: float) -> Blocked | None:
    """What a stack of the loop's thread was doing; None for a loop that waits for its next event, as it should."""
    line = f"{'/'.join(frame.f_code.co_filename.split('/')[-2:])}:{frame.f_lineno} in {frame.f_code.co_name}"
    callee = ""
    step: FrameType | None = frame
    while step is not None:
        ours = str(step.f_globals.get("__name__", "")).startswith(_AGENTS)
        life = step.f_locals.get("life") if ours else None
        if isinstance(life, Life):
            return Blocked(life.slot.path, callee, line, seconds)
        if not ours:
            callee = step.f_code.co_qualname
        step = step.f_back
    if frame.f_globals.get("__name__", "").startswith("trio."):
        return None
    return Blocked(None, "", line, seconds)


def runs_in_real_time() -> bool:
    """Whether trio's clock is the real one: a thread has nothing to say about simulated time."""
    testing = sys.modules.get("trio.testing")
    return testing is None or not isinstance(trio.lowlevel.current_clock(), testing.MockClock)
