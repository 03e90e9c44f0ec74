"""Values of frozen classes, made of what is known to be right: in a third of the time, for those of each signal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

__all__ = ["filled"]

P = ParamSpec("P")
T = TypeVar("T")


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
