"""A file that is there whole, or not at all: whatever fails while it is made."""

from __future__ import annotations

import errno
import os
import pathlib
import signal
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Final

from treewarden.agents.errors import JournalError

__all__ = ["keep_names", "refuse_remains", "whole_or_not"]


_ENDS: Final = (signal.SIGINT, signal.SIGTERM)
_REMAINS: Final = ("-wal", "-journal")
_NO_LINKS: Final = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS)
"""What a file system says that has no hard links, FAT for example."""


@contextmanager
def whole_or_not(file: pathlib.Path, ending: str) -> Generator[pathlib.Path]:
    """A new, empty file beside `file` with `ending` at its name, to be filled and synced by the block; then it is
    called `file`, and that is synced. If the block raises, or this cannot be done, neither is there; a signal whose
    handler raises, as that of Ctrl-C does, leaves nothing or all.

    A process that is killed leaves the one beside it. It replaces nothing; where the disk has no hard links, nothing
    that was there a moment before. Raises `JournalError`: if one of the two names is taken, if no file can be made
    there, if the other name cannot be taken from it, and if the block raises and its file cannot be removed. Blocks.
    """
    if os.path.exists(file):  # whatever its name is: `Path.exists` raises for some
        raise _taken(file)
    partial = file.with_name(file.name + ending)
    made = False
    try:
        with _put_off():
            _make_empty(partial, file)
            made = True
        yield partial
        with _put_off():
            _give_name(partial, file)
            made = False
            _take_other_name(partial, file)
    except BaseException as error:
        if made:
            with _put_off():  # who is not patient presses Ctrl-C again
                _remove_half(partial, error)
        raise


def refuse_remains(file: pathlib.Path) -> None:
    """Raise `JournalError` where a log lies beside the name that a new journal is to have. Blocks.

    SQLite knows by the name which log belongs to a file: it would read that of one which was removed as what came
    last in the new one.
    """
    if os.path.exists(file):
        return  # it is its own, and whoever would make the file is told that it is there
    for end in _REMAINS:
        beside = file.with_name(file.name + end)
        with suppress(OSError):  # there is none
            if os.stat(beside).st_size:
                raise JournalError(
                    f"{beside} lies there, of a journal that was called {file.name} before: it would be taken for the"
                    " log of the new one. Move it away if that journal is not wanted any more, or name another file"
                )


@contextmanager
def _put_off() -> Generator[None]:
    """Let signals that end a process come when the block is over, where no other thread could take them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())  # by itself: a call that blocks one may raise for it
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, _ENDS)
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def keep_names(folder: pathlib.Path) -> None:
    """Sync what is called how in a folder. Raises `OSError`."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _taken(file: pathlib.Path) -> JournalError:
    return JournalError(f"{file} is there already: name a new file")


def _make_empty(partial: pathlib.Path, file: pathlib.Path) -> None:
    made = False
    try:
        opened = os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        made = True
        os.close(opened)
    except FileExistsError:
        raise JournalError(f"{partial} is there already: remove it if nobody makes {file} now") from None
    except OSError as error:
        if made:
            with suppress(OSError):
                _remove(partial)
        why = f"there is no folder {file.parent}" if error.errno == errno.ENOENT else error.strerror
        raise JournalError(f"{file} cannot be made: {why}") from error


def _give_name(partial: pathlib.Path, file: pathlib.Path) -> None:
    named = False
    try:
        try:
            os.link(partial, file)
        except OSError as error:
            if error.errno not in _NO_LINKS or os.path.exists(file):
                raise
            os.rename(partial, file)
        named = True
        keep_names(file.parent)
    except FileExistsError:
        raise _taken(file) from None
    except OSError as error:
        if named:
            with suppress(OSError):
                os.unlink(file)
        raise JournalError(f"{file} cannot be made there, where {partial.name} could: {error.strerror}") from error


def _take_other_name(partial: pathlib.Path, file: pathlib.Path) -> None:
    try:
        _remove(partial)
    except FileNotFoundError:  # it was renamed
        return
    except OSError as error:
        raise JournalError(
            f"{file} is made, and {partial}, which is the same file, cannot be removed ({error.strerror}): remove it"
            " before you use either"
        ) from error


def _remove_half(partial: pathlib.Path, why: BaseException) -> None:
    try:
        _remove(partial)
    except FileNotFoundError:  # it had the other name already, and that was taken away
        pass
    except OSError as error:
        if isinstance(why, Exception):  # and not what ends the process
            raise JournalError(
                f"{partial} is half a file, and cannot be removed ({error.strerror}): remove it. It was not made whole:"
                f" {why}"
            ) from why


def _remove(partial: pathlib.Path) -> None:
    with suppress(OSError):  # SQLite has removed its journal by itself, unless something has failed
        os.unlink(partial.with_name(f"{partial.name}-journal"))
    os.unlink(partial)
