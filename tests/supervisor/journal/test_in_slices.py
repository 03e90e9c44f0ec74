"""How a value is found to be wide, and where its encoding pauses."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import field, frozen

from treewarden.supervisor.journal.codec import Codec
from treewarden.supervisor.journal.scalars import AT_ONCE

from .both_ways import decoded, encoded

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
