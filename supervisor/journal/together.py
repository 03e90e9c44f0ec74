"""Many rows to a statement. Between two statements a thread lets go of the interpreter and has to get it back."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import cache
from itertools import chain
from typing import Any, Final

__all__ = ["delete", "insert"]

_MOST: Final = 64
"""Rows to a statement: with 14 columns a thirtieth of the variables that SQLite takes."""


def insert(connection: sqlite3.Connection, into: str, rows: Sequence[Sequence[Any]], then: str = "") -> None:
    """`INSERT INTO` `into` all of `rows`, which are of one length; `then` is what follows the values, as `ON CONFLICT`.

    As `executemany`, which asks for the interpreter again after each row: beside a busy loop every time may take as
    long as the loop is left to run, 5 ms. Raises what SQLite raises.
    """
    start, count = 0, len(rows)
    while count - start > 1:
        some = rows[start : start + _next(count - start)]
        connection.execute(_insert(into, len(some[0]), len(some), then), tuple(chain.from_iterable(some)))
        start += len(some)
    if start < count:
        connection.execute(_insert(into, len(rows[start]), 1, then), rows[start])


def delete(connection: sqlite3.Connection, where: str, values: Sequence[Any]) -> int:
    """`DELETE FROM` `where`, which ends with a column's name, the rows that have one of `values` there.

    Returns how many that were. Raises what SQLite raises.
    """
    deleted = start = 0
    while start < len(values):
        some = values[start : start + _next(len(values) - start)]
        deleted += connection.execute(_delete(where, len(some)), some).rowcount
        start += len(some)
    return deleted


def _next(left: int) -> int:
    """A power of two: so few statements differ that all of them stay prepared."""
    return min(_MOST, 1 << (left.bit_length() - 1))


@cache
def _insert(into: str, columns: int, rows: int, then: str) -> str:
    row = f"({','.join('?' * columns)})"
    return f"INSERT INTO {into} VALUES {','.join([row] * rows)}{then}"


@cache
def _delete(where: str, count: int) -> str:
    return f"DELETE FROM {where} IN ({','.join('?' * count)})"
