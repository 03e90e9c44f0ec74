"""What a type was stored as while classes in it had other names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice, product
from typing import Any, Final, get_args, get_origin

from .scalars import former_names, unwrapped
from .shapes import kind_of

__all__ = ["former_kinds"]

_MOST: Final = 256


def former_kinds(declared: Any) -> tuple[str, ...]:
    """The names that `kind_of` has given it before: of a class, and of whatever holds some, as `dict[str, Item]`.

    Of several classes that had other names every combination is taken, as each may have been renamed at another time.
    """
    today, found = kind_of(declared), list[str]()
    classes = dict.fromkeys(_renamed_in(declared))
    ways = product(*[(None, *former_names(each, kind_of(each))) for each in classes])
    for way in islice(ways, 1, _MOST):
        name = today
        for kind, old in zip(classes, way, strict=True):
            if old is not None:
                name = _replaced(name, kind_of(kind), old)
        found.append(name)
    return tuple(found)


def _renamed_in(given: Any) -> Iterator[type]:
    declared = unwrapped(given)
    kind: Any = get_origin(declared) or declared
    if isinstance(kind, type) and "__formerly__" in vars(kind):
        yield kind
    for argument in get_args(declared):
        yield from _renamed_in(argument)


def _replaced(name: str, today: str, old: str) -> str:
    """Inside of a collection a class is written with a dot, unless there is a generic one."""
    for before, after in ((today, old), (today.replace(":", "."), old.replace(":", "."))):
        name = re.sub(rf"(?<![\w.:]){re.escape(before)}(?![\w.:])", after, name)
    return name
