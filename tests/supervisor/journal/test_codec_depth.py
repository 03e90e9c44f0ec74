"""Values that are nested deeply: refused in a sentence, and what is wrong far inside is found in one pass."""

from __future__ import annotations

import json
from math import nan
from typing import Any, cast

import pytest
from attrs import field, frozen

from treewarden.agents.errors import ConfigurationError, JournalDamaged, UnknownKind
from treewarden.supervisor.journal.codec import Codec
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
        with pytest.raises(UnknownKind, match="invalid value"):
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
