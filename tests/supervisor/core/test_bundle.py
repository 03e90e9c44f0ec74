"""Bundles as lines: what was sealed is read again, and a line that is not the one that was written is named."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treewarden.supervisor.core.bundle import BundleDamage, sealed, unsealed

texts = st.text(st.characters(codec="utf-8"))
data = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
records = st.lists(
    st.dictionaries(texts.filter(lambda key: key not in ("seal", "type")), data, min_size=1, max_size=3), max_size=5
)


@given(records)
def test_what_was_sealed_is_read_again(given: list[dict[str, Any]]) -> None:
    lines = list(sealed(given))
    assert list(unsealed(lines)) == list(enumerate(given, 1))
    assert all(line.endswith("\n") and line.count("\n") == 1 for line in lines)


@given(records.filter(len), st.data())
def test_the_line_at_fault_is_named(given: list[dict[str, Any]], draw: st.DataObject) -> None:
    lines = list(sealed(given))
    place = draw.draw(st.integers(0, len(lines) - 1))
    how = draw.draw(st.sampled_from(["lost", "changed", "cut", "more"]))
    match how:
        case "lost":
            damaged, expected = lines[:place] + lines[place + 1 :], place + 1
        case "changed":
            changed = json.loads(lines[place]) | {"more": 1}
            damaged, expected = [*lines[:place], json.dumps(changed) + "\n", *lines[place + 1 :]], place + 1
        case "cut":
            damaged, expected = lines[:place], place + 1
        case _:
            damaged, expected = [*lines, lines[place]], len(lines) + 1
    with pytest.raises(BundleDamage) as caught:
        list(unsealed(damaged))
    assert caught.value.line == expected


@pytest.mark.parametrize("line", ["", "nonsense\n", "[]\n", '"x"\n', "{\n", "[" * 100_000 + "\n"], ids=repr)
def test_a_line_that_is_none(line: str) -> None:
    with pytest.raises(BundleDamage, match="line 1: it is no object of JSON"):
        list(unsealed([line]))


def test_nothing_is_no_bundle() -> None:
    with pytest.raises(BundleDamage, match="line 1: the end is missing"):
        list(unsealed([]))


def test_a_seal_is_made_as_the_page_says() -> None:
    before = ""
    for line in sealed([{"b": "é", "a": [1, {"d": None, "c": 0.5}]}, {"x": 2}]):
        record = json.loads(line)
        seal = record.pop("seal")
        text = json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert seal == hashlib.sha256(f"{before}\n{text}".encode()).hexdigest()[:32]
        before = seal


def test_nothing_stands_behind_the_end() -> None:
    end = {"type": "end", "lines": 2}
    with pytest.raises(BundleDamage, match="line 3: there is a line behind the end"):
        list(unsealed(sealed([{"a": 1}, end, {"a": 2}])))
    with pytest.raises(BundleDamage, match="line 2: 3 lines were written, and this is number 2"):
        list(unsealed(sealed([{"a": 1}, end | {"lines": 3}])))
