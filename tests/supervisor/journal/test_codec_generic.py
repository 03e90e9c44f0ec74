"""Generic classes: stored as what their parameters stand for, in `Box[int]` and in a class below that."""

from __future__ import annotations

import dataclasses
import typing
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, NewType, Optional, TypeVar, Union

import pytest
from attrs import evolve, field, frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.message import Request
from treewarden.agents.errors import ConfigurationError, UnknownKind
from treewarden.supervisor.journal.codec import Codec
from treewarden.topologies.open import open_tree
from treewarden.topologies.tree import tree

from .both_ways import decoded, encoded

T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")


@frozen
class Box(Generic[T]):
    inside: T
    more: tuple[T, ...] = ()


@frozen
class Named(Generic[T]):
    """Fields of which cattrs has others."""

    cl: T
    converter: tuple[T, ...] = ()


@frozen
class Ints(Box[int]):
    """As a message: a handler is found by the class of its message."""


@frozen
class Pair(Box[str], Generic[T]):
    """Its own parameter has the name of that of its base, where it stands for something else."""

    other: T = field(kw_only=True)


@frozen
class Deep(Pair[bytes]):
    last: int = 0


@dataclasses.dataclass(frozen=True)
class Entry(Generic[K, V]):
    key: K
    value: V | None = None


@frozen
class Node(Generic[T]):
    value: T
    below: tuple[Node[T], ...] = ()


def made(value: Any) -> Any:
    return value


@frozen
class Holder:
    box: Box[int]
    either: Box[Ints] | Entry[str, list[int]] | None = None


@pytest.mark.parametrize(
    ("declared", "value"),
    [
        pytest.param(Box[int], Box(1, (2, 3)), id="Box[int]"),
        pytest.param(list[Box[int]], [Box(1)], id="list"),
        pytest.param(Box[Box[bytes]], Box(Box(b"a")), id="Box[Box[bytes]]"),
        pytest.param(Ints, Ints(1), id="Ints"),
        pytest.param(Pair[int], Pair("a", ("b",), other=1), id="Pair[int]"),
        pytest.param(Deep, Deep("a", (), 2, other=b"c"), id="Deep"),
        pytest.param(Entry[str, Box[int]], Entry("a", Box(1)), id="Entry"),
        pytest.param(Node[int], Node(1, (Node(2, (Node(3),)),)), id="Node[int]"),
        pytest.param(Holder, Holder(Box(1), Box(Ints(2))), id="Holder of a box"),
        pytest.param(Holder, Holder(Box(1), Entry("a", [1])), id="Holder of an entry"),
    ],
)
def test_it_is_read_back_as_it_was(declared: Any, value: Any) -> None:
    codec = Codec([declared])
    assert decoded(codec, *encoded(codec, value)) == value


@pytest.mark.parametrize(
    ("declared", "value", "where", "of"),
    [
        pytest.param(Box[int], Box("a"), r"Box\[int\]\.inside", "int", id="Box[int]"),
        pytest.param(Ints, Ints(1, made(("a",))), r"Ints\.more\[0\]", "int", id="Ints"),
        pytest.param(Pair[int], Pair("a", (), other="b"), r"Pair\[int\]\.other", "int", id="Pair[int]"),
        pytest.param(Pair[int], Pair(made(1), (), other=1), r"Pair\[int\]\.inside", "str", id="of its base"),
    ],
)
def test_what_its_parameters_do_not_stand_for_is_refused(declared: Any, value: Any, where: str, of: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{where} cannot be stored: .* is not {of}$"):
        Codec([declared]).encode(value)


def test_a_field_that_is_not_there_has_its_default_and_what_does_not_fit_is_named() -> None:
    codec = Codec([Box[int]])
    kind, version, _ = codec.encode(Box(1))
    assert kind.endswith(":Box[int]")
    assert codec.decode(kind, version, '{"inside":3}') == Box(3)
    with pytest.raises(UnknownKind, match=r"'a' \(str\) is not int .*Box\[int\]\.more;"):
        codec.decode(kind, version, '{"inside":3,"more":["a"]}')
    with pytest.raises(UnknownKind, match="inside"):
        codec.decode(kind, version, '{"more":[]}')


def test_the_parameters_of_its_bases_are_their_own_there_too() -> None:
    codec = Codec([Pair[int], Named[int]])
    kind, version, _ = codec.encode(Pair("a", other=1))
    assert codec.decode(kind, version, '{"inside":"b","other":2}') == Pair("b", other=2)
    kind, version, _ = codec.encode(Named(1))
    assert codec.decode(kind, version, '{"cl":2}') == Named(2)


def test_two_that_only_their_parameters_tell_apart_are_refused_in_one_union() -> None:
    with pytest.raises(ConfigurationError, match=r"Box\[int\] and .*Box\[str\] cannot be told apart; wrap one"):
        Codec([Box[int] | Box[str] | None, tuple[Box[int] | Box[str]]])


class Side(Enum):
    """Whose values have other texts in each process."""

    LEFT = object()


UserId = NewType("UserId", int)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        pytest.param((int | None, Optional[int]), "int | None", id="None"),  # noqa: UP045
        pytest.param((Union[str, int], Union[int, str], int | str), "int | str", id="union"),  # noqa: UP007
        pytest.param((Literal["b", "a"], Literal["a", "b"]), "Literal['a', 'b']", id="literals"),
        pytest.param((Literal[Side.LEFT],), f"Literal[{__name__}:Side.LEFT]", id="member"),
        pytest.param((typing.List[int], list[int], list[UserId]), "list[int]", id="list"),  # noqa: UP006
        pytest.param((Annotated[int, object()], UserId, int), "int", id="int"),
        pytest.param((tuple[int | None, ...], tuple[Optional[int], ...]), "tuple[int | None, ...]", id="tuple"),  # noqa: UP045
        pytest.param((tuple[()],), "tuple[()]", id="empty"),
    ],
)
def test_its_name_is_that_of_the_type_however_it_is_written(arguments: tuple[Any, ...], name: str) -> None:
    """Python gives who writes it the second time what the first one wrote, so who is imported first would decide."""
    for first in arguments:

        @frozen
        class Fresh(Generic[T]):
            inside: T

        given = [Fresh[first], *(Fresh[each] for each in arguments)]
        kinds = {Codec([each]).kind_of(each) for each in given}
        assert kinds == {f"{__name__}:{Fresh.__qualname__}[{name}]"}
        assert {Codec([]).kind_of(list[each]) for each in given} == {f"list[{kind}]" for kind in kinds}
        codec = Codec(given)  # which stores all of them alike
        assert {kind for kind in codec.kinds if "Fresh" in kind} == kinds


def test_one_with_a_type_that_has_a_name_or_notes_is_the_one_without() -> None:
    codec = Codec([Box[UserId], Box[int], Box[Annotated[int, "m"]], list[Box[UserId]]])
    assert decoded(codec, *encoded(codec, Box(1))) == Box(1)
    assert decoded(codec, *encoded(codec, [Box(1)])) == [Box(1)]


@frozen
class Endless(Generic[T]):
    below: Endless[list[T]] | None = None


def test_one_whose_type_has_no_end_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"Endless\[int\] cannot be stored: it is nested too deeply"):
        Codec([Endless[int]])


@frozen
class Count(Request[Box[int]]):
    """Ask for the state."""


class Boxed(Agent[Box[int]]):
    state = Box(0)

    @handles
    def put(self, message: Ints) -> None:
        self.state = evolve(self.state, more=(*self.state.more, message.inside))

    @handles
    def count(self, message: Count) -> Box[int]:
        return self.state


async def test_a_state_and_a_message_outlive_the_process(tmp_path: Path) -> None:
    for more in ((1,), (1, 1)):
        async with open_tree(tree(Boxed), journal=tmp_path / "boxed.db") as running:
            await running.ref("boxed").tell(Ints(1))
            assert await running.ref("boxed").ask(Count()) == Box(0, more)
