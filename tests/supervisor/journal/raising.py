"""Connections whose COMMIT raises: it says nothing about whether it stands."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any, Final

__all__ = ["ERRORS", "Connections", "Raising"]

ERRORS: Final[Mapping[str, tuple[type[Exception], int]]] = {
    "an I/O error": (sqlite3.OperationalError, sqlite3.SQLITE_IOERR),
    "a full disk": (sqlite3.OperationalError, sqlite3.SQLITE_FULL),
    "a refused sync": (sqlite3.OperationalError, sqlite3.SQLITE_IOERR_FSYNC),
    "a lock": (sqlite3.OperationalError, sqlite3.SQLITE_BUSY),
    "no memory": (MemoryError, 0),
}


class Raising(sqlite3.Connection):
    """Its next COMMIT raises: before anything has happened, or when it stands."""

    when: str = ""
    error: tuple[type[Exception], int] = (sqlite3.OperationalError, sqlite3.SQLITE_IOERR)

    def execute(self, sql: str, /, *parameters: Any) -> sqlite3.Cursor:
        if sql != "COMMIT" or not self.when:
            return super().execute(sql, *parameters)
        when, self.when = self.when, ""
        cursor = super().execute(sql) if when == "after" else None
        error = self.error[0]("it raised")
        if self.error[1]:
            error.sqlite_errorcode = self.error[1]  # pyright: ignore[reportAttributeAccessIssue]
        del cursor
        raise error


class Connections:
    def __init__(self, when: str = "") -> None:
        self.made: list[Raising] = []
        self.when = when

    def __call__(self, *args: Any, **options: Any) -> sqlite3.Connection:
        self.made.append(sqlite3.connect(*args, factory=Raising, **options))
        self.made[-1].when, self.when = self.when, ""
        return self.made[-1]
