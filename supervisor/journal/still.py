"""A journal where nobody may write: on a disk that is mounted read-only, or in a folder of somebody else's.

SQLite reads a file with a write-ahead log only where it may make an index of that log beside it. Where there is no log,
all of the journal is in the file, and it can be read as it lies (`immutable=1`), without locks. Nobody who owns it is
without a log, so the file is looked at again after each answer: whoever began to write in it has changed that.
"""

from __future__ import annotations

import os
import pathlib
from typing import TypeAlias

from treewarden.agents.core.values import frozen
from treewarden.agents.errors import JournalError

__all__ = ["Still", "found_still"]

_Look: TypeAlias = tuple[int, int, int, int]


@frozen
class Still:
    """A file that nobody is writing, as it was when it was found so."""

    file: pathlib.Path
    look: _Look

    @property
    def uri(self) -> str:
        """By what SQLite opens it without anything beside it."""
        return f"{self.file.absolute().as_uri()}?immutable=1"

    def check(self) -> None:
        """Raise `JournalError` if somebody may have written since. Blocks."""
        if _log_of(self.file) or _look(self.file) != self.look:
            raise JournalError(f"{self.file} was opened or changed by its owner while it was read: read it again")


def found_still(file: pathlib.Path) -> Still:
    """Raises `JournalError` where the newest commits lie beside the file, in a log that cannot be read there."""
    if _log_of(file):
        raise JournalError(
            f"{file} cannot be read where it is: SQLite has to make {file.name}-shm beside it, for what lies in"
            f" {file.name}-wal, and may not write to {file.parent}, or finds no room there. Copy {file.name} and"
            f" {file.name}-wal to a folder of your own, and read the copy"
        )
    return Still(file, _look(file))


def _log_of(file: pathlib.Path) -> bool:
    """Whether there is a log with anything in it."""
    try:
        return os.stat(f"{os.path.realpath(file)}-wal").st_size > 0
    except FileNotFoundError:
        return False
    except OSError as error:
        raise JournalError(f"{file} cannot be read: {error}") from error


def _look(file: pathlib.Path) -> _Look:
    try:
        found = os.stat(file)
    except OSError as error:
        raise JournalError(f"{file} cannot be read: {error}") from error
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
