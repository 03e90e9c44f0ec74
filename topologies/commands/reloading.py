"""Whether a topology's files have changed."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

import trio

__all__ = ["Mark", "marks", "watch_files"]

Mark: TypeAlias = tuple[int, int, int] | None
"""Modification time, size and inode of a file; None for one that is not there."""


def marks(files: Sequence[str | os.PathLike[str]]) -> tuple[Mark, ...]:
    """What tells whether files have changed. Blocks."""
    return tuple(_mark(file) for file in files)


def _mark(file: str | os.PathLike[str]) -> Mark:
    try:
        found = os.stat(file)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


async def watch_files(
    files: Callable[[], Sequence[str | os.PathLike[str]]],
    changed: Callable[[], Awaitable[None]],
    every: float = 1.0,
) -> None:
    """Call `changed` once `files()` have changed and stayed the same from one look to the next. Does not return.

    It looks every so many seconds, so a change is told of after one to two of them: a file may be seen in the middle of
    being written. A file that is gone is taken for one that is being replaced: nothing happens until it is there again.
    """
    known = last = await trio.to_thread.run_sync(marks, files())
    while True:
        await trio.sleep(every)
        watched = files()
        found = await trio.to_thread.run_sync(marks, watched)
        if found != known and found == last and None not in found:
            known = found
            await changed()
            if files() != watched:
                known = found = await trio.to_thread.run_sync(marks, files())
        last = found
