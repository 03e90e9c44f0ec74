"""attrs classes that cost little before they are used: a process that opens a tree makes two hundred, and uses fifty.

- `__repr__`, `__eq__` and `__hash__` are one function each for all of them. attrs writes and compiles these three for
  each class; they are as attrs makes them, and half a microsecond slower.
- What else attrs makes for a class (its `__init__`, its fields) it makes when somebody first asks for it: from the
  class as it was written, so it is what attrs would have made at once. The `__init__` of a class with plain fields is
  done here (`written_init`), and written when it is called often: most classes are never asked for anything else.
- `filled` makes values of frozen classes of what is known to be right, in a third of the time: those of each signal.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache, cached_property, partial
from inspect import get_annotations
from itertools import chain
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar, cast

import attrs

from .written_init import FIELD, Init, init_of

__all__ = ["define", "filled", "frozen"]

P = ParamSpec("P")
T = TypeVar("T")

_OURS: Final = frozenset({"eq", "kw_only", "repr", "slots", "weakref_slot"})
"""Options with which a class is made here. With any other one attrs does all of it at once."""
_NOT_OURS: Final = frozenset({"__getstate__", "__init__", "__match_args__", "__setattr__", "__setstate__", "__slots__"})
"""And so it does for a class that says one of these itself, or how to compare although attrs is to do that."""
_COMPARES: Final = frozenset({"__eq__", "__hash__", "__ne__"})
_OF_THE_CLASS: Final = ("ClassVar", "typing.ClassVar")
_EMPTY: Final[Any] = attrs.make_class("Empty", (), frozen=True, slots=True)
_FROZEN: Final = {name: _EMPTY.__dict__[name] for name in ("__setattr__", "__delattr__")}
"""That a class has these is by what attrs knows that it is frozen."""
_LATER: Final = tuple(
    name
    for name in _EMPTY.__dict__
    if name.startswith("__attrs_")
    or name in {"__getstate__", "__init__", "__match_args__", "__replace__", "__setstate__"}
)
"""What attrs makes for every class, and nobody needs before the class is used."""
_OF_SLOTS: Final = frozenset({"__getstate__", "__setstate__"})
_FEW: Final = 4
"""Instances that are made of a class before its `__init__` is compiled, which takes as long as some ten of them."""


@recursive_repr("...")
def _repr(self: Any) -> str:
    kind = self.__class__
    shown = [
        f"{each.name}={(repr if each.repr is True else each.repr)(getattr(self, each.name, attrs.NOTHING))}"
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
    later = kind.__dict__.get("__attrs_attrs__")
    if later.__class__ is not _Later or later.written.bases:
        return tuple(each.name for each in attrs.fields(kind) if each.eq)
    defaults = later.written.defaults
    return tuple(
        name for name in later.written.fields if (default := defaults.get(name)).__class__ is not FIELD or default.eq
    )


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
        if not _OURS.issuperset(options) or not _NOT_OURS.isdisjoint(own):
            return make(kind, **options)
        if not _COMPARES.isdisjoint(own) and options.get("eq", True):
            return make(kind, **options)
        # The attrs classes that it inherits from; looking at their fields would have attrs make them.
        bases = [base for base in kind.__mro__[1:-1] if "__attrs_attrs__" in base.__dict__]
        notes: dict[str, Any] = own.get("__annotations__") or get_annotations(kind)
        slots = options.get("slots", True)
        if not (_slotted(kind, notes, bases) if slots else _dressed(kind, notes, bases)):
            return make(kind, **options)
        shared: dict[str, Any] = {}
        if options.get("eq", True):
            shared["__eq__"], shared["__hash__"] = _eq, hashed
        if "__repr__" not in own and options.get("repr", True):
            shared["__repr__"] = _repr
        written = _Written(kind, bases, notes, options.get("kw_only", False), shared, partial(make, **options))
        return written.slots(always, options.get("weakref_slot", True)) if slots else written.dict(always)

    return decorate if kind is None else decorate(kind)


def _slotted(kind: Any, notes: dict[str, Any], bases: list[Any]) -> bool:
    """Whether it and what it inherits from have slots, and it has no fields but annotated ones."""
    if issubclass(kind, BaseException):
        return False
    for base in bases:
        if "__slots__" not in base.__dict__:
            return False
    for name, value in kind.__dict__.items():
        if (value.__class__ is FIELD and name not in notes) or isinstance(value, cached_property):
            return False
    return True


def _dressed(kind: Any, notes: dict[str, Any], bases: list[Any]) -> bool:
    """Whether a class without slots has no fields but its own annotated ones, and no attrs class above it."""
    if bases or issubclass(kind, BaseException) or "__slots__" in kind.__dict__:
        return False
    return not any(value.__class__ is FIELD and name not in notes for name, value in kind.__dict__.items())


class _Written:
    """A class as it was written, and what comes of it."""

    __slots__ = ("bases", "calls", "defaults", "fields", "init", "keyword", "kind", "made", "make", "shared")

    made: Any
    init: Init | None

    def __init__(
        self,
        kind: Any,
        bases: list[Any],
        notes: dict[str, Any],
        keyword: bool,
        shared: dict[str, Any],
        make: Callable[[Any], Any],
    ) -> None:
        """`shared` are its methods that many classes have; `make` is attrs, which makes all of it."""
        self.kind, self.bases, self.keyword, self.shared, self.make = kind, bases, keyword, shared, make
        self.calls = 0
        self.fields = {name: note for name, note in notes.items() if not str(note).startswith(_OF_THE_CLASS)}
        self.defaults = {name: kind.__dict__[name] for name in self.fields if name in kind.__dict__}

    def slots(self, always: dict[str, Any], weakref: bool) -> Any:
        """The class with slots for its fields, as attrs makes it."""
        kind, slots = self.kind, list(self.fields)
        namespace = {**kind.__dict__}
        for name in ("__dict__", "__weakref__", *slots):
            namespace.pop(name, None)
        above = kind.__mro__[1:-1]
        if above:
            slots = self._inherit(above, namespace)
        if weakref and not any("__weakref__" in base.__dict__ for base in above):
            slots.append("__weakref__")
        for name in _LATER:
            namespace[name] = _Later(name, self)
        namespace.update(self.shared)
        namespace.update(always, __slots__=tuple(slots), __qualname__=kind.__qualname__)
        self.made = made = type(kind)(kind.__name__, kind.__bases__, namespace)
        for value in kind.__dict__.values():
            if value.__class__ is not str and getattr(value, "__closure__", ()) is not None:
                _move(value, kind, made)
        return made

    def _inherit(self, above: Sequence[type], namespace: dict[str, Any]) -> list[str]:
        """The slots that the classes above it do not have."""
        slotted = {name: base.__dict__[name] for base in reversed(above) for name in base.__dict__.get("__slots__", ())}
        for name in chain(*(base.__slots__ for base in self.bases)):
            namespace.pop(name, None)
        for name in self.fields:
            if name in slotted:
                namespace[name] = slotted[name]
        return [name for name in self.fields if name not in slotted]

    def dict(self, always: dict[str, Any]) -> Any:
        """The class itself without what only says what its fields are, as attrs leaves one without slots."""
        self.made = kind = self.kind
        for name in self.defaults:
            delattr(kind, name)
        for name in _LATER:
            if name not in _OF_SLOTS:
                setattr(kind, name, _Later(name, self))
        for name, value in always.items():
            setattr(kind, name, value)
        for name, value in self.shared.items():
            setattr(kind, name, value)
        return kind

    def write(self) -> Any:
        """What attrs makes of the class as it was written.

        It makes that of another one like it, which nobody else has: the one that was written may be in use, and two
        threads may ask at once, the loop's and the one that writes the journal.
        """
        kind = self.kind
        gone = {"__dict__", "__weakref__", *_LATER, *_FROZEN}
        namespace = {name: value for name, value in kind.__dict__.copy().items() if name not in gone}
        namespace.update(self.defaults, **self.shared, __qualname__=kind.__qualname__)
        return self.make(type(kind)(kind.__name__, kind.__bases__, namespace))

    def finish(self, name: str) -> None:
        """Give the class what it has none of yet under `name`, and whatever else attrs makes with it."""
        made = self.made
        init = self.planned() if name == "__init__" else None
        if init is not None:
            made.__init__ = init.write()
            return
        written = self.write()
        unset = written.__dict__.get("__slots__", ())
        for each, value in written.__dict__.items():
            if each not in unset and (each not in made.__dict__ or made.__dict__[each].__class__ is _Later):
                setattr(made, each, value)

    def planned(self) -> Init | None:
        """Its `__init__`, if attrs is not needed for it."""
        try:
            return self.init
        except AttributeError:
            self.init = self._init()
        return self.init

    def _init(self) -> Init | None:
        for base in self.bases:
            above = base.__dict__["__attrs_attrs__"]
            if above.written.fields if above.__class__ is _Later else above:
                return None
        frozen = self.made.__setattr__ is _FROZEN["__setattr__"]
        return init_of(self.made, self.fields, self.defaults, self.keyword, frozen)

    def begin(self, instance: Any, /, *given: Any, **named: Any) -> None:
        """The `__init__` of one of the first instances."""
        init = self.planned()
        if init is None or not init.fill(instance, given, named):
            self.made.__init__(instance, *given, **named)


def _move(value: Any, kind: type, made: type) -> None:
    """Methods remember the class that they were written in, for `super()`."""
    if isinstance(value, property):
        value = value.fget
    for cell in getattr(getattr(value, "__func__", value), "__closure__", None) or ():
        with suppress(ValueError):  # of one that has no contents yet
            if cell.cell_contents is kind:
                cell.cell_contents = made


class _Later:
    """A name of a class that gets its value when somebody asks for it."""

    __slots__ = ("name", "written")

    def __init__(self, name: str, written: _Written) -> None:
        self.name, self.written = name, written

    def __get__(self, instance: object, owner: type) -> Any:
        written = self.written
        # Whoever asks what it takes may give the class itself for an instance, as `inspect.signature` does since 3.13.
        if self.name == "__init__" and written.calls < _FEW and isinstance(instance, written.made):
            written.calls += 1
            return partial(written.begin, instance)
        written.finish(self.name)
        value: Any = written.made.__dict__[self.name]
        bound: Any = getattr(value.__class__, "__get__", None)
        return value if bound is None else bound(value, instance, owner)


def filled(kind: Callable[P, T]) -> Callable[P, T]:
    """A function that makes values of `kind`, a frozen class with slots, from all of its fields in their order.

    They are the same as those that the class makes, but that nobody converts or validates what is given, and no default
    stands in for what is not. The `__init__` of a frozen class calls a function for each field. Here the value is of a
    class without that lock until all are in.
    """
    made: Any = kind
    fields = [name for name in made.__slots__ if name != "__weakref__"]
    open_: Any = type(
        made.__name__,
        (made,),
        # both, without which CPython looks the other one up each time
        {"__slots__": (), "__setattr__": object.__setattr__, "__delattr__": object.__delattr__},
    )
    arguments = [name.lstrip("_") for name in fields]
    lines = [f"    _made.{name} = {argument}" for name, argument in zip(fields, arguments, strict=True)]
    text = "\n".join(
        [f"def filled({', '.join(arguments)}):", "    _made = _new(_open)", *lines, "    _made.__class__ = _kind"]
    )
    namespace = {"_new": object.__new__, "_open": open_, "_kind": made}  # no argument begins like that
    exec(f"{text}\n    return _made", namespace)
    return cast("Callable[P, T]", namespace["filled"])
