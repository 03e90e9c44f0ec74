"""Many rows to a statement. Between two statements a thread lets go of the interpreter and has to get it back."""

from __future__ import annotations

import sqlite3
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import chain
from typing import Any, Final, TypeVar

__all__ = ["delete", "insert", "parts"]

T = TypeVar("T")

_SIZES: Final = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64)
"""Rows to a statement: so few differ that all of them stay prepared, and two take any number up to the last of these.

With 14 columns the last one is a thirtieth of the variables that SQLite takes."""


def insert(connection: sqlite3.Connection, into: str, rows: Sequence[Sequence[Any]], then: str = "") -> None:
    """`INSERT INTO` `into` all of `rows`, which are of one length; `then` is what follows the values, as `ON CONFLICT`.

    As `executemany`, which asks for the interpreter again after each row: beside a busy loop every time may take as
    long as the loop is left to run, 5 ms. Raises what SQLite raises.
    """
    for some in parts(rows):
        values = some[0] if len(some) == 1 else tuple(chain.from_iterable(some))
        connection.execute(_insert(into, len(some[0]), len(some), then), values)


def delete(connection: sqlite3.Connection, where: str, values: Sequence[Any]) -> int:
    """`DELETE FROM` `where`, which ends with a column's name, the rows that have one of `values` there.

    Returns how many that were. Raises what SQLite raises.
    """
    return sum(connection.execute(_delete(where, len(some)), some).rowcount for some in parts(values))


def parts(rows: Sequence[T]) -> Iterator[Sequence[T]]:
    """`rows` in order, as many at a time as go to a statement together."""
    start, count = 0, len(rows)
    while start < count:
        size = _SIZES[bisect_right(_SIZES, count - start) - 1]
        yield rows[start : start + size]
        start += size


@cache
def _insert(into: str, columns: int, rows: int, then: str) -> str:
    row = f"({','.join('?' * columns)})"
    return f"INSERT INTO {into} VALUES {','.join([row] * rows)}{then}"


@cache
def _delete(where: str, count: int) -> str:
    return f"DELETE FROM {where} IN ({','.join('?' * count)})"
