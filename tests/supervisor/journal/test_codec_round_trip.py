"""For any declared type and any value of it, what is read back is the same value, of the same types all the way."""

from __future__ import annotations

import dataclasses
import io
import json
import pathlib
import struct
import time as time_of_system
import typing
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from enum import Enum
from itertools import count
from typing import Annotated, Any, Literal, Union
from uuid import UUID
from zoneinfo import ZoneInfo

import attrs
import pytest
from attrs import frozen
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from treewarden.agents.core.path import Path
from treewarden.agents.errors import ConfigurationError, JournalDamaged, UnknownKind
from treewarden.supervisor.journal.canonical import load
from treewarden.supervisor.journal.codec import Codec

from .both_ways import decoded, encoded


@frozen
class Case:
    """A declared type, and values of it."""

    declared: Any
    values: st.SearchStrategy[Any]
    hashable: bool = True


class Side(Enum):
    LEFT = 1
    RIGHT = "r"


TEXT = st.text(st.characters(codec="utf-8"), max_size=5)
ZONES = st.just(UTC) | st.none()
SCALARS = st.sampled_from(
    [
        Case(type(None), st.none()),
        Case(bool, st.booleans()),
        Case(int, st.integers()),
        Case(float, st.floats(allow_nan=False) | st.integers()),
        Case(str, TEXT),
        Case(bytes, st.binary(max_size=5)),
        Case(datetime, st.datetimes(timezones=ZONES)),
        Case(date, st.dates()),
        Case(time, st.times()),
        Case(timedelta, st.timedeltas()),
        Case(Decimal, st.decimals(allow_nan=False)),
        Case(UUID, st.uuids()),
        Case(Path, TEXT.map(Path)),
        Case(pathlib.Path, st.sampled_from(["/", "a/b", "..", "ä"]).map(pathlib.Path)),
        Case(Side, st.sampled_from(Side)),
    ]
)
NUMBERS = count()


def composed(inner: st.SearchStrategy[Case]) -> st.SearchStrategy[Case]:
    return (
        inner.map(several)
        | inner.map(lambda case: Case(list[case.declared], st.lists(case.values, max_size=3), hashable=False))
        | inner.filter(lambda case: case.hashable).map(distinct)
        | st.tuples(inner, inner).map(pair)
        | st.tuples(inner.filter(lambda case: case.hashable), inner).map(mapping)
        | st.lists(inner, min_size=2, max_size=4).map(union)
        | st.lists(inner, min_size=1, max_size=3).map(attrs_class)
        | st.lists(inner, min_size=1, max_size=3).map(data_class)
    )  # fmt: skip


def several(case: Case) -> Case:
    return Case(tuple[case.declared, ...], st.lists(case.values, max_size=3).map(tuple), case.hashable)


def distinct(case: Case) -> Case:
    return Case(frozenset[case.declared], st.frozensets(case.values, max_size=3))


def pair(cases: tuple[Case, Case]) -> Case:
    one, two = cases
    return Case(
        tuple[one.declared, two.declared], st.tuples(one.values, two.values), hashable=one.hashable and two.hashable
    )


def mapping(cases: tuple[Case, Case]) -> Case:
    key, value = cases
    return Case(
        dict[key.declared, value.declared], st.dictionaries(key.values, value.values, max_size=3), hashable=False
    )


def union(cases: list[Case]) -> Case:
    declared: Any = Union[tuple(case.declared for case in cases)]  # noqa: UP007 -- of types that are not known here
    return Case(declared, st.one_of([case.values for case in cases]), hashable=all(case.hashable for case in cases))


def attrs_class(cases: list[Case]) -> Case:
    fields = {f"field_{position}": attrs.field(type=case.declared) for position, case in enumerate(cases)}
    kind = attrs.make_class(f"Made{next(NUMBERS)}", fields, frozen=True)
    return Case(kind, st.builds(kind, *(case.values for case in cases)), all(case.hashable for case in cases))


def data_class(cases: list[Case]) -> Case:
    fields = [(f"field_{position}", case.declared) for position, case in enumerate(cases)]
    kind = dataclasses.make_dataclass(f"Made{next(NUMBERS)}", fields, frozen=True)
    return Case(kind, st.builds(kind, *(case.values for case in cases)), all(case.hashable for case in cases))


CASES = st.recursive(SCALARS, composed, max_leaves=6)


def same(one: Any, two: Any) -> bool:
    """Equality that tells 1 from True and 1.0, and looks at the order of a dict."""
    kind = one.__class__
    if kind is not two.__class__ or one != two:
        return False
    if kind in (tuple, list):
        return all(map(same, one, two))
    if kind is dict:
        return all(map(same, one.items(), two.items()))
    if kind is frozenset:
        return all(any(same(item, other) for other in two) for item in one)
    if attrs.has(kind):
        return all(same(getattr(one, field.name), getattr(two, field.name)) for field in attrs.fields(kind))
    if dataclasses.is_dataclass(kind):
        return all(same(getattr(one, field.name), getattr(two, field.name)) for field in dataclasses.fields(kind))
    return True


@settings(max_examples=120)
@given(CASES, st.data())
def test_any_value_of_any_type_comes_back_as_it_was(case: Case, data: st.DataObject) -> None:
    holder = attrs_class([case])
    try:
        codec = Codec([holder.declared])
    except ConfigurationError as error:
        assume("cannot be told apart" not in str(error) and "the same name" not in str(error))
        raise
    value = data.draw(holder.values)
    try:
        stored = encoded(codec, value, data.draw(st.integers(0, 4)))
    except ConfigurationError as error:
        assume("infinity would be read back" not in str(error))
        raise
    load(stored[2])
    assert same(decoded(codec, *stored), value)


@settings(max_examples=120)
@given(
    st.sampled_from(["int", "str", "bool", "float", "None", "bytes", "Nobody"]),
    st.integers(-1, 3),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
        max_leaves=5,
    ),
)
def test_whatever_is_stored_it_is_read_or_named_as_unreadable(kind: str, version: int, data: Any) -> None:
    codec = Codec([])
    try:
        found = decoded(codec, kind, version, json.dumps(data))
    except (UnknownKind, JournalDamaged):
        return
    assert kind in (type(found).__name__, "None", "float")
    assert same(codec.decode(*codec.encode(found)), found)


@pytest.mark.parametrize(
    ("declared", "values"),
    [
        (Literal[Side.LEFT], [Side.LEFT]),
        (Literal[b"a", b"\xff"], [b"a", b"\xff"]),
        (Literal[Side.LEFT, "LEFT", b"LEFT", 1, True, None], [Side.LEFT, "LEFT", b"LEFT", 1, True, None]),
        (Literal[Side.LEFT] | int | None, [Side.LEFT, 3, None]),
        (Literal["a", None] | int, ["a", None, 3]),
        (Literal["a", None] | Side, ["a", None, Side.LEFT, Side.RIGHT]),
        (dict[Literal[Side.LEFT, "LEFT"], int], [{Side.LEFT: 1, "LEFT": 2}]),
        (Literal["a"] | Literal["b"], ["a", "b"]),
        (Literal["a", 1] | Literal["b", 1] | None, ["a", "b", 1, None]),
        (Literal["a"] | Literal["b"] | Side | int, ["a", "b", Side.LEFT, 3]),
        (Literal["a"] | str, ["a", "b"]),
        (Literal[Side.LEFT] | Side, [Side.LEFT, Side.RIGHT]),
        (Literal[Side.LEFT] | Literal[Side.RIGHT] | str, [Side.LEFT, Side.RIGHT, "LEFT"]),
        (Union[Annotated[Literal["up"], 1], Literal["down", None], None], ["up", "down", None]),  # noqa: UP007
    ],
    ids=str,
)
def test_literals_of_any_kind_come_back(declared: Any, values: list[Any]) -> None:
    holder = holding(declared)
    codec = Codec([holder])
    for value in values:
        found = decoded(codec, *encoded(codec, holder(value))).held
        assert (found, type(found)) == (value, type(value))


def holding(declared: Any) -> Any:
    return attrs.make_class("Holder", {"held": attrs.field(type=declared)}, frozen=True)


@pytest.mark.parametrize(
    ("name", "value"),
    [("List", [1, "a"]), ("Dict", {"a": 1}), ("Tuple", (1, "a")), ("Set", {1}), ("FrozenSet", frozenset({1}))],
)
def test_old_names_of_collections_are_those_of_today(name: str, value: Any) -> None:
    """Also where nobody has said what they hold."""
    holder = holding(getattr(typing, name))
    codec = Codec([holder])
    found = decoded(codec, *encoded(codec, holder(value))).held
    assert (found, type(found)) == (value, type(value))


def test_literals_of_a_union_are_these_and_no_others() -> None:
    holder = holding(Literal["a"] | Literal["b"] | int)
    with pytest.raises(ConfigurationError, match=r"Holder\.held cannot be stored: 'c' \(str\) is not one of 'a', 'b'"):
        Codec([holder]).encode(holder("c"))


@pytest.mark.parametrize("stored", ['"LEFT"', f'["{Side.__module__}:Side","LEFT"]'])
def test_what_stood_beside_a_literal_of_none_is_read_as_it_was_stored_before(stored: str) -> None:
    """Without its name, as if there were nothing else but None."""
    holder = holding(Literal["a", None] | Side)
    codec = Codec([holder])
    kind, version, _ = codec.encode(holder(None))
    assert decoded(codec, kind, version, f'{{"held":{stored}}}').held is Side.LEFT
    with pytest.raises(UnknownKind):
        decoded(codec, kind, version, '{"held":"ELSE"}')


BERLIN = ZoneInfo("Europe/Berlin")
TWICE = datetime(2026, 10, 25, 2, 30)


@pytest.mark.parametrize(
    "value",
    [
        datetime(2026, 7, 1, 12, tzinfo=BERLIN),
        TWICE.replace(tzinfo=BERLIN),
        TWICE.replace(tzinfo=BERLIN, fold=1),
        datetime(2026, 3, 29, 2, 30, fold=1, tzinfo=BERLIN),
        TWICE.replace(fold=1),
        TWICE.replace(fold=1, tzinfo=UTC),
        time(2, 30, tzinfo=BERLIN),
        time(2, 30, fold=1),
        time(2, 30, fold=1, tzinfo=BERLIN),
    ],
    ids=repr,
)
def test_a_time_comes_back_in_its_zone_and_in_its_hour(value: Any) -> None:
    codec = Codec([type(value), dict[type(value), int]])
    assert repr(decoded(codec, *encoded(codec, value))) == repr(value)
    assert repr(decoded(codec, *encoded(codec, {value: 1}))) == repr({value: 1})


def test_where_a_zone_has_other_rules_since_the_moment_stays() -> None:
    """That summer time was to be there still when it was stored."""
    found: datetime = decoded(Codec([datetime]), "datetime", 1, '"2026-01-01T12:00:00+02:00[Europe/Berlin]"')
    assert repr(found) == repr(datetime(2026, 1, 1, 11, tzinfo=BERLIN))


def test_a_time_without_an_offset_is_what_clocks_in_its_zone_show(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was read as a time of the machine's own zone."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time_of_system.tzset()
    found = decoded(Codec([datetime]), "datetime", 1, '"2026-07-01T12:00:00[Europe/Berlin]"')
    monkeypatch.undo()
    time_of_system.tzset()
    assert repr(found) == repr(datetime(2026, 7, 1, 12, tzinfo=BERLIN))


class Elsewhere(tzinfo):
    def utcoffset(self, dt: datetime | None, /) -> timedelta:
        return timedelta(hours=1)


@pytest.mark.parametrize("value", [datetime(2026, 1, 1, tzinfo=Elsewhere()), time(1, tzinfo=Elsewhere())], ids=str)
def test_a_zone_that_would_not_come_back_is_refused(value: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"Elsewhere.* is no time zone .*: use datetime.timezone or zoneinfo"):
        encoded(Codec([type(value)]), value)


def test_a_zone_without_a_name_is_refused() -> None:
    file = b"TZif" + bytes(16) + struct.pack(">6l", 0, 0, 0, 0, 1, 4) + struct.pack(">lbb", 0, 0, 0) + b"UTC\0"
    nameless = ZoneInfo.from_file(io.BytesIO(file))
    with pytest.raises(ConfigurationError, match=r"from_file\(.* is no time zone that can be stored"):
        encoded(Codec([datetime]), datetime(2026, 1, 1, tzinfo=nameless))


def test_a_zone_that_nobody_knows_is_said() -> None:
    with pytest.raises(UnknownKind, match="is in a time zone that this machine does not know: install tzdata"):
        decoded(Codec([datetime]), "datetime", 1, '"2026-01-01T12:00:00+02:00[Nowhere/Else]"')
