"""Events as text: every one comes back, and what is stored does not depend on today's defaults."""

from __future__ import annotations

import json
import pathlib
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from typing import Any
from uuid import UUID

import attrs
import pytest
from attrs import frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from treewarden.agents.core.diagnosis import Diagnosis
from treewarden.agents.core.exit import Failure
from treewarden.agents.core.path import Path
from treewarden.agents.errors import JournalDamaged, UnknownKind
from treewarden.supervisor.core.event import (
    EVENTS,
    ChildEnded,
    ChildStarted,
    Decided,
    Event,
    Recorded,
    RejectedOption,
    Tried,
)
from treewarden.supervisor.journal import event_codec
from treewarden.supervisor.journal.canonical import dump_sorted
from treewarden.supervisor.journal.event_codec import decode_event, encode_event, is_open_ended
from treewarden.supervisor.journal.large import LIMIT

PATHS = st.sampled_from([Path("desk"), Path("desk/writer/2"), Path("/")])
TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
FACTS = st.dictionaries(TEXT, st.none() | st.booleans() | st.integers() | NUMBERS | TEXT | st.lists(st.integers()))
FAILURES: st.SearchStrategy[Failure] = st.recursive(
    st.builds(Failure, TEXT, TEXT, message=st.none() | TEXT, after=st.none() | NUMBERS),
    lambda inner: st.builds(Failure, TEXT, parts=st.lists(inner, max_size=2).map(tuple)),
    max_leaves=3,
)
OF_TYPE: dict[str, st.SearchStrategy[Any]] = {
    "str": TEXT,
    "int": st.integers(),
    "float": NUMBERS,
    "bool": st.booleans(),
    "int | None": st.none() | st.integers(),
    "float | None": st.none() | NUMBERS,
    "Path": PATHS,
    "MessageId": TEXT,
    "Failure": FAILURES,
    "Failure | None": st.none() | FAILURES,
    "Diagnosis | None": st.none()
    | st.builds(
        Diagnosis, cause=TEXT, p=NUMBERS, because=st.lists(TEXT).map(tuple), message=TEXT, to=st.none() | st.integers()
    ),
    "Mapping[str, Any]": FACTS,
    "Mapping[str, float]": st.dictionaries(TEXT, NUMBERS),
    "tuple[str, ...]": st.lists(TEXT).map(tuple),
    "tuple[Path, ...]": st.lists(PATHS).map(tuple),
    "tuple[tuple[str, ...], ...]": st.lists(st.lists(TEXT, max_size=3).map(tuple), max_size=3).map(tuple),
    "tuple[Tried, ...]": st.lists(st.builds(Tried, TEXT, TEXT, st.booleans()), max_size=3).map(tuple),
    "tuple[MessageId, ...]": st.lists(TEXT).map(tuple),
    "tuple[RejectedOption, ...]": st.lists(st.builds(RejectedOption, action=TEXT, confidence=NUMBERS, why=TEXT)).map(
        tuple
    ),
}


def events() -> st.SearchStrategy[Event]:
    def of(kind: type[Event]) -> st.SearchStrategy[Event]:
        annotations = {name: kind.__annotations__[name] for name in (field.name for field in attrs.fields(kind))}
        return st.builds(kind, **{name: OF_TYPE[text] for name, text in annotations.items()})

    return st.sampled_from(list(EVENTS.values())).flatmap(of)


@settings(max_examples=400)
@given(events())
def test_every_event_comes_back(event: Event) -> None:
    kind, version, body = encode_event(event)
    assert EVENTS[kind] is type(event)
    found = decode_event(kind, version, body)
    assert found == event
    assert encode_event(found) == (kind, version, body)


@given(events())
def test_the_text_is_canonical_and_complete(event: Event) -> None:
    body = encode_event(event)[2]
    data = json.loads(body)
    assert body == json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    newer = {"message"} if isinstance(event, Recorded) and not event.message else set[str]()
    assert set(data) == {field.name for field in attrs.fields(type(event))} - newer


def test_what_is_stored_is_fixed() -> None:
    """A change here makes old journals unreadable."""
    event = ChildEnded(path=Path("desk"), incarnation=2, exit="failed", failure=Failure("ValueError", "ä"), uptime=1.5)
    assert encode_event(event) == (
        "ChildEnded",
        1,
        '{"exit":"failed","expected":false,"failure":{"after":null,"fingerprint":"","message":null,"message_kind":null,'
        '"parts":[],"text":"ä","trace":"","type":"ValueError","unborn":false,"where":""},"incarnation":2,"path":"desk","reason":"",'
        '"uptime":1.5}',
    )


def test_a_field_that_came_later_takes_its_default() -> None:
    found = decode_event("ChildStarted", 1, '{"incarnation":3,"path":"desk"}')
    assert found == ChildStarted(path=Path("desk"), incarnation=3)
    assert isinstance(found, ChildStarted)
    assert type(found.path) is Path


class Mood(Enum):
    CALM = "calm"


class Level(IntEnum):
    HIGH = 2


class Word(StrEnum):
    YES = "yes"


@frozen
class Reading:
    status: int
    tags: tuple[str, ...] = ()


def test_facts_become_plain_data() -> None:
    facts = {
        "tuple": (1, 2),
        "set": set("hgfedcba"),
        "enum": Mood.CALM,
        "level": Level.HIGH,
        "word": Word.YES,
        "when": datetime(2026, 1, 1, tzinfo=UTC),
        "span": timedelta(seconds=90),
        "money": Decimal("1.10"),
        "id": UUID(int=1),
        "raw": b"\x00",
        "file": pathlib.Path("/tmp/x"),
        "slot": Path("desk"),
        "reading": Reading(200, ("a",)),
        "by number": {10: "x", 9: "y", Word.YES: 1, None: 0},
    }
    event = Recorded(path=Path("desk"), kind="checked", facts=facts)
    found = decode_event(*encode_event(event))
    assert isinstance(found, Recorded)
    assert found.facts == {
        "tuple": [1, 2],
        "set": list("abcdefgh"),
        "enum": "calm",
        "level": 2,
        "word": "yes",
        "when": "2026-01-01T00:00:00+00:00",
        "span": 90.0,
        "money": "1.10",
        "id": "00000000-0000-0000-0000-000000000001",
        "raw": "AA==",
        "file": "/tmp/x",
        "slot": "desk",
        "reading": {"status": 200, "tags": ["a"]},
        "by number": {"10": "x", "9": "y", "yes": 1, "None": 0},
    }


@pytest.mark.parametrize(
    "facts",
    [
        {"x": float("nan")},
        {"x": float("inf")},
        {"x": object()},
        {"x": "\ud800"},
        {"x": {1: "a", "1": "b"}},
        {"x": lambda: 1},
    ],
    ids=["nan", "inf", "object", "surrogate", "two keys alike", "function"],
)
def test_facts_without_a_plain_form_are_refused(facts: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError)):
        encode_event(Recorded(path=Path("desk"), kind="checked", facts=facts))


def test_a_number_that_is_not_one_is_refused_in_a_typed_field() -> None:
    for wrong in (float("nan"), float("-inf")):
        with pytest.raises(ValueError, match="not JSON compliant"):
            encode_event(ChildEnded(path=Path("desk"), incarnation=1, exit="finished", uptime=wrong))


def test_a_class_of_another_origin_is_refused() -> None:
    @frozen
    class Stranger:
        path: Path

    with pytest.raises(TypeError, match="Stranger is not an event"):
        encode_event(Stranger(Path("desk")))  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("kind", "version", "body"),
    [
        ("ChildVanished", 1, "{}"),
        ("ChildStarted", 2, '{"incarnation":3,"path":"desk"}'),
        ("ChildStarted", 1, '{"incarnation":3,"path":"desk","colour":"red"}'),
        ("ChildStarted", 1, '{"incarnation":"3","path":"desk"}'),
        ("ChildStarted", 1, '{"path":"desk"}'),
        ("ChildStarted", 1, "[]"),
        ("TreeClosed", 1, "[]"),
        ("TreeForked", 1, "[]"),
        ("EventsPruned", 1, "3"),
    ],
)
def test_an_event_of_a_newer_treewarden_is_unknown(kind: str, version: int, body: str) -> None:
    with pytest.raises(UnknownKind, match=kind):
        decode_event(kind, version, body)


def test_a_body_that_is_not_json_is_damage() -> None:
    with pytest.raises(JournalDamaged, match="ChildStarted"):
        decode_event("ChildStarted", 1, '{"incarnation":3')


def test_open_ended_events_are_those_with_facts_of_any_type() -> None:
    assert is_open_ended(Recorded)
    assert is_open_ended(Decided)
    assert not is_open_ended(ChildStarted)


def test_a_fact_of_no_message_is_written_as_it_was_before_facts_had_one() -> None:
    """The chain of hashes is over these texts: a journal of before must verify, and what it holds must be read."""
    before = '{"facts":{"n":1},"kind":"Seen","path":"desk"}'
    fact = Recorded(path=Path("desk"), kind="Seen", facts={"n": 1})
    assert encode_event(fact) == ("Recorded", 1, before)
    assert decode_event("Recorded", 1, before) == fact
    of = attrs.evolve(fact, message="9f-12/57")
    assert encode_event(of)[2] == '{"facts":{"n":1},"kind":"Seen","message":"9f-12/57","path":"desk"}'
    assert decode_event(*encode_event(of)) == of


def test_a_long_fact_becomes_text_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """The encoder of the standard library has the interpreter until it is done. The text is the same: it is hashed."""
    rows = [{"number": number, "at": [number / 7, None], "about": "née \u2028" * 9} for number in range(4_000)]
    facts: dict[str, Any] = {
        "z": {"rows": rows, "a": {"z": {}, "b": []}},
        "long": 'x"' * LIMIT,
        "a": tuple(rows[:7]),
        "n": 1,
    }
    fact = Recorded(path=Path("desk"), kind="Seen", facts=facts, message="9f-12/57")
    made = list[int]()

    def noted(data: Any) -> str:
        text = dump_sorted(data)
        made.append(len(text))
        return text

    monkeypatch.setattr(event_codec, "dump_sorted", noted)
    kind, version, body = encode_event(fact)
    plain = json.loads(json.dumps({"path": "desk", "kind": "Seen", "facts": facts, "message": "9f-12/57"}))
    assert body == dump_sorted(plain)
    assert max(made, default=0) <= LIMIT < len(body)
    found = decode_event(kind, version, body)
    assert isinstance(found, Recorded)
    assert (found.facts["z"], facts["z"]["rows"]) == (plain["facts"]["z"], rows), "what was recorded is as it was"


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), "\ud800", object()])
def test_a_long_one_is_refused_for_what_a_short_one_is(wrong: object) -> None:
    for rows in (10, 20_000):
        with pytest.raises((ValueError, TypeError)):
            encode_event(Recorded(path=Path("desk"), kind="Seen", facts={"rows": [*range(rows), wrong]}))
