"""What differs between two states, as data."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import Any, Final, cast

from attrs import field

from treewarden.agents.core.values import define, frozen

__all__ = ["ABSENT", "Change", "diff", "diff_in_slices"]

_SLICE: Final = 4096
"""Values that are compared between two pauses: some milliseconds."""


class _Absent:
    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = _Absent()
"""In the place of a value where there is none."""


@frozen
class Change:
    """One place at which two values differ: changed, added (`before` is `ABSENT`) or removed (`after` is)."""

    at: str
    """A JSON Pointer (RFC 6901); empty for the whole. In lists it counts as the value that has the place."""
    before: Any
    after: Any


def diff(before: Any, after: Any) -> Iterator[Change]:
    """The places at which two values of JSON data differ, in the order of `before`, then what only `after` has.

    Of lists, equal beginnings and ends are left out and the rest is compared place by place: what was put in or taken
    out at one place is told as that, and what was changed at several places perhaps as more changes than were made.
    """
    return (found for found in diff_in_slices(before, after) if found is not None)


def diff_in_slices(before: Any, after: Any) -> Iterator[Change | None]:
    """As `diff`, with None after some milliseconds of work each, so that others may run in between."""
    return _Walk().changes(before, after, "")


@define
class _Walk:
    """One way through two values."""

    spent: int = 0
    """Values that were looked at since the last pause."""
    differ: set[tuple[int, int]] = field(factory=set[tuple[int, int]])
    """The `id`s of lists and tables that were found to differ and are still to be gone into: to look again at each
    depth would take as often as long as it is deep."""

    def changes(self, before: Any, after: Any, at: str) -> Iterator[Change | None]:
        self.differ.discard((id(before), id(after)))
        if isinstance(before, dict) and isinstance(after, dict):
            yield from self._tables(cast("Mapping[str, Any]", before), cast("Mapping[str, Any]", after), at)
        elif isinstance(before, list) and isinstance(after, list):
            yield from self._lists(cast("Sequence[Any]", before), cast("Sequence[Any]", after), at)
        elif not (yield from self._same(before, after)):
            yield Change(at, before, after)

    def _tables(self, before: Mapping[str, Any], after: Mapping[str, Any], at: str) -> Iterator[Change | None]:
        for key, value in before.items():
            if self._is_over():
                yield None
            where = f"{at}/{key.replace('~', '~0').replace('/', '~1')}"
            if key in after:
                yield from self.changes(value, after[key], where)
            else:
                yield Change(where, value, ABSENT)
        for key, value in after.items():
            if self._is_over():
                yield None
            if key not in before:
                yield Change(f"{at}/{key.replace('~', '~0').replace('/', '~1')}", ABSENT, value)

    def _lists(self, before: Sequence[Any], after: Sequence[Any], at: str) -> Iterator[Change | None]:
        shorter = min(len(before), len(after))
        start = 0
        while start < shorter and (yield from self._same(before[start], after[start])):
            start += 1
        end = 0
        while end < shorter - start and (yield from self._same(before[-1 - end], after[-1 - end])):
            end += 1
        old, new = before[start : len(before) - end], after[start : len(after) - end]
        for place in range(max(len(old), len(new))):
            if self._is_over():
                yield None
            where = f"{at}/{start + place}"
            if place >= len(old):
                yield Change(where, ABSENT, new[place])
            elif place >= len(new):
                yield Change(where, old[place], ABSENT)
            else:
                yield from self.changes(old[place], new[place], where)

    def _same(self, before: Any, after: Any) -> Generator[None, None, bool]:
        """As JSON: true is not 1. Of tables the order does not count."""
        if self._is_over():
            yield
        if isinstance(before, dict) and isinstance(after, dict):
            same = self._same_tables(cast("Mapping[str, Any]", before), cast("Mapping[str, Any]", after))
        elif isinstance(before, list) and isinstance(after, list):
            same = self._same_lists(cast("list[Any]", before), cast("list[Any]", after))
        else:
            return before == after and isinstance(before, bool) == isinstance(after, bool)
        pair = id(cast("object", before)), id(cast("object", after))
        if pair in self.differ:
            return False
        if (yield from same):
            return True
        self.differ.add(pair)
        return False

    def _same_tables(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> Generator[None, None, bool]:
        if len(before) != len(after):
            return False
        for key, value in before.items():
            if key not in after or not (yield from self._same(value, after[key])):
                return False
        return True

    def _same_lists(self, before: list[Any], after: list[Any]) -> Generator[None, None, bool]:
        if len(before) != len(after):
            return False
        for value, other in zip(before, after, strict=True):
            if not (yield from self._same(value, other)):
                return False
        return True

    def _is_over(self) -> bool:
        """Whether others should have their turn, before another value is looked at."""
        self.spent += 1
        if self.spent < _SLICE:
            return False
        self.spent = 0
        return True
