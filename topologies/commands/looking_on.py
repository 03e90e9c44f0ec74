"""What whoever waits for a long command sees of it on a terminal, and how Ctrl-C ends what SQLite is at."""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
import time
from argparse import Namespace
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from typing import Final, TextIO

from attrs import frozen

from treewarden.supervisor.ops.output import has_cursor, width_of
from treewarden.supervisor.ops.wording import clean, clip, duration

__all__ = ["looking_on", "megabytes"]

_FIRST: Final = 1.0
"""Seconds for which nothing is said: most commands are done by then."""
_EVERY: Final = 0.5
_ENDS: Final = frozenset({signal.SIGINT, signal.SIGTERM})


@contextmanager
def looking_on(
    arguments: Namespace, how_far: Callable[[], str], interrupt: Callable[[], object] | None = None
) -> Generator[None]:
    """While the block lasts, say on a terminal (stderr) how far it has come: in one line, which is gone afterwards.

    `how_far` is called in a thread. Nothing is said in the first second, with `--json`, nor elsewhere.
    `interrupt` is called in that thread when a signal comes that ends the command: Python heeds it only when SQLite
    comes back, and one statement may take minutes. Not promised in another thread than the main one.

    An error while that signal is being heeded, as of a ROLLBACK that `interrupt` has met, comes out as the signal's.
    """
    line = _line_on(sys.stderr, arguments)
    main = threading.current_thread() is threading.main_thread()
    if line is None and (interrupt is None or not main):
        yield
        return
    heard, told = os.pipe()
    os.set_blocking(told, False)
    before = signal.set_wakeup_fd(told, warn_on_full_buffer=False) if interrupt is not None and main else None
    over = threading.Event()
    given = (heard, over, line, how_far, interrupt)
    thread = threading.Thread(target=_look_on, args=given, name="treewarden looks on", daemon=True)
    try:
        thread.start()
        yield
    except Exception as error:
        ending = _ending_behind(error)
        if ending is None:
            raise
        raise ending from None
    finally:
        over.set()
        if before is not None:
            signal.set_wakeup_fd(before)
        os.write(told, b"\0")
        thread.join()
        os.close(heard)
        os.close(told)


def _ending_behind(error: BaseException) -> BaseException | None:
    """What was on its way when `error` came instead, if that ends the command."""
    behind = error.__context__
    while behind is not None and not isinstance(behind, KeyboardInterrupt):
        behind = behind.__context__
    return behind


def megabytes(file: str) -> str:
    """How long a file is now, in words."""
    try:
        size = os.stat(file).st_size
    except OSError:  # not there yet, or not any more
        size = 0
    return f"{size // 1_000_000:,} MB"


@frozen
class _Line:
    """The last line of a terminal, written anew each time. What the terminal does not take at once is left out."""

    stream: TextIO

    def write(self, text: str) -> None:
        width = width_of(self.stream) or 80
        self._put(f"\r{clip(clean(text), width - 1)}\x1b[K")

    def clear(self) -> None:
        self._put("\r\x1b[K")

    def _put(self, text: str) -> None:
        with suppress(OSError, ValueError):
            descriptor = self.stream.fileno()
            if select.select([], [descriptor], [], 0)[1]:  # somebody may have stopped it, with Ctrl-S
                os.write(descriptor, text.encode(self.stream.encoding or "utf-8", "replace"))


def _line_on(stream: TextIO, arguments: Namespace) -> _Line | None:
    if getattr(arguments, "json", False) or not has_cursor(stream, os.environ.get("TERM", "")):
        return None
    if getattr(arguments, "output", "") == "-" and sys.stdout.isatty():  # what is exported stands there
        return None
    return _Line(stream)


def _look_on(
    heard: int,
    over: threading.Event,
    line: _Line | None,
    how_far: Callable[[], str],
    interrupt: Callable[[], object] | None,
) -> None:
    began, said = time.monotonic(), False
    wait = None if line is None else _FIRST
    while not over.is_set():
        if not select.select([heard], [], [], wait)[0]:
            if line is not None:
                line.write(f"{how_far()}, {duration(time.monotonic() - began)}")
                wait, said = _EVERY, True
        elif not _ENDS.isdisjoint(os.read(heard, 512)) and interrupt is not None:
            interrupt()
    if line is not None and said:
        line.clear()
