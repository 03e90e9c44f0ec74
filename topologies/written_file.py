"""A file that somebody has written by hand: a topology, rules, worlds."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Final

__all__ = ["content_of", "remedy_for"]

_MOST: Final = 16_000_000
"""Bytes: thousands of times what the largest of them has."""


def content_of(file: str | os.PathLike[str]) -> bytes:
    """What stands in the file. Blocks.

    Raises `OSError`, also for one of more than 16 million bytes, and for a pipe or a device, which may never
    end.
    """
    path = Path(file)
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
    with path.open("rb") as opened:
        content = opened.read(_MOST + 1)
    if len(content) > _MOST:
        raise OSError(errno.EFBIG, "it has more than 16 million bytes", str(path))
    return content


def remedy_for(error: OSError) -> str:
    """What to do about what `content_of` has raised, if it is not the name that is wrong; else nothing."""
    if isinstance(error, PermissionError):
        return "give this user the right to read it"
    return "copy what is meant to a file" if error.errno in (errno.EINVAL, errno.EFBIG) else ""
