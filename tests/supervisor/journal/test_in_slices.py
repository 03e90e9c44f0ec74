"""How a value is found to be wide, and where its encoding pauses."""

from __future__ import annotations

from typing import Any

from attrs import field, frozen

from treewarden.supervisor.journal.codec import Codec
from treewarden.supervisor.journal.scalars import AT_ONCE

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
