"""The first instances of a class are made field by field, later ones by what is compiled then: nobody can tell."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import attrs
import pytest
from attrs import field
from hypothesis import given
from hypothesis import strategies as st

from treewarden.agents.core import values

T = TypeVar("T")
FIRST = values._FEW  # pyright: ignore[reportPrivateUsage]
MAKERS = ((values.frozen, attrs.frozen), (values.define, attrs.define))


def mixed(make: Callable[..., Any], frozen: bool, heard: list[Any], options: dict[str, Any]) -> Any:
    """A class with every kind of field that is done without attrs, which tells what happens in which order."""

    def told(what: str) -> Callable[..., Any]:
        def tell(*given: Any) -> str:
            heard.append((what, repr(given[-1]) if given else ""))
            return what

        return tell

    def converted(value: Any) -> Any:
        heard.append(("converted", repr(value)))
        return [value]

    def of_self(instance: Any) -> Any:
        heard.append(("of self", repr(instance.needed)))
        return "of self"

    extra: dict[str, Any] = {"validator": told("validated")} if frozen else {}
    changed: dict[str, Any] = {"converter": converted} if frozen else {}

    @make(**options)
    class Kind:
        needed: Any
        _private: Any = 1
        made: Any = field(factory=told("made"), **extra)
        inside: Any = field(init=False, factory=told("inside"))
        left: Any = field(init=False)
        fixed: Any = field(init=False, default=9, **changed)
        last: Any = field(default=attrs.Factory(of_self, takes_self=True), **changed)

        def __attrs_post_init__(self) -> None:
            heard.append(("over", repr(self.last)))

    return Kind


ARGUMENTS = st.tuples(
    st.lists(st.sampled_from([0, "x", None, attrs.NOTHING]), max_size=5),
    st.dictionaries(
        st.sampled_from(["needed", "private", "_private", "made", "inside", "fixed", "last", "other"]),
        st.sampled_from([1, "y", attrs.NOTHING]),
        max_size=4,
    ),
)


@pytest.mark.parametrize(("ours", "theirs"), MAKERS)
@pytest.mark.parametrize("options", [{}, {"kw_only": True}, {"slots": False}])
@given(arguments=ARGUMENTS)
def test_any_arguments_come_to_what_they_come_to_with_attrs(
    ours: Any, theirs: Any, options: dict[str, Any], arguments: tuple[list[Any], dict[str, Any]]
) -> None:
    given, named = arguments
    found: list[Any] = []
    for make in (theirs, ours):
        heard: list[Any] = []
        kind = mixed(make, ours is values.frozen, heard, options)
        for _ in range(FIRST + 2):
            heard.clear()
            try:
                one = kind(*given, **named)
                names = ("needed", "_private", "made", "inside", "left", "fixed", "last")
                found.append((list(heard), [getattr(one, name, "unset") for name in names]))
            except TypeError as error:
                found.append(str(error))
    assert all(each == found[0] for each in found)


def test_a_class_that_is_made_often_is_compiled_and_one_that_is_made_seldom_is_not() -> None:
    @values.frozen
    class Kind:
        x: int

    def compiled() -> bool:
        return type(Kind.__dict__["__init__"]) is not values._Later  # pyright: ignore[reportPrivateUsage]

    for count in range(FIRST):
        assert Kind(count).x == count
        assert not compiled()
    assert Kind(7).x == 7
    assert compiled()


def test_what_is_below_an_unfinished_class_begins_by_its_init() -> None:
    @values.frozen
    class Above:
        x: int
        y: list[int] = field(factory=list[int])

    class Plain(Above):
        pass

    assert [(Plain(1).x, Plain(2, [3]).y) for _ in range(FIRST + 1)] == [(1, [3])] * (FIRST + 1)
    assert Above(1) == Above(1)


@pytest.mark.parametrize(("ours", "theirs"), MAKERS)
def test_who_gives_the_class_itself_for_an_instance_is_told_what_it_takes(ours: Any, theirs: Any) -> None:
    def kind(make: Any) -> Any:
        @make
        class Kind:
            x: int

        return Kind

    told = list[str]()
    for each in (kind(ours), kind(theirs)):
        told.append(str(inspect.signature(each.__dict__["__init__"].__get__(each, type))))
        assert each(2).x == 2
    assert told[0] == told[1]


def test_a_field_may_have_any_name() -> None:
    @values.frozen
    class Kind:
        instance: int
        given: int
        named: int

    for _ in range(FIRST + 1):
        one = Kind(instance=1, given=2, named=3)
        assert (one.instance, one.given, one.named) == (1, 2, 3)


@pytest.mark.parametrize("options", [{}, {"slots": False}, {"kw_only": True}])
@pytest.mark.parametrize("maker", [values.frozen, values.define])
def test_two_threads_may_ask_at_once(maker: Any, options: dict[str, Any]) -> None:
    """While attrs makes what the one has asked for, the other one asks, and has its answer at once."""
    turns = list[int]()
    told = list[Any]()

    class Watched:
        def __getattribute__(self, name: str) -> Any:  # attrs looks at the __class__ of everything that a class has
            if turns:
                turns.pop()
                other = threading.Thread(target=lambda: told.append(names()))
                other.start()
                other.join()
            return super().__getattribute__(name)

    def names() -> list[str]:
        return [each.name for each in attrs.fields(Kind)]

    @maker(**options)
    class Kind:
        x: int
        watched = Watched()

    for turn in range(4):
        turns.append(turn)
        assert (names(), Kind.__match_args__ == ("x",), Kind(x=turn).x) == (["x"], not options.get("kw_only"), turn)
    assert told == [["x"]]
    assert Kind(x=1) == Kind(x=1) != Kind(x=2)


def test_how_a_class_compares_by_itself_stays() -> None:
    @values.frozen(eq=False)
    class Alike:
        _x: int = 0

        def __eq__(self, other: object) -> bool:
            return True

        def __hash__(self) -> int:
            return 3

    assert Alike(1) == Alike(2)
    assert hash(Alike(1)) == 3


@pytest.mark.parametrize(("ours", "theirs"), MAKERS)
def test_how_a_class_hashes_by_itself_is_for_attrs(ours: Any, theirs: Any) -> None:
    def kind(make: Any) -> Any:
        @make
        class Kind:
            x: int

            def __hash__(self) -> int:
                return 3

        return Kind(1)

    assert hash(kind(ours)) == hash(kind(theirs)) == 3


@pytest.mark.parametrize(("ours", "theirs"), MAKERS)
def test_a_field_that_nobody_sets_is_neither_validated_nor_missed(ours: Any, theirs: Any) -> None:
    def refuse(_instance: Any, attribute: Any, value: Any) -> None:
        raise ValueError(f"{attribute.name} is {value!r}")

    def kind(make: Any) -> Any:
        @make
        class Kind:
            x: int
            later: Any = field(init=False, validator=refuse)

        return Kind

    mine, others = kind(ours), kind(theirs)
    for count in range(FIRST + 2):
        assert repr(mine(count)).partition("Kind(")[2] == repr(others(count)).partition("Kind(")[2]


def test_only_what_counts_is_compared_before_a_class_is_finished() -> None:
    @values.frozen
    class Kind:
        x: int
        seen: int = field(default=0, eq=False)
        said: str = field(default="", repr=False)

    assert Kind(1, seen=2) == Kind(1)
    assert Kind(1, said="a") != Kind(1)
    assert type(Kind.__dict__["__attrs_attrs__"]) is values._Later  # pyright: ignore[reportPrivateUsage]


@pytest.mark.parametrize("maker", [values.frozen, values.define])
def test_an_empty_collection_is_made_without_a_word_of_what_it_will_hold(maker: Any) -> None:
    @maker
    class Kind:
        some: list[int] = field(factory=list[int])
        by_name: dict[str, int] = field(factory=dict[str, int])
        held: Any = field(factory=Held[int])

    for _ in range(FIRST + 2):
        made = Kind()
        assert (made.some, made.by_name) == ([], {})
        assert made.held.__orig_class__ == Held[int]
    named = Kind.__init__.__globals__
    assert (named["__attr_factory_some"], named["__attr_factory_by_name"]) == (list, dict)


class Held(Generic[T]):
    """Remembers of what it is, as a list does not."""
