"""Large values stand once in the file, go when nobody holds them, and cost nothing while they stay the same."""

from __future__ import annotations

import json
import os
import pathlib
import sqlite3
from contextlib import closing
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from treewarden.agents.errors import JournalDamaged
from treewarden.supervisor.journal import blobs, owned
from treewarden.supervisor.journal.batch import Mark, fold
from treewarden.supervisor.journal.port import Commit
from treewarden.supervisor.journal.schema import migrate

from ...journals import DESK, fact, on_disk, settle, state

DATA = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=20,
)


def text(data: Any) -> str:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"))


@pytest.fixture
def file(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "tree.db"


def sums(file: pathlib.Path) -> tuple[int, int, int]:
    """How many large values there are, how many of them nobody holds, and how many chunks."""
    with closing(sqlite3.connect(file)) as connection:
        found = blobs.survey(connection)
        return found.count, found.unused, connection.execute("SELECT count(*) FROM chunks").fetchone()[0]


@given(DATA, st.integers(1, 40))
def test_whatever_is_taken_out_comes_back(data: Any, limit: int) -> None:
    with pytest.MonkeyPatch.context() as patch, closing(sqlite3.connect(":memory:")) as connection:
        patch.setattr(blobs, "LIMIT", limit)
        patch.setattr(blobs, "_CHUNK", 7)
        migrate(connection, 0)
        made = blobs.Blobs()
        body = text(data)
        stored = made.shorten(body)
        made.write(connection, 1)
        assert blobs.whole(connection, stored) == body
        assert stored.startswith("@") == (len(body) > limit)
        assert len(stored.partition("\n")[2]) <= max(limit, 4)
        assert not [len(piece) for (piece,) in connection.execute("SELECT data FROM chunks") if len(piece) > 7]


@pytest.mark.parametrize("inside", [False, True])
def test_a_text_that_looks_like_the_mark_of_a_part_stays_what_it_is(
    inside: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blobs, "LIMIT", 100)
    texts = ["part0", "part-0", {"part1": "part0"}]
    data: Any = {"texts": texts, "long": "x" * 200}
    with closing(sqlite3.connect(":memory:")) as connection:
        migrate(connection, 0)
        made = blobs.Blobs()
        body = text([data | {f"key {number}": number for number in range(9)}, 1] if inside else data)
        stored = made.shorten(body)
        assert ("part0" in stored) is not inside, "they lie in a part themselves"
        made.write(connection, 1)
        assert blobs.whole(connection, stored) == body


async def test_what_stays_the_same_is_stored_once(file: pathlib.Path) -> None:
    document = "x" * 100_000

    async def settled(first: int, last: int) -> int:
        async with on_disk(file) as journal:
            for number in range(first, last):
                body = text({"total": number, "document": document})
                events = [fact(number)]
                await journal.commit(evolve(settle(number, events=events), states=(evolve(state(number), body=body),)))
        return os.stat(file).st_size

    before = await settled(0, 50)
    assert (await settled(50, 250) - before) / 200 <= 1000
    assert sums(file) == (1, 0, 2)


async def test_a_changed_one_is_stored_once_more(file: pathlib.Path) -> None:
    async with on_disk(file) as journal:
        for number, document in enumerate("aba", 1):
            body = text({"number": number, "document": document * 100_000, "same": "s" * 70_000})
            await journal.commit(Commit(states=(evolve(state(number), body=body),)))
        assert sums(file) == (3, 1, 6)


async def test_what_nobody_holds_goes_by_itself(file: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owned, "_SWEEP_AT", 500_000)
    body = ""
    async with on_disk(file) as journal:
        for number in range(30):
            body = text({"number": number, "document": str(number) * 70_000, "same": "s" * 70_000})
            await journal.commit(Commit(states=(evolve(state(number), body=body),)))
        count, unused, _ = sums(file)
        assert count - unused == 2
        assert unused < 9
        assert (await journal.recover(DESK)).state == evolve(state(29), body=body)


async def test_what_processes_before_have_left_goes_too(file: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """None of them wrote as much as is looked for."""
    monkeypatch.setattr(owned, "_SWEEP_AT", 500_000)
    for number in range(12):
        async with on_disk(file) as journal:
            for document in "ab":
                body = text({"number": number, "document": f"{document}{number}" * 35_000})
                await journal.commit(Commit(states=(evolve(state(number), body=body),)))
    count, unused, _ = sums(file)
    assert (count - unused, unused < 9) == (1, True), (count, unused)


@pytest.mark.parametrize(("most", "left"), [(0, 2), (70_001, 2), (70_002, 1), (140_003, 1), (-1, 0)])
def test_a_sweep_takes_what_nobody_holds_and_nothing_else(most: int, left: int) -> None:
    """Until more than `most` characters have gone."""
    with closing(sqlite3.connect(":memory:")) as connection:
        migrate(connection, 0)
        batch = fold(
            [Commit(states=(evolve(state(1), body=text(["a" * 70_000, "b" * 70_000, "a" * 70_000])),))], Mark(), 1
        )
        batch.apply(connection)
        stray = blobs.Blobs()
        for letter in "cde":
            stray.shorten(text(letter * 70_000))
        stray.write(connection, 1)
        assert blobs.survey(connection) == blobs.Survey(count=5, size=350_010, unused=3, unused_size=210_006)
        assert blobs.sweep(connection, most).unused == left
        assert blobs.sweep(connection, -1) == blobs.Survey(count=2, size=140_004)
        assert connection.execute("SELECT count(*) FROM chunks").fetchone() == (4,)


async def test_a_commit_that_fails_stores_none(file: pathlib.Path) -> None:
    async with on_disk(file) as journal:
        with pytest.raises(Exception, match="nothing of it was kept"):
            await journal.commit(Commit(states=(evolve(state(1), body=text("x" * 70_000)),), acked=(9,)))
        assert sums(file) == (0, 0, 0)


async def test_one_that_is_damaged_is_called_that(file: pathlib.Path) -> None:
    async with on_disk(file) as journal:
        await journal.commit(Commit(states=(evolve(state(1), body=text("x" * 70_000)),)))
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE chunks SET data = zeroblob(length(data)) WHERE number = 1")
    async with on_disk(file) as journal:
        with pytest.raises(JournalDamaged, match="missing or damaged"):
            await journal.recover(DESK)


async def test_compacting_gives_room_back(file: pathlib.Path) -> None:
    async with on_disk(file, lease=1000.0) as journal:  # none is renewed meanwhile, which is a commit
        for number in range(20):
            body = text({"number": number, "document": str(number) * 100_000})
            await journal.commit(Commit(states=(evolve(state(number), body=body),)))
        assert (await journal.blobs()).unused == 19
        await journal.commit(settle(21))
        await journal.compact()
        assert os.stat(f"{file}-wal").st_size == 0
    assert os.stat(file).st_size < 300_000
    async with on_disk(file) as journal:
        assert (await journal.recover(DESK)).state == state(21)


async def test_the_log_that_a_reader_has_made_long_is_given_back(
    file: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, long = f"{file}-wal", 2_000_000
    monkeypatch.setattr(owned, "_LOG", long // 2)
    async with on_disk(file, lease=1000.0) as journal:
        await journal.commit(settle(1))
        with closing(sqlite3.connect(file, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            assert reader.execute("SELECT settled FROM states").fetchall() == [(1,)]
            for number in range(2, 27):
                await journal.commit(Commit(states=(evolve(state(number), body=f'"{number}{"x" * 100_000}"'),)))
            assert os.stat(log).st_size > long
            await journal.compact()
            assert os.stat(log).st_size > long, "it is still read from"
            reader.execute("ROLLBACK")
        await journal.compact()
        assert os.stat(log).st_size == 0
        assert (await journal.recover(DESK)).state == evolve(state(26), body=f'"26{"x" * 100_000}"')
