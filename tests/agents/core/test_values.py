"""Classes of one `__repr__`, `__eq__` and `__hash__`: what attrs itself would have made of them is what they are."""

from __future__ import annotations

import copy
import inspect
import pickle
import weakref
from collections.abc import Callable
from typing import Any, ClassVar

import attrs
import pytest
from attrs import evolve, field
from hypothesis import given
from hypothesis import strategies as st

from treewarden.agents.core import values

MAKERS = ((values.frozen, attrs.frozen), (values.define, attrs.define))


@values.frozen
class Kept:
    x: int
    y: tuple[int, ...] = ()


def pickled() -> Kept:
    return Kept(1, (2, 3))


def pair(ours: Any, theirs: Any, **options: Any) -> tuple[Any, Any]:
    """The same class twice."""

    def made(make: Callable[..., Any]) -> Any:
        @make(**options)
        class Point:
            x: Any
            y: Any = 0
            note: Any = field(default="", eq=False)
            secret: Any = field(default="", repr=False)

        return Point

    return made(ours), made(theirs)


@pytest.mark.parametrize(("ours", "theirs"), MAKERS)
@given(st.lists(st.tuples(*[st.sampled_from([0, 1, 1.0, "1", None])] * 4), min_size=2, max_size=2))
def test_equal_shown_and_hashed_as_by_attrs(ours: Any, theirs: Any, rows: list[tuple[Any, ...]]) -> None:
    mine, other = pair(ours, theirs)
    (a, b), (c, d) = ([kind(*row) for row in rows] for kind in (mine, other))
    assert (a == b, a != b, repr(a)) == (c == d, c != d, repr(c))
    assert (mine.__hash__ is None) == (other.__hash__ is None)
    if mine.__hash__ is not None and a == b:
        assert hash(a) == hash(b)


def test_another_class_is_not_equal() -> None:
    mine, other = pair(values.frozen, values.frozen)
    assert mine(1) != other(1)
    assert mine(1) != 1
    assert mine(1) == evolve(mine(2), x=1)


def test_what_holds_itself_is_shown() -> None:
    mine, _ = pair(values.define, attrs.define)
    cell = mine(1)
    cell.x = [cell]
    assert repr(cell) == "Point(x=[...], y=0, note='')"


@pytest.mark.parametrize("options", [{"eq": False}, {"order": True}, {"repr": False}, {"unsafe_hash": True}])
def test_who_wants_something_else_gets_what_attrs_makes(options: dict[str, Any]) -> None:
    mine, other = pair(values.define, attrs.define, **options)
    assert (mine(1) == mine(1)) == (other(1) == other(1))
    assert (mine.__hash__ is None) == (other.__hash__ is None)
    assert hasattr(mine, "__lt__")
    assert (repr(mine(1)) == "Point(x=1, y=0, note='')") == (repr(other(1)) == "Point(x=1, y=0, note='')")
    if "order" in options:
        assert mine(1) < mine(2)


def test_what_a_class_says_itself_stays() -> None:
    @values.frozen
    class Same:
        x: int

        def __eq__(self, other: object) -> bool:
            return True

        def __hash__(self) -> int:
            return 7

    @values.frozen
    class Shown:
        x: int

        def __repr__(self) -> str:
            return "shown"

    assert Same(1) == Same(2)
    assert hash(Same(1)) == 7
    assert repr(Shown(1)) == "shown"
    assert Shown(1) == Shown(1)


def test_a_frozen_value_is_frozen_and_has_slots() -> None:
    mine, _ = pair(values.frozen, attrs.frozen)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        mine(1).x = 2
    assert not hasattr(mine(1), "__dict__")
    assert mine.__match_args__ == ("x", "y", "note", "secret")
    assert attrs.has(mine)


def test_a_subclass_compares_what_it_has_added() -> None:
    mine, _ = pair(values.frozen, attrs.frozen)

    @values.frozen
    class Named(mine):
        name: str = ""

    assert Named(1, name="a") != Named(1, name="b")
    assert Named(1) != mine(1)
    assert repr(Named(1, name="a")) == "Named(x=1, y=0, note='', name='a')"


def test_what_attrs_makes_later_is_what_it_makes() -> None:
    """Asked in an order in which nothing has been made before."""

    def made(frozen: Any, define: Any) -> list[Any]:
        @frozen
        class Base:
            x: int
            cells: ClassVar[list[int]] = []

            def told(self) -> str:
                return f"base {self.x}"

        @frozen(kw_only=True)
        class Below(Base):
            y: int = field(default=0, validator=attrs.validators.ge(0))
            x: int = 7

            def told(self) -> Any:
                return f"{super().told()} {type(self).__name__}"  # pyright: ignore[reportUnknownMemberType]

            @property
            def twice(self) -> Any:
                return super().told() * 2  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]

        @define
        class Cell:
            value: int = field(default=0, converter=int)

            def __attrs_post_init__(self) -> None:
                self.value += 1

        cell = Cell("4")
        cell.value = "9"
        return [
            str(inspect.signature(Below)).replace(" ", ""),
            [(each.name, each.kw_only, each.inherited) for each in attrs.fields(Below)],
            Below(y=2).told(),
            Below().twice,
            Below.__slots__,
            Below.__match_args__,
            cell,
            copy.copy(Below(y=1)),
            evolve(Below(), y=3),
            weakref.ref(cell)() is cell,
            Base.cells,
            Below.__init__.__qualname__,
            hasattr(Base(1), "__dict__"),
        ]

    ours, theirs = made(values.frozen, values.define), made(attrs.frozen, attrs.define)
    assert [repr(each) for each in ours] == [repr(each) for each in theirs]


def test_a_validator_and_a_missing_argument_are_heard_of() -> None:
    frozen: Any = values.frozen

    @frozen
    class Share:
        value: float = field(validator=attrs.validators.le(1))

    with pytest.raises(TypeError, match="value"):
        Share()
    with pytest.raises(ValueError, match="must be <= 1"):
        Share(2)
    assert Share(1) == Share(1)


def test_what_nobody_asked_for_its_fields_is_copied_and_pickled_as_by_attrs() -> None:
    mine = pickled()
    assert type(mine.__class__.__dict__["__attrs_attrs__"]) is values._Later  # pyright: ignore[reportPrivateUsage]
    assert [copy.copy(mine), copy.deepcopy(mine), pickle.loads(pickle.dumps(mine))] == [mine] * 3
    assert Kept.__match_args__ == ("x", "y")


@pytest.mark.parametrize(("ours", "theirs"), MAKERS)
def test_init_by_itself_is_as_attrs_writes_it(ours: Any, theirs: Any) -> None:
    def made(make: Any, options: dict[str, Any]) -> Any:
        @make(**options)
        class Kind:
            _first: int
            second: list[int] = field(factory=list[int])
            third: Any = attrs.Factory(dict[str, int])
            shown: int = field(default=4, repr=False, eq=False)
            none: None = None
            of_all: ClassVar[int] = 3

        return Kind

    for options in ({}, {"kw_only": True}):
        mine, other = made(ours, options), made(theirs, options)
        assert str(inspect.signature(mine)) == str(inspect.signature(other))
        for arguments in ({}, {"first": 1}, {"first": 1, "second": [2]}, {"_first": 1}, {"first": 1, "none": 2}):
            told: list[str] = []
            for kind in (mine, other):
                try:
                    found = kind(**arguments)
                    told.append(repr([getattr(found, name) for name in ("_first", "second", "third", "none")]))
                except TypeError as error:
                    told.append(str(error))
            assert told[0] == told[1]
        assert mine(first=1).second is not mine(first=1).second


@pytest.mark.parametrize(("ours", "theirs"), MAKERS)
def test_a_definition_that_cannot_be_is_refused_in_the_words_of_attrs(ours: Any, theirs: Any) -> None:
    def made(make: Any) -> None:
        @make
        class Wrong:
            x: int = 1
            y: int

        Wrong(1, 2)

    with pytest.raises(ValueError, match="No mandatory attributes allowed after an attribute with a default") as mine:
        made(ours)
    with pytest.raises(ValueError, match="No mandatory attributes") as other:
        made(theirs)
    assert str(mine.value) == str(other.value)


@pytest.mark.parametrize("maker", [values.frozen, values.define])
def test_what_a_field_asks_for_besides_is_done(maker: Any) -> None:
    """Whatever is more than to store what is given, attrs writes."""

    def whole(text: str) -> int:
        return int(text)

    def one_more(of: Any) -> int:
        return of.converted + 1

    @maker
    class Above:
        x: Any

    @maker
    class Below(Above):
        y: Any = 2

    @maker
    class Many:
        converted: Any = field(converter=whole)  # pyright: ignore[reportUnknownVariableType]
        named: Any = field(alias="other")
        inside: Any = field(init=False, default=9)
        of_self: Any = field(default=attrs.Factory(one_more, takes_self=True))
        after: Any = field(default=0, kw_only=True)

    assert (Below(1).x, Below(1).y) == (1, 2)
    found: Any = Many("3", other=4, after=5)
    assert (found.converted, found.named, found.inside, found.of_self, found.after) == (3, 4, 9, 4, 5)
    with pytest.raises(TypeError):
        Many("3", 4, 5, 6)


def test_validators_and_converters_hear_and_say_what_they_do_with_attrs() -> None:
    def asked(instance: Any, attribute: Any, value: Any) -> None:
        heard.append((attribute.name, attribute.default, attribute.kw_only, value, hasattr(instance, "__dict__")))

    def halved(value: int) -> float:
        return value / 2

    def made(make: Any) -> Any:
        @make
        class Checked:
            first: Any = field(default=3, validator=asked)
            half: Any = field(default=4, converter=halved, validator=attrs.validators.le(5))
            kind: Any = field(factory=int, validator=attrs.validators.instance_of(int))

            def __attrs_post_init__(self) -> None:
                heard.append(self.half)

        return Checked

    told: list[Any] = []
    for make in (values.frozen, attrs.frozen):
        heard: list[Any] = []
        kind = made(make)
        for arguments in ({}, {"half": 12}, {"kind": "x"}, {"first": None, "half": 10}):
            try:
                kind(**arguments)
            except (TypeError, ValueError) as error:
                heard.append([type(error), str(error).replace("_Named", "Attribute")])
        with attrs.validators.disabled():
            kind(kind="x")
        told.append([heard, kind.__init__.__annotations__, str(inspect.signature(kind))])
    assert told[0] == told[1]


def test_a_class_without_slots_is_as_attrs_makes_it() -> None:
    def made(make: Any) -> Any:
        @make(kw_only=True, slots=False)
        class Plain:
            x: int
            y: list[int] = field(factory=list[int])
            z: int = 3

            def twice(self) -> int:
                return self.x * 2

        return Plain

    told: list[Any] = []
    for make in (values.frozen, attrs.frozen, values.define, attrs.define):
        kind = made(make)
        one, again = kind(x=1), kind(x=1)
        found: list[Any] = [vars(one), one == again, one.twice(), "z" in kind.__dict__, one.y is again.y]
        try:
            one.x = 2
        except AttributeError as error:
            found.append(type(error))
        found += [repr(one), copy.copy(one) == one, str(inspect.signature(kind)), repr(evolve(one, z=4))]
        found += [[each.name for each in attrs.fields(kind)], kind.__match_args__, kind(x=5).x, "z" in kind.__dict__]
        told.append(found)
    assert told[0] == told[1]
    assert told[2] == told[3]


def test_a_slot_takes_another_default_below() -> None:
    define: Any = values.define

    @define
    class Above:
        x: int = 1
        y: int = 2

    @define
    class Below(Above):
        y: int = 3

    assert (Below().x, Below().y, Above().y) == (1, 3, 2)
    assert Below.__slots__ == ()
    assert not hasattr(Below(), "__dict__")
