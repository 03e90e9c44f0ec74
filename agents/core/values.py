"""attrs classes that cost little before they are used: a process that opens a tree makes two hundred, and uses fifty.

- `__repr__`, `__eq__` and `__hash__` are one function each for all of them. attrs writes and compiles these three for
  each class; they are as attrs makes them, and half a microsecond slower.
- What else attrs makes for a class (its `__init__`, its fields) it makes when somebody first asks for it: from the
  class as it was written, so it is what attrs would have made at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import cache, cached_property, partial
from inspect import get_annotations
from itertools import chain
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any, Final

import attrs

__all__ = ["define", "frozen"]

_OURS: Final = frozenset({"eq", "kw_only", "repr", "weakref_slot"})
"""Options with which a class is made here. With any other one attrs does all of it at once."""
_NOT_OURS: Final = frozenset(
    {"__eq__", "__getstate__", "__init__", "__match_args__", "__setattr__", "__setstate__", "__slots__"}
)
"""And so it does for a class that says one of these itself."""
_LATER: Final = ("__attrs_attrs__", "__init__", "__match_args__")
"""What attrs makes for every class, and nobody needs before the class is used."""
_FIELD: Final[type[Any]] = attrs.field().__class__
_EMPTY: Final[Any] = attrs.make_class("Empty", (), frozen=True, slots=True)
_FROZEN: Final = {name: _EMPTY.__dict__[name] for name in ("__setattr__", "__delattr__")}
"""That a class has these is by what attrs knows that it is frozen."""


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
        return _made(attrs.define, None, {}, kind, options)

    def frozen(kind: type | None = None, **options: Any) -> Any:
        """`attrs.frozen`."""
        return _made(attrs.frozen, _hash, _FROZEN, kind, options)


def _made(make: Any, hashed: Any, always: dict[str, Any], kind: type | None, options: dict[str, Any]) -> Any:
    def decorate(kind: Any) -> Any:
        own = kind.__dict__
        if not _OURS.issuperset(options) or not _NOT_OURS.isdisjoint(own) or not _slotted(kind):
            return make(kind, **options)
        if options.get("eq", True):
            kind.__eq__ = _eq
            kind.__hash__ = hashed
        if "__repr__" not in own and options.get("repr", True):
            kind.__repr__ = _repr
        return _slots(kind, always, options.get("weakref_slot", True), partial(make, kind, **options))

    return decorate if kind is None else decorate(kind)


def _slotted(kind: Any) -> bool:
    """Whether it and what it inherits from have slots, and it has no fields but annotated ones."""
    notes = get_annotations(kind)
    return (
        not issubclass(kind, BaseException)
        and all("__slots__" in base.__dict__ for base in _bases(kind))
        and not any(
            isinstance(value, cached_property) or (value.__class__ is _FIELD and name not in notes)
            for name, value in kind.__dict__.items()
        )
    )


def _bases(kind: Any) -> list[Any]:
    """The attrs classes that it inherits from; looking at their fields would have attrs make them."""
    return [base for base in kind.__mro__[1:-1] if "__attrs_attrs__" in base.__dict__]


def _slots(kind: Any, always: dict[str, Any], weakref: bool, write: Callable[[], Any]) -> Any:
    """`kind` with slots for its fields, as attrs makes it; `write` makes what is not needed yet."""
    own, bases = kind.__dict__, kind.__mro__[1:-1]
    notes = get_annotations(kind)
    fields = [name for name in notes if not str(notes[name]).startswith(("ClassVar", "typing.ClassVar"))]
    slotted = {name: base.__dict__[name] for base in reversed(bases) for name in base.__dict__.get("__slots__", ())}
    slots = [name for name in fields if name not in slotted]
    if weakref and not any("__weakref__" in base.__dict__ for base in bases):
        slots.append("__weakref__")
    gone = {"__dict__", "__weakref__", *fields, *chain(*(base.__slots__ for base in _bases(kind)))}
    later = [_Later(name, write) for name in _LATER]
    namespace = {
        **{name: value for name, value in own.items() if name not in gone},
        **{name: slotted[name] for name in fields if name in slotted},
        **{each.name: each for each in later},
        **always,
        "__slots__": tuple(slots),
        "__qualname__": kind.__qualname__,
    }
    made = type(kind)(kind.__name__, kind.__bases__, namespace)
    for each in later:
        each.made = made
    for cell in _cells(own.values()):
        with suppress(ValueError):  # of one that has no contents yet
            if cell.cell_contents is kind:
                cell.cell_contents = made
    return made


def _cells(values: Iterable[Any]) -> Iterator[Any]:
    """Where methods remember the class that they were written in, for `super()`."""
    for value in values:
        if isinstance(value, property):
            value = value.fget
        yield from getattr(getattr(value, "__func__", value), "__closure__", None) or ()


class _Later:
    """A name of a class that gets its value from attrs when somebody asks for it, with all others that have none."""

    __slots__ = ("made", "name", "write")

    made: Any

    def __init__(self, name: str, write: Callable[[], Any]) -> None:
        self.name, self.write = name, write

    def __get__(self, instance: object, owner: type) -> Any:
        made = self.made
        written = self.write()
        for name, value in written.__dict__.items():
            if name not in written.__slots__ and isinstance(made.__dict__.get(name, self), _Later):
                setattr(made, name, value)
        value: Any = made.__dict__[self.name]
        bound: Any = getattr(value.__class__, "__get__", None)
        return value if bound is None else bound(value, instance, owner)
