"""A file that somebody has written by hand: a topology, rules, worlds."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Final

__all__ = ["content_of", "remedy_for"]

_MOST: Final = 16_000_000
"""Bytes: thousands of times what the largest of them has."""


def content_of(file: str | os.PathLike[str]) -> bytes:
    """What stands in the file. Blocks.

    Raises `OSError`, also for one of more than 16 million bytes: a device may never end. A pipe is waited for.
    """
    path = Path(file)
    with path.open("rb") as opened:
        content = opened.read(_MOST + 1)
    if len(content) > _MOST:
        raise OSError(errno.EFBIG, "it has more than 16 million bytes", str(path))
    return content


def remedy_for(error: OSError) -> str:
    """What to do about what `content_of` has raised, if it is not the name that is wrong; else nothing."""
    if isinstance(error, PermissionError):
        return "give this user the right to read it"
    return "copy what is meant to a file" if error.errno == errno.EFBIG else ""
