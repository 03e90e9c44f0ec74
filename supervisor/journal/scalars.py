"""How one declared type is stored: a function into JSON data and one back, exact in both directions or refused.

Values are checked when they are encoded, so that what is stored can be read again; nothing is coerced on the way
back. Here are the types that hold no others, and enums; `literals.py` has literals, `shapes.py` has types that hold
others, `plain.py` has `Any`.
"""

from __future__ import annotations

import binascii
import pathlib
from collections.abc import Callable, Collection, Generator
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from enum import Enum, Flag
from math import inf
from typing import Annotated, Any, Final, NewType, TypeAlias, get_args, get_origin

import attrs

from treewarden.agents.core.path import Path
from treewarden.agents.core.values import frozen
from treewarden.agents.errors import ConfigurationError

__all__ = [
    "AT_ONCE",
    "NONE",
    "SCALARS",
    "Decode",
    "Encode",
    "Mismatch",
    "Refused",
    "Shape",
    "as_text",
    "encode_int",
    "enum_shape",
    "has_fields",
    "items_left",
    "left",
    "mismatch",
    "storable",
    "unwrapped",
]

_MOST: Final = 2**2000
"""Whole numbers up to here have a text whatever the interpreter is told about long ones."""
_LEAST: Final = -_MOST
_AGAIN: Final = "[fold]"
"""Behind a time of an hour that comes twice: the second one."""
AT_ONCE: Final = 4096
"""Values that become data at a time: in a millisecond or so. Every state is looked at whether it has more."""

Encode: TypeAlias = Callable[[Any], Any]
Decode: TypeAlias = Callable[[Any], Any]


class Mismatch(Exception):
    """A value, or stored data, that is not of the declared type. `where` leads to it from the outermost value."""

    def __init__(self, text: str, where: str = "") -> None:
        super().__init__(f"{where}: {text}" if where else text)
        self.text = text
        self.where = where

    def within(self, outer: str) -> Mismatch:
        return Mismatch(self.text, outer + self.where)


@frozen(eq=False)
class Refused:
    """In the place of data that was read and found wrong already."""

    found: Mismatch


@frozen
class Shape:
    """One declared type as stored. Two shapes of one name store alike."""

    name: str
    holds: tuple[type, ...]
    """The types of its values, exactly: a subclass is another type."""
    encode: Encode
    decode: Decode
    bare: bool = False
    """Its JSON data is recognized among those of other bare shapes, so that a union needs no tag for it."""
    text: bool = False
    """Its JSON data is always a string: it can be the key of an object."""
    slices: Callable[[Any], Generator[None, None, Any]] | None = None
    """As `decode`, with pauses for data that is long. Where it raises `Mismatch`, `decode` has the words for it."""
    weight: int = 1
    """Values that `encode` looks at, if those are always as many."""
    left: Callable[[Any, int], int] | None = None
    """What is left of so many values behind those that `encode` looks at in this one; below 0 if there are more. None:
    those are always as many."""
    open_fields: tuple[str, ...] = ()
    """Of a class: its fields that may hold any number of values."""
    parts: Callable[[Any], Generator[None, None, Any]] | None = None
    """As `encode`, with pauses; where there is `left`. Where it raises `Mismatch`, `encode` has the words for it."""
    texts: tuple[str, ...] | None = None
    """Of a class all of whose fields have a few characters or are texts: those that are, by name. Its JSON data is an
    object of theirs, and as long as they are."""
    formerly: tuple[str, ...] = ()
    """Of a class: the names that it had before."""


def left(shape: Shape, value: Any, room: int) -> int:
    """What is left of `room` behind the values that `shape` finds in this one; below 0 if there are more."""
    return room - shape.weight if shape.left is None else shape.left(value, room)


def items_left(shape: Shape, items: Collection[Any], room: int) -> int:
    """As `left`, of all of `items`. Looks at no more of them than that takes."""
    within = shape.left
    if within is None:
        return room - shape.weight * len(items)
    room -= len(items)
    for item in items:
        if room < 0:
            break
        room = within(item, room)
    return room


def mismatch(name: str, value: object) -> Mismatch:
    shown = repr(value)
    return Mismatch(f"{shown if len(shown) <= 80 else shown[:77] + '...'} ({type(value).__name__}) is not {name}")


def _same(kind: type, encode: Encode | None = None, *, text: bool = False) -> Shape:
    def same(value: Any) -> Any:
        if type(value) is kind:
            return value
        raise mismatch(kind.__name__, value)

    return Shape(kind.__name__, (kind,), encode or same, same, bare=True, text=text)


def storable(text: str) -> str:
    """`text`, unless it has half of a pair of surrogates: no encoding has a word for that."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise Mismatch(f"{text[max(0, error.start - 20) : error.start + 20]!r} is no text: {error}") from None
    return text


def _encode_str(value: Any) -> Any:
    if type(value) is str:
        return value if value.isascii() else storable(value)
    raise mismatch("str", value)


def encode_int(value: Any) -> Any:
    if type(value) is int:
        return value if _LEAST < value < _MOST else printable(value)
    raise mismatch("int", value)


def printable(value: int) -> int:
    try:
        str(value)
    except ValueError as error:
        raise Mismatch(str(error)) from None
    return value


def _none(value: Any) -> None:
    if value is not None:
        raise mismatch("None", value)


def _encode_float(value: Any) -> Any:
    """A whole number may stand for a float, as for type checkers, and stays one. JSON knows no infinity: it is text."""
    if type(value) is float:
        if value - value == 0.0:
            return value
        if value == value:
            return "inf" if value > 0 else "-inf"
        raise Mismatch("NaN cannot be stored: it is not equal to what would be read back")
    if type(value) is int:
        return encode_int(value)
    raise mismatch("float", value)


def _decode_float(data: Any) -> Any:
    if type(data) is float or type(data) is int:
        return data
    if data == "inf":
        return inf
    if data == "-inf":
        return -inf
    raise mismatch("float", data)


def as_text(kind: type, parse: Callable[[str], Any], write: Callable[[Any], str] = str, name: str = "") -> Shape:
    """A type that has a text form which reads back as the same value."""
    name = name or kind.__name__

    def encode(value: Any) -> str:
        if type(value) is kind:
            return storable(write(value))
        raise mismatch(name, value)

    def decode(data: Any) -> Any:
        if type(data) is not str:
            raise mismatch(name, data)
        try:
            return parse(data)
        except (ValueError, ArithmeticError) as error:
            raise mismatch(name, data) from error

    return Shape(name, (kind,), encode, decode, text=True)


def _with_zone(value: datetime | time) -> str:
    """As ISO 8601 has it, then what that has no word for: the name of the zone, and which of two hours."""
    zone, said = value.tzinfo, value.isoformat()
    if zone is not None and type(zone) is not timezone:
        from zoneinfo import ZoneInfo  # imported already

        if type(zone) is not ZoneInfo or not zone.key:
            raise Mismatch(f"{zone!r} is no time zone that can be stored: use datetime.timezone or zoneinfo.ZoneInfo")
        said += f"[{zone.key}]"
    return f"{said}{_AGAIN}" if value.fold else said


def _moment(data: str) -> datetime:
    said, zone, fold = _without_zone(data)
    found = datetime.fromisoformat(said).replace(fold=fold)
    if zone is None:
        return found
    moment = found.replace(tzinfo=zone)
    # What a zone does may have been decided anew since: the moment stays then, and not what clocks there show.
    # Without an offset, as a person may write it, it is what they show.
    return moment if found.utcoffset() in (None, moment.utcoffset()) else found.astimezone(zone)


def _time_of_day(data: str) -> time:
    said, zone, fold = _without_zone(data)
    found = time.fromisoformat(said).replace(fold=fold)
    return found if zone is None else found.replace(tzinfo=zone)


def _without_zone(data: str) -> tuple[str, tzinfo | None, int]:
    if not data.endswith("]"):
        return data, None, 0
    said = data.removesuffix(_AGAIN)
    fold = int(said != data)
    said, has_zone, key = said.removesuffix("]").partition("[")
    if not has_zone:
        return said, None, fold
    from zoneinfo import ZoneInfo  # with the first value that is in a zone

    try:
        return said, ZoneInfo(key), fold
    except (LookupError, OSError) as error:
        raise Mismatch(f"{data!r} is in a time zone that this machine does not know: install tzdata") from error


def _encode_timedelta(value: Any) -> Any:
    if type(value) is timedelta:
        return [value.days, value.seconds, value.microseconds]
    raise mismatch("timedelta", value)


def _decode_timedelta(data: Any) -> timedelta:
    match data:
        case [int(days), int(seconds), int(microseconds)]:
            return timedelta(days, seconds, microseconds)
        case _:
            raise mismatch("timedelta", data)


NONE: Final = Shape("None", (type(None),), _none, _none, bare=True)
SCALARS: Final[dict[type, Shape]] = {
    bool: _same(bool),
    int: _same(int, encode_int),
    str: _same(str, _encode_str, text=True),
    float: Shape("float", (float,), _encode_float, _decode_float, bare=True),
    bytes: as_text(
        bytes,
        lambda data: binascii.a2b_base64(data, strict_mode=True),
        lambda value: binascii.b2a_base64(value, newline=False).decode(),
    ),
    datetime: as_text(datetime, _moment, _with_zone),
    date: as_text(date, date.fromisoformat, date.isoformat),
    time: as_text(time, _time_of_day, _with_zone),
    timedelta: Shape("timedelta", (timedelta,), _encode_timedelta, _decode_timedelta),
    Path: as_text(Path, Path, name="treewarden Path"),
    pathlib.Path: as_text(type(pathlib.Path()), pathlib.Path, name="pathlib.Path"),
    pathlib.PurePosixPath: as_text(pathlib.PurePosixPath, pathlib.PurePosixPath),
}


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

    text = not issubclass(kind, Flag)
    return Shape(name, (kind,), encode, decode, text=text, formerly=former_names(kind, name))


def former_names(kind: type, name: str) -> tuple[str, ...]:
    """What a class that is stored as `name` was stored as before: those that it says itself, and none that a class says
    from which it inherits. Raises `ConfigurationError` for what is none."""
    said: Any = vars(kind).get("__formerly__", ())
    if said.__class__ is not tuple or not all(each.__class__ is str and ":" in each for each in said):
        raise ConfigurationError(f"{name}.__formerly__ is {said!r}; it must be a tuple of names, as ('shop:Order',)")
    inside = name.removeprefix(f"{kind.__module__}:{kind.__qualname__}")
    return tuple([f"{each}{inside}" for each in said])


def unwrapped(declared: Any) -> Any:
    """A type without what else is noted there, and without a name of its own."""
    while True:
        if get_origin(declared) is Annotated:
            declared = get_args(declared)[0]
        elif isinstance(declared, NewType):
            declared = declared.__supertype__
        elif type(declared).__name__ == "TypeAliasType":
            declared = declared.__value__
        else:
            return declared


def has_fields(kind: Any) -> bool:
    """Whether it is a class whose values are stored field by field."""
    return isinstance(kind, type) and (attrs.has(kind) or hasattr(kind, "__dataclass_fields__"))
