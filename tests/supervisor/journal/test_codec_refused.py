"""Types that cannot be stored: refused when a codec is made, with the field and the remedy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, Literal, TypeVar

import attrs
import pytest
from attrs import field, frozen

from treewarden.agents.errors import ConfigurationError
from treewarden.supervisor.journal.codec import Codec
from treewarden.supervisor.journal.declared import Declared

T = TypeVar("T")


@frozen
class Box(Generic[T]):
    inside: T


class Loose:
    pass


@frozen
class Add:
    amount: int


@pytest.mark.parametrize(
    "declared",
    [
        Loose,
        Callable[[], int],
        Box,
        None,
        complex,
        set[Loose],
        tuple[Loose, ...],
        dict[str, Loose],
        Add | Loose,
        list[int] | list[str],
        Literal["a"] | list[int] | list[str],
        type[Add],
    ],
    ids=str,
)
def test_a_type_that_cannot_be_stored_is_refused_at_once(declared: Any) -> None:
    with pytest.raises(ConfigurationError):
        Codec([attrs.make_class("Holder", {"held": field(type=declared)})])


def test_a_generic_class_is_refused_as_that() -> None:
    """Not as something that is no attrs class, which it is."""
    text = (
        r":Box\.inside: ~T cannot be stored: of a generic class nobody can tell what it holds; say so, as in Box\[int\]"
    )
    with pytest.raises(ConfigurationError, match=text):
        Codec([Box])


def test_the_refusal_names_the_field_and_the_remedy() -> None:
    @frozen
    class Holder:
        inside: Any

    Holder.__annotations__["inside"] = tuple[Loose, ...]
    with pytest.raises(ConfigurationError, match=r"Holder\.inside: .*:Loose cannot be stored: use attrs classes"):
        Codec([Holder])


def test_names_that_cannot_be_resolved_are_named() -> None:
    @frozen
    class Inner:
        x: int

    @frozen
    class Outer:
        inner: Inner

    with pytest.raises(ConfigurationError, match=r"Outer cannot be stored: name 'Inner'.*top of a module"):
        Codec([Outer])


def test_two_classes_of_one_name_are_refused() -> None:
    one, two = (attrs.make_class("Same", {"x": field(type=int)}) for _ in range(2))
    with pytest.raises(ConfigurationError, match="rename one"):
        Codec([one, two])


@frozen
class Holds:
    what: Loose


def test_a_class_that_cannot_be_stored_is_refused_each_time() -> None:
    """The second time it was taken for known, and what was stored of it failed with a `NameError`."""
    declared = Declared()
    for _ in range(2):
        with pytest.raises(ConfigurationError, match=r"Holds\.what: .*Loose cannot be stored"):
            declared.shape(Holds)
