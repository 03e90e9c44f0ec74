"""What the operating system asks of a run, heard even where an agent does not let the loop go on."""

from __future__ import annotations

import math
import os
import signal
import threading
from collections.abc import AsyncIterator, Callable, Generator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Final, NoReturn

import trio

from treewarden.agents.wake import call_in_loop

from .exits import ExitCode

__all__ = ["STOPS", "ExitNow", "LoopWatch", "say_and_exit", "signals"]

STOPS: Final = (signal.SIGINT, signal.SIGTERM)
ExitNow = Callable[[str, ExitCode], NoReturn]
"""Ends the process at once with a last sentence; nothing is closed."""

_LAST: Final = 3
"""The stop signal that is not left to the loop."""
_STANDSTILL: Final = 10.0
_KEPT: Final = "what was acknowledged is in the journal"


def say_and_exit(sentence: str, code: ExitCode, farewell: str = "") -> NoReturn:
    """Write `farewell` to stdout and the sentence to stderr, past all buffers and locks, and end the process."""
    try:
        if farewell:
            os.write(1, farewell.encode())
        os.write(2, f"\n{sentence}\n".encode(errors="replace"))
    finally:
        os._exit(code)


@contextmanager
def signals(
    exit_now: ExitNow = say_and_exit, standstill: float = _STANDSTILL, more: Sequence[signal.Signals] = ()
) -> Generator[AsyncIterator[signal.Signals]]:
    """SIGINT, SIGTERM and SIGHUP, and `more`, as they come. For use in the main thread, in trio.

    The third SIGINT or SIGTERM ends the process from within the signal's handler: two were not enough, so the loop is
    not to be relied on. After the first, the process ends as well when the loop stands still for so many seconds.
    """
    send, receive = trio.open_memory_channel[signal.Signals](math.inf)
    token = trio.lowlevel.current_trio_token()
    watch = LoopWatch(token, standstill, exit_now)
    stops = 0

    def heard(number: int, frame: FrameType | None) -> None:
        nonlocal stops
        if number in STOPS:
            stops += 1
            if stops == _LAST:
                exit_now(f"treewarden: ended by a third signal; {_KEPT}", ExitCode.FORCED)
            watch.arm()
        token.run_sync_soon(send.send_nowait, signal.Signals(number))

    heeded = [*STOPS, signal.SIGHUP, *more]
    before = {each: signal.signal(each, heard) for each in heeded}
    try:
        yield receive
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
        watch.close()


class LoopWatch:
    """A thread that sleeps until it is armed, and then ends the process if the loop does nothing for `limit` seconds.

    Armed by a signal's handler, which may not start a thread nor take a lock: it writes a byte.
    """

    def __init__(self, token: trio.lowlevel.TrioToken, limit: float, exit_now: ExitNow) -> None:
        self._token = token
        self._limit = limit
        self._exit_now = exit_now
        self._closed = threading.Event()
        self._wakes, self._wake = os.pipe()
        self._thread = threading.Thread(target=self._run, name="treewarden loop watch", daemon=True)
        self._thread.start()

    def arm(self) -> None:
        """Begin to watch. Done again, it changes nothing."""
        os.write(self._wake, b"!")

    def close(self) -> None:
        """End the thread."""
        self._closed.set()
        os.close(self._wake)
        self._thread.join()

    def _run(self) -> None:
        armed = os.read(self._wakes, 1)
        while armed and not self._closed.is_set():
            alive = threading.Event()
            if not call_in_loop(self._token, alive.set):
                break
            if not self._lives(alive):
                self._exit_now(
                    f"treewarden: an agent has not let the loop go on for {self._limit:g} s; {_KEPT}",
                    ExitCode.LEFT_BEHIND,
                )
            self._closed.wait(self._limit / 10)
        os.close(self._wakes)

    def _lives(self, alive: threading.Event) -> bool:
        waited = 0.0
        while waited < self._limit and not self._closed.is_set():
            if alive.wait(self._limit / 20):
                return True
            waited += self._limit / 20
        return alive.is_set() or self._closed.is_set()
