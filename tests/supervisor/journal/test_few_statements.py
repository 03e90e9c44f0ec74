"""A transaction in few statements: between two of them the thread that writes gives the interpreter to the loop."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treewarden.agents.core.label import Label
from treewarden.agents.core.path import Path
from treewarden.supervisor.journal import canonical
from treewarden.supervisor.journal.batch import Mark, fold
from treewarden.supervisor.journal.port import CheckpointRow, Commit, PruneRow, StateRow
from treewarden.supervisor.journal.schema import migrate


class Counting(sqlite3.Connection):
    """A connection that counts what it executes."""

    count = 0

    def execute(self, sql: str, /, *parameters: Any) -> sqlite3.Cursor:
        self.count += 1
        return super().execute(sql, *parameters)

    def executemany(self, sql: str, rows: Any, /) -> sqlite3.Cursor:
        listed = list(rows)
        self.count += len(listed)
        return super().executemany(sql, listed)


@contextmanager
def opened() -> Generator[Counting]:
    with closing(sqlite3.connect(":memory:", isolation_level=None, factory=Counting)) as connection:
        connection.execute("BEGIN")
        migrate(connection, 0)
        connection.execute("COMMIT")
        connection.count = 0
        yield connection


def kept(slot: str, number: int, *rules: PruneRow, at: float, pinned: bool = False) -> Commit:
    """A settle that keeps its state and prunes."""
    path = Path(slot)
    row = CheckpointRow(
        path=path, number=number, kind="k", body="1", settled=number, at=at, label=Label(), pinned=pinned
    )
    return Commit(by=path, states=(StateRow(path, "k", "1", 1, number),), checkpoints=(row,), prunes=rules)


def numbers(connection: sqlite3.Connection) -> list[int]:
    return [number for (number,) in connection.execute("SELECT number FROM checkpoints ORDER BY number")]


def test_sixty_four_settles_with_checkpoints_take_a_handful_of_statements() -> None:
    commits = [
        kept(f"slot{number % 40}", number, PruneRow(Path(f"slot{number % 40}"), 1), at=float(number))
        for number in range(1, 65)
    ]
    with opened() as connection:
        fold(commits, Mark(), 1).apply(connection)
        assert connection.count <= 5  # checkpoints, states and rules: two statements each at most
        assert numbers(connection) == [*range(25, 65)]


slots = st.sampled_from(["a", "b", "c", "d", "e"])
rules = st.lists(st.tuples(st.integers(0, 4), st.sampled_from([-1.0, 2.0, 5.0, float("inf")])), max_size=2)
steps = st.lists(st.tuples(slots, st.sampled_from([0.0, 1.0, 3.0, 6.0]), st.booleans(), rules), max_size=30)


@given(steps, st.data())
def test_rules_take_what_they_would_take_one_after_the_other(steps: list[Any], data: st.DataObject) -> None:
    """However many commits go to a transaction."""
    left: dict[str, list[tuple[int, float, bool]]] = {}
    with opened() as connection:
        gathered: list[Commit] = []
        mark = Mark()
        for number, (slot, at, pinned, wanted) in enumerate(steps, 1):
            commit = kept(slot, number, *(PruneRow(Path(slot), *rule) for rule in wanted), at=at, pinned=pinned)
            # What a slot's rules mean together is not asked here: its next commit begins another transaction.
            alone = any(slot == str(each.by) for each in gathered)
            if gathered and (alone or data.draw(st.booleans())):
                batch = fold(gathered, mark, 1)
                batch.apply(connection)
                gathered, mark = [], batch.after
            gathered.append(commit)
            rows = left.setdefault(slot, [])
            rows.append((number, at, pinned))
            for last, before in wanted:
                loose = [row for row in rows if not row[2]]
                gone = {row[0] for row in loose[: max(len(loose) - last, 0)] if row[1] < before}
                rows[:] = [row for row in rows if row[0] not in gone]
        fold(gathered, mark, 1).apply(connection)
        assert numbers(connection) == sorted(row[0] for rows in left.values() for row in rows)


plain = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False, check_circular=False)
leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(object())
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=3),
    max_leaves=6,
)


def told(encode: Callable[[Any], str], value: Any) -> str:
    try:
        return encode(value)
    except (TypeError, ValueError) as error:
        return type(error).__name__


def as_json_does(value: Any) -> str:
    text = plain.encode(value)
    text.encode()
    return text


@given(values)
def test_text_is_what_json_would_make_of_it(value: Any) -> None:
    assert told(canonical.dump, value) == told(as_json_does, value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "\ud800", ["a", "\udfff"]])
def test_what_json_has_no_word_for_is_refused(value: Any) -> None:
    for dump in (canonical.dump, canonical.dump_sorted):
        with pytest.raises(ValueError, match="not"):
            dump(value)


def test_keys_are_sorted_where_that_was_asked_for() -> None:
    data = {"b": 1, "a": {"d": [1.5, None], "c": "é"}}
    assert canonical.dump(data) == '{"b":1,"a":{"d":[1.5,null],"c":"é"}}'
    assert canonical.dump_sorted(data) == '{"a":{"c":"é","d":[1.5,null]},"b":1}'
