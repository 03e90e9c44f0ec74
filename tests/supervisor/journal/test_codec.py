"""States and messages as text: read back as they were, or refused; nothing is made that was not named."""

from __future__ import annotations

import dataclasses
import pathlib
import sys
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, Flag, IntEnum, StrEnum, auto
from math import inf, nan
from typing import Annotated, Any, ClassVar, Literal, NewType
from uuid import UUID

import attrs
import pytest
from attrs import field, frozen

from treewarden.agents.core.message import Request
from treewarden.agents.core.path import Path
from treewarden.agents.core.upcasts import Upcasts
from treewarden.agents.errors import ConfigurationError, JournalDamaged, UnknownKind
from treewarden.supervisor.journal.codec import Codec

from .both_ways import decoded, encoded

HERE = __name__


class Colour(Enum):
    RED = "r"
    BLUE = ("b", 2)


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Word(StrEnum):
    YES = "yes"


class Right(Flag):
    READ = auto()
    WRITE = auto()


Seconds = NewType("Seconds", float)


@frozen
class Add:
    amount: int


@frozen
class Total(Request[int]): ...


@dataclasses.dataclass(frozen=True)
class Point:
    x: float
    y: float = 0.0


@frozen
class Choice:
    colour: Literal[Colour.RED] = Colour.RED
    either: Add | Point = Add(1)


@frozen
class Tree:
    name: str
    children: tuple[Tree, ...] = ()
    parent: Tree | None = None


FACTS: dict[str, Any] = {"a": [1, 2.5, None, True, "x", {"b": []}]}


@frozen
class Everything:
    none: None = None
    yes: bool = True
    whole: int = 2**80
    real: float = 0.1
    endless: float = -inf
    text: str = 'ä"\n\x00'
    raw: bytes = b"\x00\xff"
    moment: datetime = datetime(2026, 11, 21, 3, 4, 5, 678901, timezone(timedelta(hours=-3)))
    naive: datetime = datetime(2026, 1, 1)
    day: date = date(2026, 2, 28)
    clock: time = time(23, 59, 59, 1)
    span: timedelta = timedelta(days=-1, microseconds=7)
    money: Decimal = Decimal("1.10")
    id: UUID = UUID(int=7)
    colour: Colour = Colour.BLUE
    level: Level = Level.HIGH
    word: Word = Word.YES
    rights: Right = Right.READ | Right.WRITE
    slot: Path = Path("desk/writer")
    file: pathlib.Path = pathlib.Path("/tmp/x")
    mode: Literal["up", "down", 3, None] = "up"
    wait: Seconds = Seconds(1.5)
    named: Annotated[int, "noted"] = 3
    point: Point = Point(1.0, 2.0)
    maybe: Add | None = Add(1)
    either: Add | Point | int | None = Point(3.0)
    number: float | str = 1.0
    many: tuple[Add, ...] = (Add(1), Add(2))
    pair: tuple[int, str] = (1, "x")
    nothing: tuple[()] = ()
    items: list[float] = field(factory=lambda: [1.0, 2])
    bag: frozenset[str] = frozenset({"a"})
    by_name: Mapping[str, Add] = field(factory=lambda: {"z": Add(1), "a": Add(2)})
    by_number: dict[int, tuple[int, ...]] = field(factory=lambda: {2: (1,), 1: ()})
    by_colour: dict[Colour, int] = field(factory=lambda: {Colour.RED: 1})
    facts: Any = field(factory=lambda: FACTS)
    tree: Tree = Tree("root", (Tree("left"), Tree("right")), Tree("above"))
    derived: int = field(init=False, default=7)
    shared: ClassVar[int] = 1
    _private: int = 5


def back(codec: Codec, value: object) -> Any:
    return decoded(codec, *encoded(codec, value))


def test_what_is_stored_is_readable() -> None:
    assert Codec([Add]).encode(Add(3)) == (f"{HERE}:Add", 1, '{"amount":3}')
    assert Codec([Total]).encode(Total()) == (f"{HERE}:Total", 1, "{}")
    assert Codec([]).encode("ä") == ("str", 1, '"ä"')


def test_every_supported_type_comes_back_as_it_was() -> None:
    value = Everything()
    found = back(Codec([Everything]), value)
    assert found == value
    assert repr(found) == repr(value)  # which, unlike ==, tells 1 from 1.0 and True, and shows the order of a dict


@pytest.mark.parametrize("value", [None, True, 0, 1.5, "x", b"x"], ids=repr)
def test_scalars_are_known_to_every_codec(value: object) -> None:
    assert back(Codec([]), value) == value
    assert type(back(Codec([]), value)) is type(value)


def test_equal_sets_are_stored_alike() -> None:
    codec = Codec([frozenset[str], set[int]])
    assert codec.encode(frozenset("hgfedcba"))[2] == '["a","b","c","d","e","f","g","h"]'
    assert back(codec, {3, 1, 2}) == {1, 2, 3}


def test_the_members_of_a_union_are_stored_under_their_own_names() -> None:
    codec = Codec([Add | Point | None])
    assert codec.encode(Add(1))[0] == f"{HERE}:Add"
    assert back(codec, Point(1.0)) == Point(1.0)
    assert back(codec, None) is None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (timedelta(days=1, seconds=90, microseconds=5), "[1,90,5]"),
        (Decimal("1.50"), '"1.50"'),
        (UUID(int=5), '"00000000-0000-0000-0000-000000000005"'),
        (pathlib.Path("/tmp/x"), '"/tmp/x"'),
        (b"ab\xff", '"YWL/"'),
        (Colour.RED, '"RED"'),
    ],
    ids=repr,
)
def test_values_are_written_as_the_page_says(value: object, text: str) -> None:
    """`docs/operating.md`, for who writes a message by hand: as fields, in a dict with other keys and in a union."""
    kind = pathlib.Path if isinstance(value, pathlib.Path) else type(value)
    codec = Codec([tuple[kind, ...], dict[kind, int], tuple[Add | Point, ...]])
    assert codec.encode((value,))[2] == f"[{text}]"
    assert codec.encode({value: 1})[2] == (f"{{{text}:1}}" if text.startswith('"') else f"[[{text},1]]")
    assert codec.encode((Add(1),))[2] == f'[["{HERE}:Add",{{"amount":1}}]]'
    bare = Codec([tuple[Add | Point | bool | int | str | None, ...]])
    assert bare.encode((True, 1, "x", None))[2] == '[true,1,"x",null]'


def test_words_to_choose_from_are_keys_of_an_object() -> None:
    assert Codec([dict[Literal["a", "b"], int]]).encode({"a": 1})[2] == '{"a":1}'


def test_infinity_needs_no_text_beside_it() -> None:
    codec = Codec([tuple[float | None, ...], tuple[float | bool, ...]])
    for value in ((inf, None), (-inf, True)):
        assert back(codec, value) == value


def test_collections_may_be_stored_on_their_own() -> None:
    codec = Codec([tuple[int, ...], list[str], list[int]])
    for value in ((1, 2), (), ["a"], [1], []):
        assert back(codec, value) == value


# What is refused


@pytest.mark.parametrize(
    ("value", "where"),
    [
        (Add("3"), "Add.amount"),  # pyright: ignore[reportArgumentType]
        (Add(True), "Add.amount"),
        (Add(Level.LOW), "Add.amount"),
        (Point(nan), "Point.x"),
        (Point("1"), "Point.x"),  # pyright: ignore[reportArgumentType]
        (Point(True), "Point.x"),
        (Tree("a", (Tree("b"), Tree(4))), r"Tree.children\[1\].name"),  # pyright: ignore[reportArgumentType]
        (Tree("a", [Tree("b")]), "Tree.children"),  # pyright: ignore[reportArgumentType]
        (Everything(by_name={"x": Point(1.0)}), r"Everything.by_name\['x'\]"),  # pyright: ignore[reportArgumentType]
        (Everything(either=1.5), "Everything.either"),  # pyright: ignore[reportArgumentType]
        (Everything(number=inf), "Everything.number"),
        (Everything(facts={"a": (1, 2)}), r"Everything.facts\['a'\]"),
        (Everything(facts={1: 2}), "Everything.facts"),
        (Everything(mode=True), "Everything.mode"),  # pyright: ignore[reportArgumentType]
        (Everything(money=Decimal("NaN")), "Everything.money"),
        (Everything(text="\ud800"), "Everything"),
        (Choice(Colour.BLUE), "Choice.colour"),  # pyright: ignore[reportArgumentType]
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_value_that_is_not_of_its_type_is_refused_where_it_stands(value: object, where: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{HERE}:{where}"):
        encoded(Codec([Add, Point, Tree, Everything, Choice]), value)


def test_a_subclass_is_another_class() -> None:
    @frozen
    class More(Add):
        extra: int = 0

    with pytest.raises(ConfigurationError, match=r"More is not known.*declare it as"):
        Codec([Add]).encode(More(1))
    with pytest.raises(ConfigurationError, match=r"Everything\.maybe"):
        Codec([Everything]).encode(Everything(maybe=More(1)))


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("Add", '{"amount":"3"}'),
        ("Add", '{"amount":3.0}'),
        ("Add", '{"amount":true}'),
        ("Add", "{}"),
        ("Add", '{"amount":3,"more":1}'),
        ("Add", "[3]"),
        ("Add", "null"),
        ("Point", '{"x":"1","y":2.0}'),
        ("Point", '{"x":true,"y":2.0}'),
        ("Tree", '{"name":"a","children":[{"name":"b","children":[],"parent":3}],"parent":null}'),
        ("Tree", '{"name":"a","children":{},"parent":null}'),
        ("Choice", '{"colour":"BLUE","either":["%s:Add",{"amount":1}]}'),
        ("Choice", '{"colour":"RED","either":["%s:Add",{"amount":1},2]}'),
        ("Choice", '{"colour":"RED","either":["%s:Tree",{"amount":1}]}'),
        ("Choice", '{"colour":"RED","either":[["%s:Add"],{"amount":1}]}'),
    ],
)
def test_nothing_is_coerced_on_the_way_back(kind: str, body: str) -> None:
    with pytest.raises(UnknownKind, match=f"{HERE}:{kind}.*give the class a new __version__"):
        decoded(Codec([Add, Point, Tree, Choice]), f"{HERE}:{kind}", 1, body.replace("%s", HERE))


def test_the_place_of_what_does_not_fit_is_named() -> None:
    body = '{"name":"a","children":[{"name":"b","children":[],"parent":null},{"name":4}],"parent":null}'
    with pytest.raises(UnknownKind, match=r"4 \(int\) is not str @ .*:Tree\.name.*Tree\.children"):
        decoded(Codec([Tree]), f"{HERE}:Tree", 1, body)


def test_a_body_that_is_not_json_is_damage() -> None:
    for body in ("", "{", '{"amount":NaN}', "\x00"):
        with pytest.raises(JournalDamaged):
            decoded(Codec([Add]), f"{HERE}:Add", 1, body)


def test_a_class_that_was_not_named_is_never_made() -> None:
    codec = Codec([Add])
    sys.modules.pop("antigravity", None)
    for kind in (f"{HERE}:Point", "antigravity:geohash", "builtins:eval", "", "Add"):
        with pytest.raises(UnknownKind, match="no class at hand"):
            decoded(codec, kind, 1, "{}")
    assert "antigravity" not in sys.modules


# Versions


def renamed(fields: dict[str, Any]) -> dict[str, Any]:
    return {"amount": fields["sum"]}


def doubled(fields: dict[str, Any]) -> dict[str, Any]:
    return {"amount": fields["amount"] * 2, "unit": "cent"}


@frozen
class Paid:
    amount: int
    unit: str = "euro"
    __version__: ClassVar[int] = 3
    __upcasts__: ClassVar[Upcasts] = {1: renamed, 2: doubled}


@frozen
class Bill:
    paid: tuple[Paid, ...]


def test_older_data_is_brought_up_step_by_step() -> None:
    codec = Codec([Paid])
    assert codec.encode(Paid(1)) == (f"{HERE}:Paid", 3, '{"amount":1,"unit":"euro"}')
    assert decoded(codec, f"{HERE}:Paid", 3, '{"amount":1,"unit":"euro"}') == Paid(1)
    assert decoded(codec, f"{HERE}:Paid", 2, '{"amount":1}') == Paid(2, "cent")
    assert decoded(codec, f"{HERE}:Paid", 1, '{"sum":1}') == Paid(2, "cent")


def test_an_inner_value_carries_the_version_of_its_class() -> None:
    codec = Codec([Bill])
    value = Bill((Paid(1),))
    assert encoded(codec, value)[2] == '{"paid":[{"amount":1,"unit":"euro","$v":3}]}'
    assert back(codec, value) == value
    assert decoded(codec, f"{HERE}:Bill", 1, '{"paid":[{"sum":2},{"amount":3,"$v":2}]}') == Bill(
        (Paid(4, "cent"), Paid(6, "cent"))
    )


@pytest.mark.parametrize(
    ("kind", "version", "body"),
    [
        ("Paid", 4, "{}"),
        ("Paid", 0, "{}"),
        ("Paid", 1, "{}"),
        ("Paid", 1, "[]"),
        ("Add", 2, '{"amount":1}'),
        ("Bill", 1, '{"paid":[{"amount":1,"$v":4}]}'),
        ("Bill", 1, '{"paid":[{"amount":1,"$v":"3"}]}'),
    ],
)
def test_a_version_without_a_way_here_is_unknown(kind: str, version: int, body: str) -> None:
    with pytest.raises(UnknownKind, match=kind):
        decoded(Codec([Paid, Add, Bill]), f"{HERE}:{kind}", version, body)


@pytest.mark.parametrize("made", [None, [], {"total": 1}], ids=str)
def test_what_an_upcast_has_made_wrong_is_said_of_the_upcast(made: object) -> None:
    """There is one from version 1: to ask for one would have its author look in the wrong place."""

    def wrong(fields: dict[str, Any]) -> Any:
        return made

    upcasts = {1: renamed, 2: wrong}
    kind = attrs.make_class("Made", {"amount": field(type=int)}, class_body={"__version__": 3, "__upcasts__": upcasts})
    codec = Codec([kind])
    stored = f"{kind.__module__}:Made"
    with pytest.raises(UnknownKind, match="mend the upcast from version 2, which has made this of it"):
        decoded(codec, stored, 1, '{"sum":1}')
    with pytest.raises(UnknownKind, match="give the class a new __version__ and an upcast from 3"):
        decoded(codec, stored, 3, "{}")


def test_a_missing_step_is_unknown() -> None:
    kind = attrs.make_class("Old", {"x": field(type=int)}, class_body={"__version__": 3, "__upcasts__": {2: dict}})
    with pytest.raises(UnknownKind, match="no upcast from version 1"):
        decoded(Codec([kind]), Codec([kind]).encode(kind(1))[0], 1, "{}")


@pytest.mark.parametrize(
    "body",
    [{"__version__": 0}, {"__version__": "2"}, {"__upcasts__": 3}, {"__upcasts__": {1: dict}},
     {"__version__": 2, "__upcasts__": {1: 3}}],
    ids=str,
)  # fmt: skip
def test_versions_that_cannot_work_are_refused(body: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=r"__version__|__upcasts__"):
        Codec([attrs.make_class("Bad", {"x": field(type=int)}, class_body=body)])


def test_times_in_a_zone_come_back_as_the_same_moment() -> None:
    moment = datetime(2026, 7, 1, 12, tzinfo=UTC)
    codec = Codec([datetime])
    assert back(codec, moment) == moment
    assert codec.encode(moment)[0] == "datetime"
