"""How a value is found to be wide, and where its encoding pauses."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve, field, frozen

from treewarden.supervisor.journal.codec import Codec
from treewarden.supervisor.journal.scalars import AT_ONCE
from treewarden.supervisor.journal.slices import loaded

from .both_ways import decoded, each_slice, encoded

looked_at: list[str] = []


@frozen
class Fork:
    left: Fork | None = None
    right: Fork | None = None

    def __getattribute__(self, name: str) -> Any:
        looked_at.append(name)
        return super().__getattribute__(name)


@frozen
class Shelves:
    first: tuple[int, ...] = field(factory=tuple[int, ...])
    second: tuple[int, ...] = field(factory=tuple[int, ...])
    both: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())


@frozen
class Rack:
    rows: list[list[int]]
    by_name: dict[str, list[int]]
    by_number: dict[int, list[int]]
    names: set[str]


@frozen
class Store:
    some: list[int] = field(factory=list[int])
    names: frozenset[str] = frozenset()
    pairs: dict[int, int] = field(factory=dict[int, int])
    table: dict[str, int] = field(factory=dict[str, int])
    record: tuple[str, list[int]] = ("", [])
    maybe: list[int] | None = None
    either: list[int] | dict[str, int] | int = 0
    facts: Any = None
    text: str = ""


MANY = list(range(20_000))
WIDE: dict[str, Any] = {
    "some": MANY,
    "names": frozenset(map(str, MANY)),
    "pairs": dict.fromkeys(MANY, 1),
    "table": dict.fromkeys(map(str, MANY), 1),
    "record": ("", MANY),
    "maybe": MANY,
    "either": dict.fromkeys(map(str, MANY), 1),
    "facts": MANY,
}


@pytest.mark.parametrize("name", WIDE)
def test_a_wide_value_of_any_type_is_written_and_read_with_pauses(name: str) -> None:
    codec, wide = Codec([Store]), evolve(Store(), **{name: WIDE[name]})
    assert codec.is_wide(wide)
    *pauses, (kind, version, body, large) = each_slice(codec.encoding(wide))
    assert len(pauses) > 12  # of its fields, even if they were narrow, there were eight
    text = body if large is None else large.text()
    assert (kind, version, text) == codec.encode(wide)
    *pauses, value = each_slice(codec.decoding(kind, version, text))
    assert value == wide
    assert len(pauses) - len(list(each_slice(loaded(text)))) > 10


@pytest.mark.parametrize("name", WIDE)
@pytest.mark.parametrize("wrong", ["a text", 1.5, [], {}, ()], ids=str)
def test_what_is_of_another_type_is_neither_wide_nor_grown(name: str, wrong: Any) -> None:
    """It is refused where it is written, with words."""
    store, codec = evolve(Store(), **{name: wrong}), Codec([Store])
    assert not codec.is_wide(store)
    assert not codec.has_grown(store)


@pytest.mark.parametrize("name", [*WIDE, "text"])
def test_one_has_grown_where_a_field_holds_many_items(name: str) -> None:
    few = {"text": "x" * 600}.get(name) or WIDE[name]
    codec = Codec([Store, list[int]])
    assert codec.has_grown(evolve(Store(), **{name: few})) == (name not in ("text", "record"))
    assert [codec.has_grown(evolve(Store(), some=MANY[:many])) for many in (0, 512, 513)] == [False, False, True]
    assert [codec.has_grown(MANY[:many]) for many in (0, 512, 513)] == [False, False, True]
    assert not codec.has_grown(codec)


@pytest.mark.parametrize("most", [1, 3, 8, 100])
def test_what_is_made_in_slices_is_the_same_wherever_they_end(most: int) -> None:
    """Of wide and narrow ones side by side, each is there once, at its place."""
    rows = [list(range(size)) for size in (0, most + 1, 1, most, most - 1, 2 * most, 2 * most, 2)]
    names = {f"name {number}" for number in range(5 * most + 90)}
    rack = Rack(rows, {str(len(row)): row for row in rows}, {len(row): row for row in rows}, names)
    kind, version, body = encoded(Codec([Rack]), rack, most)
    assert decoded(Codec([Rack]), kind, version, body) == rack


def test_no_more_of_a_value_is_looked_at_than_makes_it_wide() -> None:
    fork = None
    for _ in range(18):  # with two ways down from each: a quarter of a million of them
        fork = Fork(fork, fork)
    codec = Codec([Fork])
    looked_at.clear()
    assert codec.is_wide(fork)
    assert len(looked_at) <= 4 * AT_ONCE


def test_it_pauses_between_fields_of_which_none_is_wide() -> None:
    most = tuple(range(AT_ONCE - 2))
    shelves, codec = Shelves(most, most, (most, most)), Codec([Shelves])
    assert codec.is_wide(shelves)
    assert sum(1 for _ in codec.encoding(shelves)) >= 4
