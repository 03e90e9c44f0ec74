"""JSON that is long is read in slices: what comes of it is the same, and no slice is long."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from attrs import field, frozen
from hypothesis import given
from hypothesis import strategies as st

from treewarden.supervisor.journal import slices
from treewarden.supervisor.journal.canonical import load, load_at
from treewarden.supervisor.journal.codec import Codec
from treewarden.supervisor.journal.slices import SLICE, at_once, loaded

from .both_ways import each_slice

TEXTS = st.text(max_size=12) | st.sampled_from(['"\\\n', "\x01" * 9, "\U0001f600", "[{,:}]", "ä" * 20])
DATA = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXTS, inner, max_size=5),
    max_leaves=30,
)
WRITTEN = st.builds(
    json.dumps,
    DATA,
    ensure_ascii=st.booleans(),
    indent=st.sampled_from([None, 1]),
    separators=st.sampled_from([None, (",", ":"), (" , ", " : ")]),
)


def told(text: str, read: Callable[[str], Any]) -> str:
    """What comes of a text, or what is said of it."""
    found: Any
    try:
        found = read(text)
    except ValueError as error:
        found = error
    return repr(found)


def in_slices(text: str) -> Any:
    return at_once(loaded(text))


@given(WRITTEN, st.integers(1, 40), st.integers(1, 10))
def test_what_is_read_in_slices_is_the_same(text: str, most: int, short: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slices, "SLICE", most)
        patch.setattr(slices, "_SHORT", short)
        assert told(text, in_slices) == told(text, load)


@given(WRITTEN, st.integers(1, 40), st.data())
def test_what_is_wrong_is_told_as_by_who_reads_it_at_once(text: str, most: int, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(text)))
    change = data.draw(st.sampled_from(["", *',:[]{}"\\0-.e \x00', "NaN", "\\ud800", '",']))
    changed = text[:place] + change + text[place + data.draw(st.integers(0, 2)) :]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slices, "SLICE", most)
        patch.setattr(slices, "_SHORT", 1)
        assert told(changed, in_slices) == told(changed, load)


@frozen
class Entry:
    number: int
    name: str
    weights: tuple[float, ...] = ()


@frozen
class Book:
    entries: tuple[Entry, ...] = ()
    by_name: dict[str, Entry | None] = field(factory=dict[str, Entry | None])
    by_number: dict[int, list[str]] = field(factory=dict[int, list[str]])
    anything: Any = None
    text: str = ""
    later: int = 7
    """In no stored value: it has its default then."""


ENTRIES = tuple(Entry(number, f"entry {number}", (number / 7, 1.0)) for number in range(3000))
LONG: dict[str, Any] = {
    "numbers": Book(anything=list(range(100_000))),
    "entries": Book(ENTRIES),
    "tables": Book(by_name={e.name: e for e in ENTRIES}, by_number={e.number: [e.name] for e in ENTRIES}),
    "anything": Book(anything={f"key {n}": [n, {"a": str(n), "b": [[[[[[n]]]]]]}] for n in range(4000)}),
    "deep": Book(anything=[[[[[[[[[["x" * SLICE] * 2] * 2]]]]]]]]),
    "text": Book(text='ä{}\\"\n\U0001f600' * 50_000),
}


@pytest.mark.parametrize("name", LONG)
def test_no_slice_is_long(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[int] = []

    def noted(text: str) -> Any:
        given.append(len(text))
        return load(text)

    def noted_at(text: str, place: int) -> Any:
        found = load_at(text, place)
        given.append(found[1] - place)
        return found

    monkeypatch.setattr(slices, "load", noted)
    monkeypatch.setattr(slices, "load_at", noted_at)
    text = Codec([Book]).encode(LONG[name])[2]
    assert len(text) > 2 * SLICE
    steps = list(each_slice(loaded(text)))
    assert steps.pop() == load(text)
    assert max(given) <= SLICE + 2
    assert len(steps) > len(text) // SLICE // 4


@pytest.mark.parametrize("name", LONG)
def test_a_value_is_made_in_slices(name: str) -> None:
    codec = Codec([Book])
    kind, version, body = codec.encode(LONG[name])
    body = body.replace(',"later":7', "")
    *steps, value = each_slice(codec.decoding(kind, version, body))
    assert value == LONG[name] == codec.decode(kind, version, body)
    if name not in ("text", "deep"):  # of which most is text, that the first slices have made
        assert len(steps) - len(list(each_slice(loaded(body)))) > 10
