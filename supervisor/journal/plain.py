"""The shape of `Any`: JSON data as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from .scalars import Mismatch, Shape, encode_int, mismatch, storable

if TYPE_CHECKING:
    from .slices import Slices

__all__ = ["PLAIN"]

_MOST: Final = 10**18
_LEAST: Final = -_MOST
"""Whole numbers between these certainly have a text."""


def _plain(value: Any) -> Any:
    """JSON data as it is, for `Any`: what comes back has to be what was given, so a tuple is refused."""
    kind = value.__class__
    if kind is list:
        return _plain_items(value)
    if kind is dict:
        return _plain_table(value)
    if kind is str:
        return value if value.isascii() else storable(value)
    if kind is int:
        return encode_int(value)
    if kind is bool or value is None:
        return value
    if kind is float:
        if value - value == 0.0:
            return value
        raise Mismatch(f"{value} cannot be stored where the type is Any; declare float")
    raise mismatch(
        "plain data (None, bool, int, float, str, list, dict with str keys): declare its type instead", value
    )


# Most of a value are leaves, and to look at one here takes a third of what a call takes.


def _plain_items(items: list[Any]) -> list[Any]:
    done: list[Any] = []
    for item in items:
        kind = item.__class__
        if (
            (kind is str and item.isascii())
            or (kind is int and _LEAST < item < _MOST)
            or item is None
            or kind is bool
            or (kind is float and item - item == 0.0)
        ):
            done.append(item)
            continue
        try:
            done.append(_plain(item))
        except Mismatch as found:
            raise found.within(f"[{len(done)!r}]") from None
    return done


def _plain_table(table: dict[Any, Any]) -> dict[str, Any]:
    done: dict[str, Any] = {}
    for key, item in table.items():
        if key.__class__ is not str or not key.isascii():
            _key(key)
        kind = item.__class__
        if (
            (kind is str and item.isascii())
            or (kind is int and _LEAST < item < _MOST)
            or item is None
            or kind is bool
            or (kind is float and item - item == 0.0)
        ):
            done[key] = item
            continue
        try:
            done[key] = _plain(item)
        except Mismatch as found:
            raise found.within(f"[{key!r}]") from None
    return done


def _read(data: Any) -> Any:
    """What is JSON data already. To look at it takes as many calls as it did when it was written, by whoever had some
    more to spare: then it is taken as it is."""
    try:
        return _plain(data)
    except RecursionError:
        return data


def _plain_in_slices(data: Any) -> Slices[Any]:
    from .in_slices import items_decoded, table_decoded  # with the first long value of a process, here and below

    kind = data.__class__
    if kind is list:
        return (yield from items_decoded(PLAIN, data))
    if kind is dict:
        return (yield from table_decoded(storable, PLAIN, data))
    return _plain(data)


def _plain_left(value: Any, room: int) -> int:
    kind = value.__class__
    if kind is not dict and kind is not list:
        return room - 1
    room -= len(value) + 1
    if room >= 0:
        for item in value.values() if kind is dict else value:
            kind = item.__class__
            if kind is dict or kind is list:
                room = _plain_left(item, room)
                if room < 0:
                    break
    return room


def _plain_parts(value: Any) -> Slices[Any]:
    from .in_slices import items_encoded, table_encoded

    kind = value.__class__
    if kind is list:
        return (yield from items_encoded(PLAIN, value))
    if kind is dict:
        return (yield from table_encoded(_key, PLAIN, value))
    return _plain(value)


def _key(key: Any) -> str:
    if key.__class__ is str:
        return storable(key)
    raise mismatch("str, which keys have to be where the type is Any", key)


PLAIN: Final = Shape(
    "Any",
    (str, int, float, bool, type(None), list, dict),
    _plain,
    _read,
    slices=_plain_in_slices,
    left=_plain_left,
    parts=_plain_parts,
)
