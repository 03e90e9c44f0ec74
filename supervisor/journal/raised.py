"""What an error that SQLite has raised says about what was being written."""

from __future__ import annotations

import sqlite3
from typing import Final

__all__ = ["is_busy", "is_of_a_damage", "is_of_a_sync", "refuses_all", "was_cut_short"]

_DAMAGED: Final = ("Could not decode to UTF-8", "no such table: ", "no such column: ")
"""What SQLite says of a text, or of tables that another program has changed, by an error for anything."""


def is_busy(error: BaseException) -> bool:
    """Whether somebody else's lock stood in the way."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY


def was_cut_short(error: BaseException) -> bool:
    """Whether a COMMIT that raised this cannot have written the end of its transaction: a write failed, not a sync."""
    return getattr(error, "sqlite_errorcode", None) in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE)


def is_of_a_sync(error: BaseException) -> bool:
    """Whether something that was written may be gone without another error."""
    return getattr(error, "sqlite_errorcode", None) in (sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_IOERR_DIR_FSYNC)


def is_of_a_damage(error: sqlite3.Error) -> bool:
    """Whether it says that the file does not hold what was written, and not that it could not be read now."""
    return type(error) is sqlite3.DatabaseError or str(error).startswith(_DAMAGED)


def refuses_all(error: Exception) -> bool:
    """Whether the disk or the database refused, and not one row."""
    return isinstance(error, sqlite3.OperationalError) or type(error) is sqlite3.DatabaseError
