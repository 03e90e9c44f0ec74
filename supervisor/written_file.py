"""A file that somebody has written, and names: a topology, rules, worlds, keys, labels, heads."""

from __future__ import annotations

import errno
import io
import os
import stat
from collections.abc import Iterator
from typing import IO, Final

__all__ = ["content_of", "lines_of", "remedy_for"]

_MOST: Final = 16_000_000
"""Bytes: thousands of times what the largest of those has that are read as a whole."""


def content_of(file: str | os.PathLike[str]) -> bytes:
    """What stands in the file. Blocks.

    Raises `OSError`, also for one of more than 16 million bytes: a device may never end. A pipe is waited for.
    """
    with open(file, "rb") as opened:
        return _bounded(opened, file)


def lines_of(file: str | os.PathLike[str], *, errors: str = "strict") -> Iterator[str]:
    """The lines that stand in the file, one after the other and as many as there are: it has an end. Blocks.

    Raises `OSError`, and `UnicodeDecodeError` unless `errors` says otherwise. What lies on no disk may have no end, so
    that is read as by `content_of`.
    """
    with open(file, "rb") as opened:
        if stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
            with io.TextIOWrapper(opened, "utf-8", errors, newline="\n") as lines:
                yield from lines
        else:
            yield from io.StringIO(_bounded(opened, file).decode("utf-8", errors), newline="\n")


def _bounded(opened: IO[bytes], file: str | os.PathLike[str]) -> bytes:
    content = opened.read(_MOST + 1)
    if len(content) > _MOST:
        raise OSError(errno.EFBIG, "it has more than 16 million bytes", os.fspath(file))
    return content


def remedy_for(error: OSError) -> str:
    """What to do about what `content_of` has raised, if it is not the name that is wrong; else nothing."""
    if isinstance(error, PermissionError):
        return "give this user the right to read it"
    return "copy what is meant to a file" if error.errno == errno.EFBIG else ""
