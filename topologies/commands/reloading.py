"""Whether a topology's files have changed."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TypeAlias

import trio

__all__ = ["Mark", "Marks", "marks", "watch_files"]

Mark: TypeAlias = tuple[int, int, int] | None
"""Modification time, size and inode of a file; None for one that is not there."""
Marks: TypeAlias = Mapping[str, Mark]


def marks(files: Iterable[str | os.PathLike[str]]) -> Marks:
    """What tells whether files have changed. Blocks."""
    return {os.fspath(file): _mark(file) for file in files}


def _mark(file: str | os.PathLike[str]) -> Mark:
    try:
        found = os.stat(file)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


async def watch_files(
    read: Callable[[], Marks],
    changed: Callable[[], Awaitable[None]],
    every: float = 1.0,
) -> None:
    """Call `changed` once files have changed and stayed the same from one look to the next. Does not return.

    `read()` gives the files as they were when they were last read for good, so what has changed before the first look
    counts too. It looks every so many seconds, so a change is told of after one to two of them: a file may be seen in
    the middle of being written. A file that is gone is taken for one that is being replaced: nothing happens until it
    is there again.
    """
    taken = known = last = read()
    while True:
        await trio.sleep(every)
        if read() is not taken:
            taken = known = last = read()
        found = await trio.to_thread.run_sync(marks, known)
        if found != known and found == last and None not in found.values():
            known = found
            await changed()
        last = found
