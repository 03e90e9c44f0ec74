"""Where text goes: a stream that may be a terminal, a pipe nobody reads for a while, or one whose reader has gone."""

from __future__ import annotations

import errno
import io
import os
import select
import shutil
from collections.abc import Callable
from typing import Final, TextIO

import trio
from attrs import define, field

from .wording import Paint

__all__ = ["Output", "has_cursor", "paint_for", "width_of", "writer"]

_WIDTH: Final = 100
_NO_CURSOR: Final = frozenset({"", "dumb", "unknown"})
"""Values of TERM that name terminals on which nothing can be drawn over."""
_GONE: Final = frozenset({errno.EPIPE, errno.EIO, errno.EBADF, errno.ENXIO, errno.ECONNRESET})
"""Errors of a stream that nobody will read again: a pipe without a reader, a terminal that was closed."""


def writer(stream: TextIO) -> Callable[[str], None]:
    """A function that writes text to `stream` and returns when all of it is written.

    It writes to the file descriptor, so that a thread that is stuck in it holds no lock of the interpreter; one that
    does not block is waited for. What the encoding cannot express is replaced. Raises `BrokenPipeError` for a stream
    whose reader is gone, and what else the system refuses it with.
    """
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError, io.UnsupportedOperation):  # a stream in memory

        def to_stream(text: str) -> None:
            stream.write(text)
            stream.flush()

        return to_stream
    stream.flush()
    encoding = stream.encoding or "utf-8"

    def to_descriptor(text: str) -> None:
        data = memoryview(text.encode(encoding, "replace"))
        while data:
            try:
                data = data[os.write(descriptor, data) :]
            except BlockingIOError:
                select.select([], [descriptor], [])

    return to_descriptor


def paint_for(stream: TextIO, no_color: str | None) -> Paint:
    """Colours for a terminal, unless the environment's `NO_COLOR` is set to anything (no-color.org)."""
    return Paint(stream.isatty() and not no_color)


def has_cursor(stream: TextIO, term: str) -> bool:
    """Whether it is a terminal on which something can be drawn over; `term` is what the environment calls it."""
    return stream.isatty() and term not in _NO_CURSOR


def width_of(stream: TextIO) -> int | None:
    """The columns of a terminal; None for a stream that is none, which gets whole lines."""
    if not stream.isatty():
        return None
    try:
        return os.get_terminal_size(stream.fileno()).columns or _WIDTH
    except (OSError, ValueError, io.UnsupportedOperation):
        return shutil.get_terminal_size((_WIDTH, 24)).columns


@define(eq=False)
class Output:
    """Text out of a loop that must not wait for whoever reads it: each write is done in a thread, in order.

    A reader that stops reading delays the writes and nothing else. When it has gone, `gone` is set and further text
    is dropped. A text that cannot be written for another reason, as on a full disk, is dropped too, and `complain` is
    told of the first: nobody should have to stop because there is no room for what they say.
    """

    write_now: Callable[[str], None]
    complain: Callable[[str], None]
    gone: trio.Event = field(factory=trio.Event)
    _complained: bool = False
    _turn: trio.Lock = field(factory=trio.Lock)

    async def write(self, text: str) -> None:
        """Write `text`. Cancelled: it may still be written, and later text after it."""
        if not text or self.gone.is_set():
            return
        async with self._turn:
            try:
                await trio.to_thread.run_sync(self.write_now, text, abandon_on_cancel=True)
            except OSError as error:
                if error.errno in _GONE:
                    self.gone.set()
                elif not self._complained:
                    self._complained = True
                    self.complain(f"the output cannot be written ({error.strerror}), and what it lacks is not repeated")
