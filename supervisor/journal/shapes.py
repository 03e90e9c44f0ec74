"""The shapes of types that hold others, collections and unions; and which shape a type has that holds none."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, get_args, get_origin

from .canonical import dump
from .scalars import NONE, SCALARS, Encode, Mismatch, Shape, has_fields, items_left, left, mismatch

if TYPE_CHECKING:
    from .slices import Slices

__all__ = [
    "each",
    "in_more_calls",
    "in_more_slices",
    "in_one_spelling",
    "items_shape",
    "kind_of",
    "mapping_shape",
    "record_shape",
    "scalar_shape",
    "union_shape",
]


def scalar_shape(kind: type) -> Shape | None:
    """How values of this type are stored, if it is one that holds no others."""
    if kind.__module__ in ("decimal", "uuid"):
        from .exact_numbers import EXACT  # with modules that most processes do not have

        return EXACT.get(kind)
    return SCALARS.get(kind)


def kind_of(declared: Any) -> str:
    """The name under which values of this type are stored: `module:QualName` for a class of the user's."""
    if isinstance(declared, type) and get_origin(declared) is None:
        known = NONE if declared is type(None) else scalar_shape(declared)
        if known is not None:
            return known.name
        return f"{declared.__module__}:{declared.__qualname__}"
    if _holds_generic(declared):
        from .spelling import name_of  # most programs have none, here and below

        return name_of(declared, kind_of)
    return repr(declared).replace("typing.", "")


def in_one_spelling(declared: Any) -> Any:
    """A type in which there are generic classes as everybody would write it; another one is given back."""
    if not _holds_generic(declared):
        return declared
    from .spelling import spelled

    return spelled(declared)


def _holds_generic(declared: Any) -> bool:
    return has_fields(get_origin(declared)) or any(map(_holds_generic, get_args(declared)))


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
        from .in_slices import items_decoded

        if data.__class__ is not list:
            raise mismatch(name, data)
        return kind((yield from items_decoded(item, data)))

    def left_of_items(value: Any, room: int) -> int:
        return items_left(item, value, room - 1) if value.__class__ is kind else room - 1

    def parts(value: Any) -> Slices[Any]:
        from .in_slices import items_encoded, set_encoded

        if value.__class__ is not kind:
            raise mismatch(name, value)
        return (yield from (set_encoded if unordered else items_encoded)(item, value))

    return Shape(name, (kind,), encode, decode, slices=slices, left=left_of_items, parts=parts)


def record_shape(name: str, items: tuple[Shape, ...]) -> Shape:
    """A tuple of a fixed length, each item with a type of its own."""
    encoders = tuple(item.encode for item in items)
    decoders = tuple(item.decode for item in items)
    fixed = all(item.left is None for item in items)

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
        from .in_slices import decoded

        if data.__class__ is not list or len(data) != len(items):
            raise mismatch(name, data)
        done: list[Any] = []
        for item, value in zip(items, data, strict=True):
            done.append((yield from decoded(item, value)))
        return tuple(done)

    def left_of_items(value: Any, room: int) -> int:
        if value.__class__ is not tuple:
            return room - 1
        room -= 1
        for item, inner in zip(items, value, strict=False):  # where they are not as many, `encode` says so
            if room < 0:
                break
            room = left(item, inner, room)
        return room

    def parts(value: Any) -> Slices[Any]:
        from .in_slices import encoded

        if value.__class__ is not tuple or len(value) != len(items):
            raise mismatch(name, value)
        done: list[Any] = []
        for item, inner in zip(items, value, strict=True):
            done.append((yield from encoded(item, inner)))
            if item.left is not None:
                yield
        return done

    return Shape(
        name,
        (tuple,),
        lambda value: through(encoders, value, tuple),
        lambda data: tuple(through(decoders, data, list)),
        slices=slices,
        weight=1 + sum(item.weight for item in items),
        left=None if fixed else left_of_items,
        parts=None if fixed else parts,
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
        from .in_slices import items_decoded

        if data.__class__ is not list:
            raise mismatch(name, data)
        return dict((yield from items_decoded(pair, data)))

    def left_of_pairs(given: Any, room: int) -> int:
        if given.__class__ is not dict:
            return room - 1
        room = items_left(value, given.values(), room - 1)
        return room if room < 0 else items_left(key, given, room)

    def pairs_in_parts(given: Any) -> Slices[Any]:
        from .in_slices import pairs_encoded

        if given.__class__ is not dict:
            raise mismatch(name, given)
        return (yield from pairs_encoded(pair, given))

    if not key.text:
        return Shape(
            name,
            (dict,),
            encode_pairs,
            decode_pairs,
            slices=pairs_in_slices,
            left=left_of_pairs,
            parts=pairs_in_parts,
        )

    def encode(given: Any) -> Any:
        return through(given, key.encode, value.encode)

    def decode(data: Any) -> Any:
        return through(data, key.decode, value.decode)

    def slices(data: Any) -> Slices[Any]:
        from .in_slices import table_decoded

        if data.__class__ is not dict:
            raise mismatch(name, data)
        return (yield from table_decoded(key.decode, value, data))

    def left_of_values(given: Any, room: int) -> int:
        return items_left(value, given.values(), room - 1) if given.__class__ is dict else room - 1

    def parts(given: Any) -> Slices[Any]:
        from .in_slices import table_encoded

        if given.__class__ is not dict:
            raise mismatch(name, given)
        return (yield from table_encoded(key.encode, value, given))

    return Shape(name, (dict,), encode, decode, slices=slices, left=left_of_values, parts=parts)


def union_shape(name: str, members: tuple[Shape, ...]) -> Shape:
    """One of several. None and numbers, bools and strings say themselves what they are; others carry their name.

    `X | None` needs no name either. Raises `ValueError` where a value, or its stored form, would fit two members.
    """
    others = [member for member in members if member.holds != (type(None),)]
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
    labelled = {old: member for member in tagged.values() for old in member.formerly} | tagged
    # One whose only company was a literal with None in it was stored without its name once.
    others = [member for member in members if type(None) not in member.holds]
    before = tagged.get(others[0].name) if len(others) == 1 else None

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
        if kind is list and len(data) == 2 and type(data[0]) is str and data[0] in labelled:
            return labelled[data[0]].decode(data[1])
        member = by_type.get(kind)
        if (member is None or not member.bare) and kind is str:
            member = by_type.get(float)
        if member is not None and member.bare:
            if before is None:
                return member.decode(data)
            with suppress(Mismatch):
                return member.decode(data)
        if before is not None:
            return before.decode(data)
        raise mismatch(name, data)

    def slices(data: Any) -> Slices[Any]:
        from .in_slices import decoded

        kind = data.__class__
        if lone is not None and kind is not type(None):
            return (yield from decoded(lone, data))
        if kind is list and len(data) == 2 and type(data[0]) is str and data[0] in labelled:
            return (yield from decoded(labelled[data[0]], data[1]))
        return decode(data)

    def left_of_member(value: Any, room: int) -> int:
        member = by_type.get(value.__class__)
        return room - 1 if member is None else left(member, value, room)

    def parts(value: Any) -> Slices[Any]:
        member = by_type.get(value.__class__)
        if member is None or member.parts is None:
            return encode(value)
        data = yield from member.parts(value)
        return [member.name, data] if member.name in tagged else data

    fixed = all(member.left is None for member in members)
    return Shape(
        name,
        tuple(by_type),
        encode,
        decode,
        slices=slices,
        weight=max(member.weight for member in members),
        left=None if fixed else left_of_member,
        parts=None if fixed else parts,
    )


def in_more_calls(write: Encode) -> Encode:
    """As `write`, in two calls more. To read takes one more for each value in another, and whoever reads may be deeper
    in calls than who wrote: so the interpreter's limit is met by who writes, who can refuse, and not by who reads."""

    def once(value: Any) -> Any:
        return write(value)

    def twice(value: Any) -> Any:
        return once(value)

    return twice


def in_more_slices(write: Callable[[Any], Slices[Any]]) -> Callable[[Any], Slices[Any]]:
    """As `in_more_calls`, of what is written with pauses."""

    def once(value: Any) -> Slices[Any]:
        return (yield from write(value))

    def twice(value: Any) -> Slices[Any]:
        return (yield from once(value))

    return twice
