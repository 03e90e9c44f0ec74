"""attrs classes that are made in half the time: with one `__repr__`, `__eq__` and `__hash__` for all of them.

attrs writes and compiles these three for each class, which takes as long as everything else that it does for one; a
process that opens a tree makes two hundred. They are as attrs makes them, and half a microsecond slower.
"""

from __future__ import annotations

from functools import cache
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any, Final

import attrs

__all__ = ["define", "frozen"]

_THEIRS: Final = frozenset({"auto_attribs", "cache_hash", "eq", "hash", "order", "repr", "str", "unsafe_hash"})
"""Options with which attrs does all of it."""


@recursive_repr("...")
def _repr(self: Any) -> str:
    kind = self.__class__
    shown = [
        f"{each.name}={(repr if each.repr is True else each.repr)(getattr(self, each.name))}"
        for each in attrs.fields(kind)
        if each.repr
    ]
    return f"{kind.__qualname__.rsplit('>.', 1)[-1]}({', '.join(shown)})"


def _eq(self: Any, other: Any) -> bool:
    if other.__class__ is not self.__class__:
        return NotImplemented
    return all(getattr(self, name) == getattr(other, name) for name in _compared(self.__class__))


def _hash(self: Any) -> int:
    return hash(tuple([getattr(self, name) for name in _compared(self.__class__)]))


@cache
def _compared(kind: Any) -> tuple[str, ...]:
    return tuple(each.name for each in attrs.fields(kind) if each.eq)


if TYPE_CHECKING:
    from attrs import define, frozen
else:

    def define(kind: type | None = None, **options: Any) -> Any:
        """`attrs.define`."""
        return _made(attrs.define, None, kind, options)

    def frozen(kind: type | None = None, **options: Any) -> Any:
        """`attrs.frozen`."""
        return _made(attrs.frozen, _hash, kind, options)


def _made(make: Any, hashed: Any, kind: type | None, options: dict[str, Any]) -> Any:
    def decorate(kind: Any) -> Any:
        own = kind.__dict__
        if _THEIRS.isdisjoint(options) and not issubclass(kind, BaseException) and "__eq__" not in own:
            kind.__eq__ = _eq
            kind.__hash__ = hashed
            if "__repr__" not in own:
                kind.__repr__ = _repr
        return make(kind, **options)

    return decorate if kind is None else decorate(kind)
