"""Whether a file that is in use still is where its name says, with the two that SQLite keeps beside it.

Whoever moves, replaces or removes one of them under an open connection notices nothing, and neither does SQLite: it
goes on in what it has open, which nobody will ever find again (https://sqlite.org/howtocorrupt.html).
"""

from __future__ import annotations

import errno
import logging
import os
import pathlib
import sqlite3
import stat
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, TypeAlias, cast

from treewarden.agents.core.said import shown
from treewarden.agents.errors import ConfigurationError, JournalError

from .log import Log, forget_index

__all__ = [
    "Lookout",
    "Place",
    "found_at",
    "is_alone",
    "named",
    "refuse_second_name",
    "refuse_unreachable",
    "refuse_unreadable",
    "warn_of_log",
]

_LOG: Final = logging.getLogger("treewarden")

_BESIDE: Final = ("", "-wal", "-shm")
_LONGEST: Final = "-journal"
"""Of what SQLite puts behind the name of a file for those that it makes beside it."""
_BUSY: Final = 8
"""Commits to a transaction beside which the log is looked at every `_LOOKS` times only: each of the three calls of the
system may have to wait until the loop, which is busy then, lets go of the interpreter."""
_LOOKS: Final = 4
_LARGE: Final = 128_000_000
"""Bytes of a log that somebody keeps from beginning anew: with nobody reading for long it stays below a quarter."""
_STAYS: Final = 4
"""Looks at which it is as large: after a transaction that was as large by itself the next commits make it short."""
_Identity: TypeAlias = tuple[int, int] | None


def named(file: object) -> pathlib.Path:
    """The name of a journal's file. Raises `ConfigurationError` for what can be none, or looks as if it meant another
    thing."""
    if isinstance(file, str) and (file == ":memory:" or file.startswith("file:")):
        raise ConfigurationError(
            f"the journal is {file!r}, which SQLite takes for no file; leave it out for one in memory, or "
            f"give './{file}' for a file of that name"
        )
    with suppress(TypeError, UnicodeError):  # no path, or with half a character, which no system takes in a name
        name = os.fspath(cast("str", file))
        if name and b"\0" not in os.fsencode(name):
            return pathlib.Path(name)
    raise ConfigurationError(
        f"the journal is {shown(file)}; it must be the name of a file, or nothing for one in memory"
    )


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
    return Place(os.fspath(file.absolute()), names, identities, log)


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


class Lookout:
    """Looks after the three files of one owner, over all its connections. Every call blocks."""

    def __init__(self, file: pathlib.Path, large: int = _LARGE) -> None:
        """Of a log of `large` bytes it is said why that is, again whenever there are twice as many."""
        self._file = file
        self._place: Place | None = None
        self._large = self._told_at = large
        self._stays = 0
        """Looks in a row at which it was as large as it is to be told of."""
        self._unlooked = 0
        """Looks at the place of the file since one at its log."""
        self._spoilt = False
        """What SQLite takes for the log is none: it must not copy that into the file."""

    @property
    def log(self) -> Log | None:
        """The log beside the file; None while there is none that can be looked after."""
        return None if self._place is None else self._place.log

    def begin(self) -> None:
        """A connection has the files open."""
        self._place = found_at(self._file)

    def end(self) -> None:
        """That connection is about to be closed."""
        place, self._place = self._place, None
        if place is not None:
            place.close()
        if self._spoilt:
            forget_index(str(self._file))

    def look(self, commits: int, renew: Callable[[], None], written: bool) -> JournalError | None:
        """Why nobody will find what was `written` just now, in a transaction of so many commits: it is not acknowledged
        then. None: it is where it should be, or nothing was written. `renew` makes the shortest commit that changes
        something."""
        if self._place is None:
            self.begin()  # anew for each connection: the last one takes the log along
        name = self._place.gone() if self._place is not None else ""
        if name:
            return JournalError(
                f"{name} was moved, replaced or removed while {self._file} was in use, so nobody would find what is"
                " written now: put back what lay there, before anybody opens it, and start again"
            )
        self._spoilt = self._is_log_spoilt(commits, renew, written)
        if not self._spoilt:
            self._tell_of_growth()
            return None
        return JournalError(
            f"{self._file}-wal was cut off or overwritten while it was in use: what is written now would not be found,"
            " and some of what was written before may be gone. Restore the file from a copy, or start again with what"
            " it holds"
        )

    def _tell_of_growth(self) -> None:
        """What is read in one transaction has to stay in the log with all that is written after it. The reader notices
        nothing, and nobody else does before the disk is full."""
        size = 0
        if self._place is not None:
            with suppress(OSError):
                size = self._place.log.size
        if size < self._large:
            self._told_at = self._large
        if size < self._told_at:
            self._stays = 0
            return
        self._stays += 1
        if self._stays >= _STAYS:
            self._told_at, self._stays = 2 * size, 0
            _LOG.warning(
                "%s-wal has grown to %d MB: somebody has been reading %s for long, as in a shell that was left behind"
                " BEGIN, or a copy. It begins anew when that ends; `fuser %s-shm` tells who has it open",
                self._file,
                size // 1_000_000,
                self._file.name,
                self._file.name,
            )

    def _is_log_spoilt(self, commits: int, renew: Callable[[], None], written: bool) -> bool:
        self._unlooked += 1
        if self._place is None or (commits >= _BUSY and self._unlooked < _LOOKS):
            return False
        self._unlooked = 0
        try:
            return not self._place.log.is_as_written(renew, written)
        except (OSError, JournalError, sqlite3.OperationalError):  # it was not found out: the next look will
            return False
        except sqlite3.DatabaseError:  # and it is read as what it is not
            return True


def refuse_unreachable(file: pathlib.Path) -> None:
    """Raise `JournalError` where a journal can neither be nor be made, which SQLite would call something else."""
    try:
        found = os.stat(file)  # which says why where nobody may look; `is_dir` does not, from 3.14 on
    except (FileNotFoundError, NotADirectoryError) as error:  # it is to be made
        if not file.parent.is_dir():
            raise JournalError(f"{file} cannot be made: there is no folder {file.parent}") from error
        _refuse_long(file)
        return
    except OSError as error:
        raise JournalError(f"{file} cannot be opened: {error.strerror}. Name one that this user can reach") from error
    if not stat.S_ISREG(found.st_mode) and not stat.S_ISDIR(found.st_mode):
        raise JournalError(f"{file} is a device or a pipe: name a file")
    _refuse_byte(file, found)


def refuse_unreadable(path: pathlib.Path) -> None:
    """Raise `JournalError` where there is no journal that this user may read."""
    try:
        found = os.stat(path)  # not by `is_file`, which from 3.14 on is False where nobody may look
        if stat.S_ISDIR(found.st_mode):
            raise JournalError(f"{path} is a folder: name the journal in it")
        if not stat.S_ISREG(found.st_mode):
            raise _none_at(path)
        _refuse_byte(path, found)
        # Not by opening it: to close it again would take the locks from an owner in this process.
        readable = os.access(path, os.R_OK, effective_ids=os.access in os.supports_effective_ids)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        raise _none_at(path) from None
    except OSError as error:
        raise JournalError(f"{path} cannot be read: {error.strerror}") from error
    if not readable:
        raise JournalError(f"{path} may not be read by this user: give it the right to, or read a copy")


def _refuse_byte(file: pathlib.Path, found: os.stat_result) -> None:
    """SQLite takes a file of one byte for an empty one, and overwrites it: a disk of its own writes such files."""
    if found.st_size == 1 and stat.S_ISREG(found.st_mode):
        raise JournalError(
            f"{file} is not a treewarden journal: it is no SQLite database, but a single byte. Name another file"
        )


def _none_at(path: pathlib.Path) -> JournalError:
    return JournalError(f"there is no journal {path}: give the file that a tree was started with")


def _refuse_long(file: pathlib.Path) -> None:
    """A name may be one that a file can have, and not those that SQLite keeps beside it."""
    try:
        os.stat(os.path.realpath(file) + _LONGEST)
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise JournalError(
                f"{file} cannot be opened: with {_LONGEST} behind it, for a file that SQLite keeps beside it, its name"
                " is too long. Give it a shorter one"
            ) from error


def refuse_second_name(file: pathlib.Path) -> None:
    """The write-ahead log, its locks and so its owner are found by the name: under another one nobody sees them."""
    with suppress(OSError):
        names = file.stat().st_nlink
        if names > 1 and file.is_file():
            raise JournalError(
                f"{file} is one of {names} hard links to the same file, which may be owned under another of them: its"
                " log lies beside one name only. Remove the others (find -samefile tells them), or make a copy"
            )


def is_alone(file: pathlib.Path) -> bool:
    """Whether it lies there without a log: to be called before a connection makes one. Blocks."""
    name = os.path.realpath(file)
    return os.path.exists(name) and not os.path.exists(f"{name}-wal")


def warn_of_log(file: pathlib.Path) -> None:
    """Say that the log may be missing of a file that was alone although its owner has not closed it in order: one that
    dies leaves it there. Another program that has opened the file since has copied the log into it and taken it away;
    nothing in the file tells that from a log that was removed."""
    _LOG.warning(
        "%s was not closed in order, and no %s-wal lay beside it. If that was removed, or this is a copy made with cp"
        " while its tree ran, what was acknowledged last is missing here: end this process, and start again with both"
        " files, or with the original. A copy made with .backup has everything, and so has a file that another program,"
        " such as sqlite3, has opened since its owner died",
        file,
        file.name,
    )


def _identity(name: str) -> _Identity:
    try:
        found = os.stat(name)
    except OSError:
        return None
    return found.st_dev, found.st_ino
