"""What differs between two states, as data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, cast

from treewarden.agents.core.values import frozen

__all__ = ["ABSENT", "Change", "diff"]


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


def diff(before: Any, after: Any, at: str = "") -> Iterator[Change]:
    """The places at which two values of JSON data differ, in the order of `before`, then what only `after` has.

    Of lists, equal beginnings and ends are left out and the rest is compared place by place: what was put in or taken
    out at one place is told as that, and what was changed at several places perhaps as more changes than were made.
    """
    if isinstance(before, dict) and isinstance(after, dict):
        yield from _tables(cast("Mapping[str, Any]", before), cast("Mapping[str, Any]", after), at)
    elif isinstance(before, list) and isinstance(after, list):
        yield from _lists(cast("Sequence[Any]", before), cast("Sequence[Any]", after), at)
    elif not _same(before, after):
        yield Change(at, before, after)


def _tables(before: Mapping[str, Any], after: Mapping[str, Any], at: str) -> Iterator[Change]:
    for key, value in before.items():
        where = f"{at}/{key.replace('~', '~0').replace('/', '~1')}"
        if key in after:
            yield from diff(value, after[key], where)
        else:
            yield Change(where, value, ABSENT)
    for key, value in after.items():
        if key not in before:
            yield Change(f"{at}/{key.replace('~', '~0').replace('/', '~1')}", ABSENT, value)


def _lists(before: Sequence[Any], after: Sequence[Any], at: str) -> Iterator[Change]:
    shorter = min(len(before), len(after))
    start = 0
    while start < shorter and _same(before[start], after[start]):
        start += 1
    end = 0
    while end < shorter - start and _same(before[-1 - end], after[-1 - end]):
        end += 1
    old, new = before[start : len(before) - end], after[start : len(after) - end]
    for place in range(max(len(old), len(new))):
        where = f"{at}/{start + place}"
        if place >= len(old):
            yield Change(where, ABSENT, new[place])
        elif place >= len(new):
            yield Change(where, old[place], ABSENT)
        else:
            yield from diff(old[place], new[place], where)


def _same(before: Any, after: Any) -> bool:
    """As JSON: true is not 1. Of tables the order does not count."""
    if isinstance(before, dict) and isinstance(after, dict):
        return next(diff(before, after), None) is None
    if isinstance(before, list) and isinstance(after, list):
        left, right = cast("list[Any]", before), cast("list[Any]", after)
        return len(left) == len(right) and all(map(_same, left, right))
    return before == after and isinstance(before, bool) == isinstance(after, bool)
