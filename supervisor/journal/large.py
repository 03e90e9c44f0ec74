"""A value that is long as text: kept as JSON data until whoever writes it makes text of it, a piece at a time.

The encoder of the standard library holds the interpreter for as long as its text is: 15 ms for a megabyte of small
values, in whatever thread. So what is long is given to it in parts of some ten thousand characters.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

from .canonical import dump

if TYPE_CHECKING:
    from .slices import Slices

__all__ = ["LIMIT", "Large", "Part", "Place", "freed", "is_long"]

Place: TypeAlias = tuple[str | int, ...]
"""The way to a value from the root."""
Part: TypeAlias = tuple[str, Place]
"""A name by which somebody keeps a value, and where that belongs."""

LIMIT: Final = 65_536
"""Characters of JSON that stand where they belong, and are made text where they come from."""
_PIECE: Final = 65_536
"""Characters of a text that are encoded at a time."""
_TOGETHER: Final = 1024
"""Items that are freed at a time."""
_FEW: Final = 64
_AROUND: Final = {list: ("[", "]"), dict: ("{", "}")}


class Large:
    """JSON data that is text when somebody asks for it. It is given the data: nobody else changes them, or has lists or
    dicts of them.

    Each call raises `ValueError` for what is not JSON, as `dump` does.
    """

    __slots__ = ("_data",)

    def __init__(self, data: Any) -> None:
        self._data = data

    @property
    def data(self) -> Any:
        """What it was given."""
        return self._data

    def give_up(self) -> None:
        """Have no data any more. They go in pieces."""
        for _ in self.giving_up():
            pass

    def giving_up(self) -> Slices[None]:
        """As `give_up`, with pauses."""
        pieces, self._data = freed(self._data), None
        yield from pieces

    def text(self) -> str:
        """All of it, as `dump` writes it."""
        return "".join(self.pieces())

    def pieces(self) -> list[str]:
        """Its text in pieces, each of whole strings unless one is long by itself."""
        return list(self.flowing())

    def flowing(self) -> Iterable[str]:
        """As `pieces`, each made when it is asked for."""
        return _Cutter(None, _PIECE, []).pieces(self._data, ())

    def cut(self, keep: Callable[[list[str]], str] | None, limit: int) -> tuple[list[str], list[Part]]:
        """Its text in pieces, and the parts that were left out of it: there stands null.

        What is longer than `limit` inside of it is given to `keep`, without what was left out of that, and so is what
        then remains if it still is; the list that it is given is its own. Outer parts come first.
        """
        parts: list[Part] = []
        cutter = _Cutter(keep, limit, parts)
        pieces, size = cutter.text(self._data, ())
        if keep is not None and size > limit:
            parts.append((keep(pieces), ()))
            pieces = ["null"]
        parts.sort(key=lambda part: len(part[1]))
        return pieces, parts


def freed(data: Any, held: Container[int] = ()) -> Slices[None]:
    """Empty the lists and dicts in `data`, a piece at a time: to free ten megabytes of small values takes 25 to 190 ms,
    and nobody else has the interpreter in that time. Those whose `id` is in `held` stay as they are.

    None of them stands there twice: data that were read, or made of a value.
    """
    waiting: list[Any] = [data]
    del data
    while waiting:
        node = waiting.pop()
        if node.__class__ not in _AROUND or id(node) in held:
            continue
        while node:
            some: list[Any]
            if node.__class__ is dict:
                some = [node.popitem()[1] for _ in range(min(len(node), _TOGETHER))]
            else:
                some = node[-_TOGETHER:]
                del node[-_TOGETHER:]
            least = 0 if len(some) < _FEW else _TOGETHER  # of many, which are small, it would take longer
            waiting += [item for item in some if item.__class__ in _AROUND and len(item) > least]
            del some
            yield


def is_long(data: Any, limit: int) -> bool:
    """Whether the text of `data` certainly is longer than `limit`. Looks at no more of it than that takes."""
    if data.__class__ is str:
        return len(data) > limit
    waiting = [data] if data.__class__ in _AROUND else []
    for node in waiting:
        inside = node
        limit -= 2 * len(node)
        if node.__class__ is dict:
            inside = node.values()
            limit -= 3 * len(node)
        if limit < 0:
            return True
        for inner in inside:
            kind = inner.__class__
            if kind is str:
                limit -= len(inner)
            elif kind in _AROUND:
                waiting.append(inner)
        if limit < 0:
            return True
    return False


class _Cutter:
    """One walk over some data. `keep` is None where all of it is wanted."""

    def __init__(self, keep: Callable[[list[str]], str] | None, limit: int, parts: list[Part]) -> None:
        self._keep = keep
        self._limit = limit
        self._parts = parts

    def text(self, node: Any, at: Place) -> tuple[list[str], int]:
        """What is left of `node` in pieces, and how many characters that is."""
        pieces = list(self.pieces(node, at))
        return pieces, sum(map(len, pieces))

    def pieces(self, node: Any, at: Place) -> Iterable[str]:
        """What is left of `node`, each piece made when it is asked for."""
        kind = node.__class__
        if kind is str and len(node) > _PIECE:
            return _string(node)
        if (kind is not dict and kind is not list) or _room(node, self._limit) >= 0:
            return (dump(node),)
        return self._items(node, at)

    def _items(self, node: dict[str, Any] | list[Any], at: Place) -> Iterator[str]:
        """Short items together, each long one by itself."""
        first, last = _AROUND[node.__class__]
        yield first
        between = ""
        for run, key, item in _runs(node, self._limit):
            if run:
                yield between
                yield dump(run)[1:-1]
                between = ","
            if key is None:
                continue
            place = (*at, key)
            if self._keep is None:
                pieces = self.pieces(item, place)
            else:
                pieces, size = self.text(item, place)
                if size > self._limit:
                    self._parts.append((self._keep(pieces), place))
                    pieces = ["null"]
            yield between
            if isinstance(key, str):
                yield dump(key)
                yield ":"
            yield from pieces
            between = ","
        yield last


def _runs(node: Any, limit: int) -> Iterator[tuple[Any, str | int | None, Any]]:
    """The items of `node` in order: some that are short together, and the key of a long one behind them, if any."""
    some: dict[str, Any] = {}
    items: list[Any] = []
    room = limit
    named: bool = node.__class__ is dict
    for key in cast("Iterable[Any]", node if named else range(len(node))):
        item = node[key]
        left = _room(item, limit)
        if left >= 0:
            if named:
                some[key] = item
                room -= 6 * len(key) + 4
            else:
                items.append(item)
            room -= limit - left + 1
            if room >= 0:
                continue
        if left >= 0:
            yield some or items, None, None
        else:
            yield some or items, key, item
        some, items, room = {}, [], limit
    yield some or items, None, None


def _room(node: Any, room: int) -> int:
    """What is left of `room` behind the longest text that `node` may have; anything below 0 if it does not fit."""
    kind = node.__class__
    if kind is str:
        return room - 6 * len(node) - 2
    if kind is dict:
        room -= 2
        for key, value in node.items():
            inner = value.__class__
            room -= 6 * len(key) + 4
            if inner is float or inner is bool or value is None:
                room -= 25
            else:
                room = _room(value, room)
            if room < 0:
                return room
        return room
    if kind is list:
        room -= 2
        for value in node:
            inner = value.__class__
            if inner is float or inner is bool or value is None:
                room -= 26
            else:
                room = _room(value, room - 1)
            if room < 0:
                return room
        return room
    if kind is int and not -(10**18) < node < 10**18:
        return room - node.bit_length() // 3 - 3
    return room - 25


def _string(text: str) -> Iterator[str]:
    """A long string, which is encoded character by character, and so may be in pieces."""
    yield '"'
    for start in range(0, len(text), _PIECE):
        yield dump(text[start : start + _PIECE])[1:-1]
    yield '"'
