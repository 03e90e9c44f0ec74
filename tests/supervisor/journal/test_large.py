"""Values that are long as text: the text is made late, in pieces, and never stands in memory many times."""

from __future__ import annotations

import json
import pathlib
import sqlite3
import tracemalloc
from contextlib import closing
from typing import Any

import pytest
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st

from treewarden.agents.errors import CommitFailed, ConfigurationError
from treewarden.supervisor.journal import large
from treewarden.supervisor.journal.blobs import Blobs, whole
from treewarden.supervisor.journal.codec import Codec
from treewarden.supervisor.journal.large import LIMIT, Large, freed, is_long
from treewarden.supervisor.journal.port import Commit, StateRow
from treewarden.supervisor.journal.schema import migrate

from ...journals import DESK, on_disk

TEXTS = st.text(max_size=12) | st.sampled_from(['"\\\n', "\x01" * 9, "part0", "ä" * 20])
DATA = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXTS, inner, max_size=5),
    max_leaves=30,
)


def text(data: Any) -> str:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"))


@given(DATA, st.integers(1, 60))
def test_its_text_is_that_of_the_data_whatever_the_pieces_are(data: Any, piece: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(large, "_PIECE", piece)
        assert Large(data).text() == text(data)


@given(DATA, st.integers(0, 200))
def test_what_is_called_long_is(data: Any, limit: int) -> None:
    if is_long(data, limit):
        assert len(text(data)) > limit


@pytest.mark.parametrize(
    "data", [[0] * 40_000, ["x" * 10] * 7_000, {str(n): 0.5 for n in range(20_000)}, [["x" * LIMIT]]]
)
def test_what_is_long_is_called_so(data: Any) -> None:
    assert is_long(data, LIMIT)


@frozen
class Page:
    number: int
    title: str
    body: str


@frozen
class Noted:
    page: Page | None
    body: str


@pytest.mark.parametrize("half", [0, 1000, LIMIT // 2 - 50, LIMIT // 2 + 1, LIMIT])
def test_a_value_of_texts_is_long_where_they_are_together(half: int) -> None:
    """Of one whose fields are all told beforehand nothing else is looked at."""
    page = Page(1, "x" * half, "ä" * half)
    for value in (page, Noted(page, ""), Noted(None, "ä" * 2 * half)):
        codec = Codec([type(value)])
        kind, version, body, late = codec.encode_row(value)
        assert (late is not None) == (2 * half > LIMIT)
        assert not late or not body
        whole_body = body if late is None else late.text()
        assert codec.encode(value) == (kind, version, whole_body)
        assert codec.decode(kind, version, whole_body) == value


@pytest.mark.parametrize(
    "data",
    [
        list(range(100_000)),
        {f"key {number}": number / 7 for number in range(30_000)},
        [{"name": f"name {number}", "tags": ["a", "b"], "price": number / 7} for number in range(10_000)],
        [[["ä" * 3_000_000]]],
        "x" * 1_000_000,
        [{chr(0x4E00 + number): -1.2345678901234567e-300 for number in range(6000)}],
        [[""] * 60_000],
        [[0.5 / 3] * 10_000],
        [[10**4000] * 100],
    ],
    ids=["numbers", "table", "items", "deep", "string", "short keys", "no texts", "fractions", "long numbers"],
)
def test_no_piece_keeps_the_interpreter_for_long(data: Any) -> None:
    pieces, _ = Large(data).cut(None, LIMIT)
    assert max(map(len, pieces)) < 2 * LIMIT, "as much as fits, and one more"
    assert "".join(pieces) == text(data)


@frozen
class Pile:
    rows: list[dict[str, Any]]


def test_a_state_is_what_it_was_when_it_settled() -> None:
    pile = Pile([{"number": number} for number in range(20_000)])
    before = Codec([Pile]).encode(pile)[2]
    _, _, body, made = Codec([Pile]).encode_row(pile)
    pile.rows[0]["number"] = "changed"
    pile.rows.append({})
    assert made is not None
    assert (body, made.text()) == ("", before)


@pytest.mark.parametrize(
    ("bad", "why"),
    [("\ud800", "surrogates not allowed"), (10**5000, "Exceeds the limit"), ({"\udfff": 1}, "surrogates not allowed")],
    ids=["surrogate", "number", "key"],
)
def test_what_cannot_be_text_is_refused_where_it_comes_from(bad: Any, why: str) -> None:
    pile = Pile([*({"number": number} for number in range(20_000)), {"bad": bad}])
    with pytest.raises(ConfigurationError, match=rf"Pile\.rows\[20000\]\['bad'\].* cannot be stored: .*{why}"):
        Codec([Pile]).encode_row(pile)


async def test_what_is_no_json_after_all_fails_its_commit_alone(tmp_path: pathlib.Path) -> None:
    def row(number: int, data: Any) -> StateRow:
        return StateRow(DESK, "desk:Pile", "", settled=number, large=Large(data))

    async with on_disk(tmp_path / "tree.db") as journal:
        with pytest.raises(CommitFailed, match="not JSON compliant"):
            await journal.commit(Commit(states=(row(1, [0.5] * 40_000 + [float("nan")]),)))
        kept = row(2, ["x" * 70_000])
        await journal.commit(Commit(states=(kept,)))
        assert kept.large is not None
        assert kept.large.text() == "null", "given up when it was stored"
        held = await journal.recover(DESK)
    assert held.state == StateRow(DESK, "desk:Pile", text(["x" * 70_000]), settled=2)


@pytest.mark.parametrize("data", [[0] * 3000, dict.fromkeys(range(3000))], ids=["list", "dict"])
def test_data_are_freed_a_thousand_at_a_time(data: Any) -> None:
    assert [len(data) for _ in freed(data)] == [1976, 952, 0]


@given(DATA, st.integers(1, 5))
def test_data_that_are_given_up_are_the_same_until_then(data: Any, together: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(large, "_TOGETHER", together)
        made = Large(data)
        assert made.text() == text(data)
        made.give_up()
        assert made.text() == "null"


async def test_the_data_of_what_is_stored_are_given_up_in_pieces(tmp_path: pathlib.Path) -> None:
    numbers, table = [0.5] * 40_000, {str(number): [number] for number in range(20_000)}
    async with on_disk(tmp_path / "tree.db") as journal:
        data = Large([numbers, {"table": table}])
        await journal.commit(Commit(states=(StateRow(DESK, "desk:Pile", "", settled=1, large=data),)))
    assert (numbers, table) == ([], {})


@pytest.mark.parametrize("shape", ["one text", "many texts"])
def test_memory_is_a_small_multiple_of_the_value(shape: str) -> None:
    length = 16_000_000
    data = "x" * length if shape == "one text" else ["y" * 1_000 for _ in range(length // 1_000)]
    body = f'"{data}"' if isinstance(data, str) else ""
    with closing(sqlite3.connect(":memory:")) as connection:
        migrate(connection, 0)
        tracemalloc.start()
        try:
            made = Blobs()
            stored = made.shorten("", Large(data))
            made.write(connection, 1)
            written = tracemalloc.get_traced_memory()[1]
            del made
            tracemalloc.reset_peak()
            found = whole(connection, stored)
            read = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert written < 1.2 * length, "its text, once"
    assert read < 2.5 * length
    assert found == (body or text(data))
