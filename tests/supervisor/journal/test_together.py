"""Many rows to a statement: as many as were given, in their order, in few statements."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treewarden.supervisor.journal.together import delete, insert, parts


class Counting(sqlite3.Connection):
    """A connection that remembers what it was told."""

    told: list[str]

    def execute(self, sql: str, /, *parameters: Any) -> sqlite3.Cursor:
        self.told.append(sql)
        return super().execute(sql, *parameters)


def opened() -> Counting:
    connection = sqlite3.connect(":memory:", isolation_level=None, factory=Counting)
    connection.told = []
    connection.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT")
    return connection


@pytest.fixture
def connection() -> Iterator[Counting]:
    with closing(opened()) as made:
        yield made


@given(st.lists(st.integers(0, 10_000), unique=True, max_size=200), st.data())
def test_what_was_inserted_is_there_and_what_was_deleted_is_not(ids: list[int], data: st.DataObject) -> None:
    gone = data.draw(st.lists(st.sampled_from(ids), unique=True)) if ids else []
    with closing(opened()) as connection:
        insert(connection, "rows", [(id, f"text {id}") for id in ids])
        assert delete(connection, "rows WHERE id", [*gone, -1]) == len(gone)
        left = connection.execute("SELECT id, text FROM rows ORDER BY id").fetchall()
    assert left == [(id, f"text {id}") for id in sorted(set(ids) - set(gone))]


def test_a_hundred_rows_are_a_few_statements_of_few_kinds(connection: Counting) -> None:
    connection.told.clear()
    for count in range(1, 129):
        insert(connection, "rows", [(count * 1000 + number, "") for number in range(count)])
    assert len(connection.told) < 128 * 2.3
    assert len(set(connection.told)) == 20
    connection.told.clear()
    insert(connection, "rows", [(number, "") for number in range(128)])
    assert len(connection.told) == 2
    for count in range(1, 65):
        assert len(list(parts(range(count)))) <= 2


def test_what_follows_the_values_is_for_each_row(connection: Counting) -> None:
    for text in ("old", "new"):
        keep = " ON CONFLICT (id) DO UPDATE SET text = excluded.text"
        insert(connection, "rows", [(number, text) for number in range(5)], keep)
    assert connection.execute("SELECT DISTINCT text FROM rows").fetchall() == [("new",)]


def test_a_row_that_cannot_be_stored_is_an_error(connection: Counting) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        insert(connection, "rows", [(1, ""), (2, None), (3, "")])
