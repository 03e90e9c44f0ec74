"""What the type parameters of a generic class stand for, in `Box[int]` and in a class below that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, Protocol, TypeVar, get_args, get_origin

__all__ = ["bound"]


def bound(given: Any, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The types of the fields of a class, or of a generic one with its arguments, with what is known put in."""
    kind: type[Any] = get_origin(given) or given
    known = dict[type, dict[Any, Any]]()
    _look(given, known)
    found: dict[str, Any] = {}
    for name, declared in fields.items():
        owner = next((each for each in kind.__mro__ if name in vars(each).get("__annotations__", ())), kind)
        found[name] = _put_in(declared, known.get(owner) or dict[Any, Any]())
    return found


def _look(given: Any, known: dict[type, dict[Any, Any]]) -> None:
    """Note for the class of `given`, and for each that it inherits from, what its own parameters stand for: two of them
    may use the same name."""
    kind: type[Any] = get_origin(given) or given
    arguments = get_args(given)
    parameters: tuple[Any, ...] = getattr(kind, "__parameters__", ())
    own = dict(zip(parameters, arguments, strict=True)) if len(parameters) == len(arguments) else {}
    known.setdefault(kind, own)
    bases: tuple[Any, ...] = vars(kind).get("__orig_bases__", kind.__bases__)
    for base in bases:
        if get_origin(base) not in (Generic, Protocol):
            _look(_put_in(base, own), known)


def _put_in(declared: Any, known: Mapping[Any, Any]) -> Any:
    if isinstance(declared, TypeVar):
        return known.get(declared, declared)
    if not _is_open(declared):
        return declared
    return declared[tuple([known.get(each, each) for each in declared.__parameters__])]


def _is_open(declared: Any) -> bool:
    """Whether a type has type parameters in it. A generic class has them too, and is none of `Box[T]`."""
    return bool(get_origin(declared) and getattr(declared, "__parameters__", ()))
