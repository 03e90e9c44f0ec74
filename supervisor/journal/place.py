"""Whether a file that is in use still is where its name says, with the two that SQLite keeps beside it.

Whoever moves, replaces or removes one of them under an open connection notices nothing, and neither does SQLite: it
goes on in what it has open, which nobody will ever find again (https://sqlite.org/howtocorrupt.html).
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, TypeAlias

from treewarden.agents.errors import JournalError

from .log import Log

__all__ = ["Place", "found_at", "refuse_second_name"]

_BESIDE: Final = ("", "-wal", "-shm")
_Identity: TypeAlias = tuple[int, int] | None


def found_at(file: pathlib.Path) -> Place | None:
    """Where `file` is now; None for one that the system knows nothing of, as in a simulation. Blocks."""
    if _identity(os.fspath(file)) is None:
        return None
    names = [os.path.realpath(file) + beside for beside in _BESIDE]
    identities = [_identity(name) for name in names]
    if None in identities:
        return None
    try:
        log = Log(names[1])
    except OSError:  # it has gone since, or nobody may read it: then neither is looked after
        return None
    return Place(os.path.abspath(file), names, identities, log)


class Place:
    """Where three files were. `close` it before the connection that has them open."""

    def __init__(self, file: str, names: Sequence[str], identities: Sequence[_Identity], log: Log) -> None:
        self._file = file
        self._names = names
        self._identities = identities
        self.log = log

    def close(self) -> None:
        self.log.close()

    def gone(self) -> str:
        """The name at which something else is, or nothing; empty if all are where they were. Blocks."""
        for name, identity in zip(self._names, self._identities, strict=True):
            if _identity(name) != identity:
                return name
        same = self._file == self._names[0] or _identity(self._file) == self._identities[0]
        return "" if same else self._file


def refuse_second_name(file: pathlib.Path) -> None:
    """The write-ahead log, its locks and so its owner are found by the name: under another one nobody sees them."""
    with suppress(OSError):
        names = file.stat().st_nlink
        if names > 1 and file.is_file():
            raise JournalError(
                f"{file} is one of {names} hard links to the same file, which may be owned under another of them: its"
                " log lies beside one name only. Remove the others (find -samefile tells them), or make a copy"
            )


def _identity(name: str) -> _Identity:
    try:
        found = os.stat(name)
    except OSError:
        return None
    return found.st_dev, found.st_ino
