"""Values become data, and data values, in slices of some milliseconds, so that others may run in between."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import islice
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, TypeVar

from .canonical import dump
from .large import is_long
from .scalars import AT_ONCE, Shape, left

if TYPE_CHECKING:
    from .slices import Slices

__all__ = [
    "decoded",
    "encoded",
    "items_decoded",
    "items_encoded",
    "pairs_encoded",
    "set_encoded",
    "table_decoded",
    "table_encoded",
]

T = TypeVar("T")

_SLICE: Final = 8192
"""Characters of JSON whose values are made at a time: in two milliseconds, if they are many."""
_RUN: Final = 1024
"""Items that are made at a time, at most."""
_SAMPLE: Final = 8
"""Items of a part by which it is found where that begins."""


def decoded(shape: Shape, data: Any) -> Slices[Any]:
    """As `shape.decode`, with pauses if that takes long. Raises `Mismatch`; `decode` knows where and why."""
    if shape.slices is None or not is_long(data, _SLICE):
        return shape.decode(data)
    return (yield from shape.slices(data))


def items_decoded(shape: Shape, items: list[Any]) -> Slices[list[Any]]:
    """All of `items`, of which one may be long, or all together."""
    done: list[Any] = []
    waiting = [items[start : start + _RUN] for start in range(0, len(items), _RUN)]
    waiting.reverse()
    while waiting:
        run = waiting.pop()
        if not is_long(run, _SLICE):
            done += map(shape.decode, run)
        elif len(run) == 1:
            done.append((yield from decoded(shape, run[0])))
        else:
            middle = len(run) // 2
            waiting += run[middle:], run[:middle]
            continue
        yield
    return done


def table_decoded(key: Callable[[Any], Any], value: Shape, table: dict[Any, Any]) -> Slices[dict[Any, Any]]:
    """All of `table`, in its order."""
    done: dict[Any, Any] = {}
    keys = list(table)
    for start in range(0, len(keys), _RUN):
        run = keys[start : start + _RUN]
        values = yield from items_decoded(value, [table[name] for name in run])
        done.update(zip(map(key, run), values, strict=True))
    return done


def encoded(shape: Shape, value: Any) -> Slices[Any]:
    """As `shape.encode`, with pauses if that takes long. Raises `Mismatch`; `encode` knows where and why.

    Whoever changes a list or a dict in a pause may have some of it as it was before, and some as it was after.
    """
    if shape.parts is None or left(shape, value, AT_ONCE) >= 0:
        return shape.encode(value)
    return (yield from shape.parts(value))


def items_encoded(shape: Shape, items: Sequence[Any]) -> Slices[list[Any]]:
    """All of `items`, of which one may hold many values, or all together."""
    done: list[Any] = []
    start, room, most = 0, AT_ONCE, max(1, AT_ONCE // (shape.weight + 1))
    for end, item in enumerate(items):
        after = room if shape.left is None else shape.left(item, room)
        if after >= 0 and end - start < most:
            room = after
            continue
        done += map(shape.encode, items[start:end])
        yield
        start, room = end, left(shape, item, AT_ONCE)
        if room < 0:
            done.append((yield from encoded(shape, item)))
            start, room = end + 1, AT_ONCE
    done += map(shape.encode, items[start:])
    return done


def set_encoded(shape: Shape, items: Collection[Any]) -> Slices[list[Any]]:
    """All of a set, in the order of their texts."""
    done: list[Any] = []
    for run in _runs(items):
        done += yield from items_encoded(shape, run)
        yield
    return (yield from _in_order(done))


def table_encoded(key: Callable[[Any], Any], value: Shape, table: dict[Any, Any]) -> Slices[dict[Any, Any]]:
    """All of `table`, in its order."""
    done: dict[Any, Any] = {}
    for run in _runs(table.items()):
        keys, values = zip(*run, strict=True)
        done.update(zip(map(key, keys), (yield from items_encoded(value, values)), strict=True))
        yield
    return done


def pairs_encoded(pair: Shape, table: dict[Any, Any]) -> Slices[list[Any]]:
    """As `items_encoded`, of the pairs in `table`."""
    done: list[Any] = []
    for run in _runs(table.items()):
        done += yield from items_encoded(pair, run)
        yield
    return done


def _runs(items: Iterable[T]) -> Iterator[tuple[T, ...]]:
    """Some of `items` at a time. Raises `RuntimeError` if there are others of them meanwhile."""
    rest = iter(items)
    while run := tuple(islice(rest, AT_ONCE)):
        yield run


def _in_order(items: list[Any]) -> Slices[list[Any]]:
    """As `sorted(items, key=dump)`: parted by some of them first, so that none of what is sorted is long."""
    waiting = deque[list[tuple[str, Any]]]()
    for run in _runs(items):
        waiting.append([(dump(item), item) for item in run])
        yield
    some = sorted(text for run in waiting for text, _ in run[:: max(1, AT_ONCE // _SAMPLE)])
    firsts = some[::_SAMPLE]
    parts = deque[list[tuple[str, Any]]]([] for _ in range(len(firsts) + 1))
    while waiting:
        for pair in waiting.popleft():
            parts[bisect_right(firsts, pair[0])].append(pair)
        yield
    done: list[Any] = []
    while parts:
        part = parts.popleft()
        part.sort(key=itemgetter(0))
        done += [item for _, item in part]
        yield
    return done
