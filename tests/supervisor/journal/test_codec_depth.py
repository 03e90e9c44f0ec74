"""Values that are nested deeply: refused in a sentence, and what is wrong far inside is found in one pass."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from math import nan
from typing import Any, cast

import pytest
from attrs import field, frozen

from treewarden.agents.errors import ConfigurationError, JournalDamaged, UnknownKind
from treewarden.supervisor.journal.codec import Codec, Encoded
from treewarden.supervisor.journal.slices import at_once

HERE = __name__
DEPTH = 40
"""Where what is looked at twice at each depth would be looked at until the sun has gone out."""


@frozen
class Nested:
    inner: Nested | None = None
    number: int = 0


def nested(depth: int, rest: str = "") -> str:
    return '{"inner":' * depth + "null" + f"{rest}}}" * depth


def test_what_is_nested_too_deeply_is_neither_stored_nor_read() -> None:
    codec, kind = Codec([Nested]), f"{HERE}:Nested"
    value = Nested()
    for _ in range(20_000):
        value = Nested(value)
    with pytest.raises(ConfigurationError, match=r"Nested cannot be stored: it is nested too deeply, in \.inner$"):
        codec.encode(value)
    while value.inner is not None:  # link by link: to free all of them at once would go as deep
        value = value.inner
    body = nested(DEPTH, ',"number":0')
    assert codec.encode(codec.decode(kind, 1, body))[2] == body
    with pytest.raises(JournalDamaged, match="nested too deeply"):
        codec.decode(kind, 1, nested(100_000))
    with pytest.raises(JournalDamaged, match="nested too deeply"):
        at_once(codec.decoding(kind, 1, nested(4_000, ',"number":0')))
    data: Any = None
    for _ in range(900):
        data = {"inner": data, "number": 0}
    with pytest.raises(JournalDamaged, match="nested too deeply"):
        codec.decode(kind, 1, json.dumps(data))
    with pytest.raises(ConfigurationError, match="nested too deeply"):
        codec.read(kind, data)


@frozen
class Many:
    inner: tuple[Many, ...] = ()
    text: str = ""


@frozen
class Named:
    inner: dict[str, Named | int]


@frozen
class Wide:
    inner: tuple[Wide, ...] = ()
    rest: tuple[int, ...] = ()


@frozen
class Bag:
    inner: Any = None


def one_more(value: Any, text: str) -> Any:
    """A value of the same class, with this one in it."""
    match value:
        case Nested():
            return Nested(value)
        case Many():
            return Many((value,), text)
        case Named():
            return Named({"a": value, f"b{text}": 1})
        case Bag(list()):
            return Bag([value.inner, text])
        case _:
            return Bag({"a": value.inner, "b": text})


@pytest.mark.parametrize("text", ["", "x" * 300], ids=["short", "long"])
@pytest.mark.parametrize(
    "innermost", [Nested(), Many(), Named({}), Bag([]), Bag({})], ids=["one", "several", "by name", "list", "dict"]
)
def test_whatever_depth_can_be_stored_can_be_read(innermost: Any, text: str) -> None:
    """Also by somebody who is deeper in calls than whoever has stored it was. To read goes deeper than to write."""
    codec, value, stored, depth = Codec([type(innermost)]), innermost, ("", 0, ""), 0
    step = 1 if not text else 15  # of long ones it takes 0.1 s to write one
    with suppress(ConfigurationError):
        while True:
            stored = codec.encode(value)
            for _ in range(step):
                value, depth = one_more(value, text), depth + 1
    assert depth > 100
    for read in (lambda: codec.decode(*stored), lambda: at_once(codec.decoding(*stored))):
        assert codec.encode(below(60, read)) == stored


def test_what_is_written_with_pauses_is_as_deep_as_can_be_read() -> None:
    codec, value, rows, wide = Codec([Wide]), Wide(), list[Encoded](), tuple(range(700))
    with suppress(ConfigurationError):
        while True:
            rows.append(at_once(codec.encoding(value)))
            for _ in range(5):
                value = Wide((value,), wide)
    kind, version, _, large = rows[-1]
    assert large is not None
    assert below(60, lambda: codec.decode(kind, version, large.text())).rest == wide
    assert len(rows) > 20


def below(calls: int, read: Callable[[], Any]) -> Any:
    return below(calls - 1, read) if calls else read()


LOOKS: list[int] = []


def _never(_instance: object, _attribute: object, value: int) -> None:
    LOOKS.append(value)
    raise ValueError("never")


@frozen
class Leaf:
    number: int = field(default=0, validator=_never)


@frozen
class Branch:
    inner: Branch | None = None
    leaves: tuple[Leaf, ...] = ()
    more: int = 0


@pytest.mark.parametrize("rest", ["", ',"leaves":[],"more":0'], ids=["some fields", "all fields"])
def test_what_cannot_be_read_is_not_looked_at_more_often_the_deeper_it_is(rest: str) -> None:
    codec = Codec([Branch])
    LOOKS.clear()
    for depth in (0, DEPTH):
        body = '{"inner":' * depth + '{"leaves":[{"number":1}]}' + f"{rest}}}" * depth
        with pytest.raises(UnknownKind, match="the class refused it: never"):
            codec.decode(f"{HERE}:Branch", 1, body)
    assert 2 <= len(LOOKS) <= 6


def test_what_cannot_be_stored_is_not_looked_at_more_often_the_deeper_it_is() -> None:
    wrong = Branch(more=cast("int", "x"))
    for _ in range(DEPTH):
        wrong = Branch(wrong)
    where = rf"Branch(\.inner){{{DEPTH}}}\.more"
    with pytest.raises(ConfigurationError, match=rf"{where} cannot be stored: 'x' \(str\) is not int"):
        Codec([Branch]).encode(wrong)
    plain: Any = nan
    for _ in range(DEPTH):
        plain = [1, {"key": plain}]
    Plain = frozen(type("Plain", (), {"__annotations__": {"facts": Any}, "__module__": HERE}))
    where = rf"Plain\.facts(\[1\]\['key'\]){{{DEPTH}}}"
    with pytest.raises(ConfigurationError, match=rf"{where} cannot be stored: nan cannot be stored"):
        Codec([Plain]).encode(Plain(plain))
