"""The shapes of types that hold others: plain data, enums, literals, collections, unions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum, Flag
from typing import TYPE_CHECKING, Any, Final

from .canonical import dump
from .large import is_long
from .scalars import Encode, Mismatch, Shape, encode_int, mismatch, storable

if TYPE_CHECKING:
    from .slices import Slices

__all__ = [
    "PLAIN",
    "decoded",
    "each",
    "enum_shape",
    "items_shape",
    "literal_shape",
    "mapping_shape",
    "record_shape",
    "union_shape",
]


_MOST: Final = 10**18
_LEAST: Final = -_MOST
"""Whole numbers between these certainly have a text."""
_SLICE: Final = 8192
"""Characters of JSON whose values are made at a time: in two milliseconds, if they are many."""
_RUN: Final = 1024
"""Items that are made at a time, at most."""


def decoded(shape: Shape, data: Any) -> Slices[Any]:
    """As `shape.decode`, with pauses if that takes long. Raises `Mismatch`; `decode` knows where and why."""
    if shape.slices is None or not is_long(data, _SLICE):
        return shape.decode(data)
    return (yield from shape.slices(data))


def _items_decoded(shape: Shape, items: list[Any]) -> Slices[list[Any]]:
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


def _table_decoded(key: Callable[[Any], Any], value: Shape, table: dict[Any, Any]) -> Slices[dict[Any, Any]]:
    """All of `table`, in its order."""
    done: dict[Any, Any] = {}
    keys = list(table)
    for start in range(0, len(keys), _RUN):
        run = keys[start : start + _RUN]
        values = yield from _items_decoded(value, [table[name] for name in run])
        done.update(zip(map(key, run), values, strict=True))
    return done


def each(values: Iterable[Any], function: Callable[[Any], Any], labels: tuple[Any, ...] | None = None) -> list[Any]:
    """`function` over `values`; where it fails it says at which one. None is asked twice: what is nested would be asked
    twice as often at each depth."""
    done: list[Any] = []
    try:
        done.extend(map(function, values))
    except Mismatch as found:
        position = len(done)
        raise found.within(f"[{position if labels is None else labels[position]!r}]") from None
    return done


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
        if key.__class__ is not str:
            raise mismatch("str, which keys have to be where the type is Any", key)
        if not key.isascii():
            storable(key)
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


def _plain_in_slices(data: Any) -> Slices[Any]:
    kind = data.__class__
    if kind is list:
        return (yield from _items_decoded(PLAIN, data))
    if kind is dict:
        return (yield from _table_decoded(storable, PLAIN, data))
    return _plain(data)


PLAIN: Final = Shape("Any", (str, int, float, bool, type(None), list, dict), _plain, _plain, slices=_plain_in_slices)


def enum_shape(kind: type[Enum], name: str) -> Shape:
    """By the member's name; flags, whose combinations have none, by their number."""

    def encode(value: Any) -> Any:
        if type(value) is kind:
            return value.value if isinstance(value, Flag) else value.name
        raise mismatch(name, value)

    def decode(data: Any) -> Any:
        try:
            return kind(data) if issubclass(kind, Flag) else kind[data]
        except (KeyError, ValueError, TypeError) as error:
            raise mismatch(name, data) from error

    return Shape(name, (kind,), encode, decode, text=not issubclass(kind, Flag))


def literal_shape(values: tuple[Any, ...]) -> Shape:
    """Exactly these values, which are None, bool, int or str."""
    kinds: tuple[type, ...] = tuple(dict.fromkeys(map(type, values)))
    allowed = frozenset(zip(map(type, values), values, strict=True))
    name = f"one of {', '.join(map(repr, values))}"

    def same(value: Any) -> Any:
        if type(value) in kinds and (type(value), value) in allowed:
            return value
        raise mismatch(name, value)

    return Shape(name, kinds, same, same, bare=True, text=kinds == (str,))


def items_shape(name: str, kind: type, item: Shape) -> Shape:
    """A tuple, list, set or frozenset of one type of item, as a JSON array; sets in the order of their texts."""
    encode_item, decode_item = item.encode, item.decode
    unordered = kind in (set, frozenset)

    def encode(value: Any) -> Any:
        found = value.__class__
        if found is not kind:
            raise mismatch(name, value)
        data = each(value, encode_item)
        return sorted(data, key=dump) if unordered else data

    def decode(data: Any) -> Any:
        found = data.__class__
        if found is not list:
            raise mismatch(name, data)
        return kind(each(data, decode_item))

    def slices(data: Any) -> Slices[Any]:
        if data.__class__ is not list:
            raise mismatch(name, data)
        return kind((yield from _items_decoded(item, data)))

    return Shape(name, (kind,), encode, decode, slices=slices)


def record_shape(name: str, items: tuple[Shape, ...]) -> Shape:
    """A tuple of a fixed length, each item with a type of its own."""
    encoders = tuple(item.encode for item in items)
    decoders = tuple(item.decode for item in items)

    def through(functions: tuple[Callable[[Any], Any], ...], values: Any, kind: type) -> list[Any]:
        if type(values) is not kind or len(values) != len(functions):
            raise mismatch(name, values)
        done: list[Any] = []
        for position, (function, value) in enumerate(zip(functions, values, strict=True)):
            try:
                done.append(function(value))
            except Mismatch as found:
                raise found.within(f"[{position}]") from None
        return done

    def slices(data: Any) -> Slices[Any]:
        if data.__class__ is not list or len(data) != len(items):
            raise mismatch(name, data)
        done: list[Any] = []
        for item, value in zip(items, data, strict=True):
            done.append((yield from decoded(item, value)))
        return tuple(done)

    return Shape(
        name,
        (tuple,),
        lambda value: through(encoders, value, tuple),
        lambda data: tuple(through(decoders, data, list)),
        slices=slices,
    )


def mapping_shape(name: str, key: Shape, value: Shape) -> Shape:
    """A dict, in its order: a JSON object where keys are texts, else an array of pairs."""
    pair = record_shape("a pair", (key, value))

    def through(given: Any, keys_through: Encode, values_through: Encode) -> dict[Any, Any]:
        found = given.__class__
        if found is not dict:
            raise mismatch(name, given)
        keys = tuple(given)
        return dict(zip(each(keys, keys_through), each(given.values(), values_through, keys), strict=True))

    def encode_pairs(given: Any) -> Any:
        found = given.__class__
        if found is not dict:
            raise mismatch(name, given)
        return each(given.items(), pair.encode)

    def decode_pairs(data: Any) -> Any:
        found = data.__class__
        if found is not list:
            raise mismatch(name, data)
        return dict(each(data, pair.decode))

    def pairs_in_slices(data: Any) -> Slices[Any]:
        if data.__class__ is not list:
            raise mismatch(name, data)
        return dict((yield from _items_decoded(pair, data)))

    if not key.text:
        return Shape(name, (dict,), encode_pairs, decode_pairs, slices=pairs_in_slices)

    def encode(given: Any) -> Any:
        return through(given, key.encode, value.encode)

    def decode(data: Any) -> Any:
        return through(data, key.decode, value.decode)

    def slices(data: Any) -> Slices[Any]:
        if data.__class__ is not dict:
            raise mismatch(name, data)
        return (yield from _table_decoded(key.decode, value, data))

    return Shape(name, (dict,), encode, decode, slices=slices)


def union_shape(name: str, members: tuple[Shape, ...]) -> Shape:
    """One of several. None and numbers, bools and strings say themselves what they are; others carry their name.

    `X | None` needs no name either. Raises `ValueError` where a value, or its stored form, would fit two members.
    """
    others = [member for member in members if type(None) not in member.holds]
    lone = others[0] if len(others) == 1 else None
    by_type: dict[type, Shape] = {}
    for member in members:
        for kind in member.holds:
            if kind in by_type:
                raise ValueError(f"{by_type[kind].name} and {member.name} cannot be told apart")
            by_type[kind] = member
    if float in by_type:
        by_type.setdefault(int, by_type[float])
    tagged = {member.name: member for member in members if not member.bare and member is not lone}
    if len(tagged) + sum(member.bare or member is lone for member in members) != len(members):
        raise ValueError(f"two of its members have the same name ({', '.join(member.name for member in members)})")

    def encode(value: Any) -> Any:
        member = by_type.get(value.__class__)
        if member is None:
            raise mismatch(name, value)
        data = member.encode(value)
        if member.name in tagged:
            return [member.name, data]
        if type(data) is str and type(value) is float and str in by_type:
            raise mismatch(f"{name}, where infinity would be read back as a str", value)
        return data

    def decode(data: Any) -> Any:
        kind = data.__class__
        if kind is type(None) and kind in by_type:
            return None
        if lone is not None:
            return lone.decode(data)
        if kind is list and len(data) == 2 and type(data[0]) is str and data[0] in tagged:
            return tagged[data[0]].decode(data[1])
        member = by_type.get(kind)
        if (member is None or not member.bare) and kind is str:
            member = by_type.get(float)
        if member is None or not member.bare:
            raise mismatch(name, data)
        return member.decode(data)

    def slices(data: Any) -> Slices[Any]:
        kind = data.__class__
        if lone is not None and kind is not type(None):
            return (yield from decoded(lone, data))
        if kind is list and len(data) == 2 and type(data[0]) is str and data[0] in tagged:
            return (yield from decoded(tagged[data[0]], data[1]))
        return decode(data)

    return Shape(name, tuple(by_type), encode, decode, slices=slices)
