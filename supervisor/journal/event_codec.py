"""Events as text, and back. What is stored is every field, so that a default changed later changes no old event; but
what an event has got since, and what says nothing where it is empty, is stored where it is not."""

from __future__ import annotations

import binascii
import pathlib
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from enum import Enum
from functools import cache
from inspect import get_annotations
from operator import itemgetter
from typing import Any, Final, TypeAlias, cast

import attrs

from treewarden.agents.core.path import Path
from treewarden.agents.errors import JournalDamaged, UnknownKind

from ..core.event import EVENTS, Event
from .canonical import dump, dump_sorted, load
from .declared import Declared, Versions, version_of
from .scalars import SCALARS, Decode, Mismatch, Shape

__all__ = ["decode_event", "encode_event", "is_open_ended"]

Writer: TypeAlias = Callable[[Any], dict[str, Any]]

_AS_THEY_ARE: Final = frozenset({"str", "int", "bool", "Path", "float", "float | None", "int | None", "str | None"})
"""Declared types whose values are JSON data as they are."""
_NEWER: Final = {"Recorded": "message"}
"""The field that an event has got since: one without it is written as it was before."""
_SCALARS: Final[dict[str, Decode]] = {kind.__name__: SCALARS[kind].decode for kind in (str, int, bool, float, Path)}
"""How a field of one of these is read, by what is written in the class."""


def encode_event(event: Event) -> tuple[str, int, str]:
    """`(kind, version, body)`; the body is JSON with sorted keys and without spaces.

    Facts of the user's become plain data: tuples and sets arrays, enums their values, times and numbers of other
    types texts, attrs classes objects. Raises `ValueError` or `TypeError` for NaN, infinity, and what has no such form.
    """
    name, version, write = _writer(type(event))
    data = write(event)
    return name, version, _text_of_facts(data) if name == "Recorded" else dump_sorted(data)


def _text_of_facts(data: dict[str, Any]) -> str:
    """As `dump_sorted`, which has the interpreter for as long as a long text takes: that is made in pieces. All of
    `data` is new, and nobody else's."""
    from .large import LIMIT, Large, is_long  # with the first fact of a process

    if not is_long(data, LIMIT):
        return dump_sorted(data)
    _sort(data)
    large = Large(data)
    try:
        return large.text()
    finally:
        large.give_up()


def _sort(data: Any) -> None:
    """Put the keys of all objects in `data` in order."""
    waiting = [data]
    for node in waiting:
        inside = node
        if node.__class__ is dict:
            items = sorted(node.items(), key=itemgetter(0))
            node.clear()
            node.update(items)
            inside = node.values()
        waiting += [item for item in inside if item.__class__ is dict or item.__class__ is list]


def decode_event(kind: str, version: int, body: str) -> Event:
    """The event that was stored. Raises `UnknownKind` for one of a newer treewarden, `JournalDamaged` for no JSON."""
    event = EVENTS.get(kind)
    if event is None:
        raise UnknownKind(f"this version of treewarden knows no event {kind} (version {version})")
    try:
        data = load(body)
    except ValueError as error:
        raise JournalDamaged(f"the body of an event {kind} is not JSON: {error}") from error
    found = _read_plainly(event, version, data)
    if found is not None:
        return found
    shape, versions = _reader(event)
    try:
        return shape.decode(versions.bring_up(data, version))
    except Mismatch as error:
        raise UnknownKind(
            f"this version of treewarden cannot read an event {kind} (version {version}): {error}"
        ) from error


def _plain(value: Any) -> Any:
    """Facts as JSON data. They are read by people and folds, so what they mean counts, and not their Python type."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value.value if isinstance(value, Enum) else value
    if isinstance(value, Mapping):
        return _plain_mapping(cast("Mapping[Any, Any]", value))
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in cast("list[Any]", value)]
    if isinstance(value, (set, frozenset)):
        return sorted((_plain(item) for item in cast("set[Any]", value)), key=dump)
    if isinstance(value, Enum):
        return _plain(value.value)
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bytes):
        return binascii.b2a_base64(value, newline=False).decode()
    kind = value.__class__
    if attrs.has(kind):
        return {attribute.name: _plain(getattr(value, attribute.name)) for attribute in attrs.fields(kind)}
    if isinstance(value, pathlib.PurePath) or _is_of_library(value):
        return str(value)
    raise TypeError(f"{value!r:.80} ({kind.__name__}) is no plain data; record numbers, texts and lists of them")


def _is_of_library(value: object) -> bool:
    from decimal import Decimal
    from uuid import UUID

    return isinstance(value, (Decimal, UUID))


def _plain_mapping(value: Mapping[Any, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    for key, item in value.items():
        text = key if isinstance(key, str) else str(_plain(key))
        if text in plain:
            raise ValueError(f"two keys are both written {text!r}")
        plain[text] = _plain(item)
    return plain


@cache
def is_open_ended(event: type[Event]) -> bool:
    """Whether it has facts of any type: what is read back may be of simpler types than what was committed."""
    return any("Any" in str(note) for base in event.__mro__ for note in get_annotations(base).values())


@cache
def _writer(event: type[Event]) -> tuple[str, int, Writer]:
    if EVENTS.get(event.__name__) is not event:
        raise TypeError(f"{event.__name__} is not an event of the journal")
    # By what is written and not by `attrs.fields`, for which attrs would have to make all of the class (see `values`).
    notes = {name: note for base in reversed(event.__mro__) for name, note in get_annotations(base).items()}
    names = tuple(name for name, note in notes.items() if not note.startswith("ClassVar"))
    others = tuple(name for name in names if notes[name] not in _AS_THEY_ARE)

    newer = _NEWER.get(event.__name__, "")

    def write(value: Event) -> dict[str, Any]:
        data = {name: getattr(value, name) for name in names}
        for name in others:
            data[name] = _plain(data[name])
        if newer and not data[newer]:
            del data[newer]
        return data

    return event.__name__, version_of(event), write


def _read_plainly(event: type[Event], version: int, data: Any) -> Event | None:
    """An event of scalars as it was written today; None for any other, and for one with which something is wrong.

    As a tree opens it reads one kind, for which attrs would make the whole class and the types be worked out.
    """
    reads = _plain_reads(event)
    if reads is None or version != version_of(event) or data.__class__ is not dict or data.keys() != reads.keys():
        return None
    try:
        return event(**{name: read(data[name]) for name, read in reads.items()})
    except Mismatch:
        return None


@cache
def _plain_reads(event: type[Event]) -> dict[str, Decode] | None:
    """How its fields are read; None if one of them is no scalar."""
    notes = get_annotations(event)
    if len(event.__mro__) > 2 or not all(note in _SCALARS for note in notes.values()):
        return None
    return {name: _SCALARS[note] for name, note in notes.items()}


@cache
def _reader(event: type[Event]) -> tuple[Shape, Versions]:
    return _DECLARED.body(event), _DECLARED.versions(event)


_DECLARED: Final = Declared()
