"""One way to write a type in which there are generic classes. Python makes one object of `Box[int | None]` and of
`Box[Optional[int]]`, written as whoever comes first in a process has it: what is stored must not be named so."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from typing import Any, Final, Literal, Union, cast, get_args, get_origin

from .scalars import has_fields, unwrapped

__all__ = ["name_of", "spelled"]

_UNIONS: Final = (Union, types.UnionType)
_COLLECTIONS: Final[tuple[Any, ...]] = (tuple, list, set, frozenset, dict, Mapping)


def spelled(declared: Any) -> Any:
    """The same type without what else is noted in it, at any depth, and without names of its own for other types."""
    declared = unwrapped(declared)
    origin: Any = get_origin(declared)
    arguments = tuple(map(spelled, get_args(declared)))
    if arguments and origin in _UNIONS:
        return Union[arguments]  # noqa: UP007 - of so many
    if arguments and (origin in _COLLECTIONS or has_fields(origin)):
        return origin[arguments]
    return declared


def name_of(declared: Any, kind_of: Callable[[Any], str]) -> str:
    """As `kind_of`, which has the names of classes, and at any depth: one name for types that are equal."""

    def named(each: Any) -> str:
        return name_of(each, kind_of)

    declared = unwrapped(declared)
    origin, arguments = get_origin(declared), get_args(declared)
    if origin in _UNIONS:
        names = {named(member) for member in _members(declared)}
        return " | ".join(sorted(names, key=lambda name: (name == "None", name)))
    if origin is Literal:
        return f"Literal[{', '.join(sorted(_literal(value, kind_of) for value in arguments))}]"
    if declared is Ellipsis:
        return "..."
    if isinstance(declared, tuple):  # what a ParamSpec stands for
        return f"[{', '.join(map(named, cast('tuple[Any, ...]', declared)))}]"
    if not hasattr(declared, "__args__"):
        return kind_of(origin or declared)
    name = origin.__name__ if origin.__module__ == "builtins" else kind_of(origin)
    return f"{name}[{', '.join(map(named, arguments)) or '()'}]"


def _members(declared: Any) -> Iterator[Any]:
    declared = unwrapped(declared)
    if get_origin(declared) in _UNIONS:
        for member in get_args(declared):
            yield from _members(member)
    else:
        yield declared


def _literal(value: Any, kind_of: Callable[[Any], str]) -> str:
    return f"{kind_of(type(value))}.{value.name}" if isinstance(value, Enum) else repr(value)
