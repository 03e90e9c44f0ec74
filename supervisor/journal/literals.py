"""The shapes of literals: of exactly these values, and of unions in which they are."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Final, Literal, get_args, get_origin

from .scalars import Shape, mismatch
from .shapes import union_shape

__all__ = ["union_with_literals"]

_PLAIN: Final = frozenset({type(None), bool, int, str})
"""Types of literals that JSON says as they are."""


def union_with_literals(name: str, members: tuple[Any, ...], shape_of: Callable[[Any], Shape]) -> Shape:
    """As `union_shape`, of types one of which is a literal at least. Where they cannot be told apart, all literals are
    taken for one, without the values that another member has as well; what can is stored as it always was.

    Raises `ValueError` where they cannot be told apart even so.
    """
    if len(members) > 1:
        with suppress(ValueError):
            return union_shape(name, tuple(map(shape_of, members)))
    kinds, values = dict[Any, None](), dict[tuple[type, Any], Any]()
    for member in members:
        if get_origin(member) is Literal:
            values |= {(type(value), value): value for value in get_args(member)}
        else:
            kinds[member] = None
    alone = tuple([value for (kind, _), value in values.items() if kind not in kinds])
    found = (*map(shape_of, kinds), *_literal_shapes(alone, shape_of))
    return found[0] if len(found) == 1 else union_shape(name, found)


def _literal_shapes(values: tuple[Any, ...], shape_of: Callable[[type], Shape]) -> tuple[Shape, ...]:
    """Exactly these values: one shape for all that JSON says as they are, and one for each enum and for bytes, which
    are stored as any other value of their type."""
    plain = tuple(value for value in values if type(value) in _PLAIN)
    others = [kind for kind in dict.fromkeys(map(type, values)) if kind not in _PLAIN]
    shapes = [_literal_shape(plain)] if plain else []
    return (*shapes, *(_members_shape(shape_of(kind), values) for kind in others))


def _literal_shape(values: tuple[Any, ...]) -> Shape:
    """None, bool, int or str."""
    kinds: tuple[type, ...] = tuple(dict.fromkeys(map(type, values)))
    allowed = frozenset(zip(map(type, values), values, strict=True))
    name = _one_of(values)

    def same(value: Any) -> Any:
        if type(value) in kinds and (type(value), value) in allowed:
            return value
        raise mismatch(name, value)

    return Shape(name, kinds, same, same, bare=True, text=kinds == (str,))


def _members_shape(of: Shape, values: tuple[Any, ...]) -> Shape:
    """Some values of another shape, under its name: what is stored stays readable when there are others."""
    allowed = [value for value in values if type(value) in of.holds]
    name = _one_of(allowed)

    def encode(value: Any) -> Any:
        data = of.encode(value)
        if value in allowed:
            return data
        raise mismatch(name, value)

    def decode(data: Any) -> Any:
        value = of.decode(data)
        if value in allowed:
            return value
        raise mismatch(name, value)

    return Shape(of.name, of.holds, encode, decode, text=of.text)


def _one_of(values: Iterable[Any]) -> str:
    return f"one of {', '.join(map(repr, values))}"
