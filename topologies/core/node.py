"""A TOML value that knows where it stands, and the checks that turn it into one of ours."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final, TypeAlias, cast

from attrs import define, field, frozen

from treewarden.agents.core.path import check_id
from treewarden.agents.core.said import LARGEST, beyond_floats, listed

from .problems import Problem, choose, guess, shown

__all__ = [
    "REFUSED",
    "Node",
    "Problems",
    "Reader",
    "Refused",
    "anything",
    "boolean",
    "choice",
    "located",
    "number",
    "read_fields",
    "record",
    "slot_id",
    "table",
    "text",
    "text_or_texts",
    "texts",
    "whole",
]

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")


@frozen
class Node:
    """A value as it was read, with its parts as nodes: of a table by key, of an array in order."""

    at: str
    value: object
    table: Mapping[str, Node] | None = None
    array: Sequence[Node] | None = None

    def merged(self, above: Node) -> Node:
        """This table with the keys that only `above` has, each of them still standing where it was read."""
        if self.table is None or above.table is None:
            return self
        value = {**cast("dict[str, object]", above.value), **cast("dict[str, object]", self.value)}
        return Node(self.at, value, {**above.table, **self.table})


def located(value: object, at: str) -> Node:
    """Give `value`, and everything in it, its place."""
    if isinstance(value, dict):
        entries = cast("dict[str, object]", value)
        return Node(at, entries, table={key: located(each, f"{at}.{_key(key)}") for key, each in entries.items()})
    if isinstance(value, list):
        items = cast("list[object]", value)
        return Node(at, items, array=[located(each, f"{at}[{number}]") for number, each in enumerate(items)])
    return Node(at, value)


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else f'"{key}"'


class Refused:
    """The type of `REFUSED`."""


REFUSED: Final = Refused()
"""What a reader returns when it has said what is wrong. The whole file is refused then, so any default will do."""


@define
class Problems:
    """What was found so far, each thing once, in the order in which it was found."""

    _found: dict[Problem, None] = field(factory=dict[Problem, None])

    def __iter__(self) -> Iterator[Problem]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def add(self, *problems: Problem) -> Refused:
        self._found.update(dict.fromkeys(problems))
        return REFUSED

    def refuse(self, node: Node, fault: str, remedy: str) -> Refused:
        """The value of `node` cannot work."""
        return self.add(Problem(node.at, shown(node.value), fault, remedy))


Reader: TypeAlias = Callable[[Node, Problems], Any]
"""Turns a node into a value; or says what is wrong with it and returns `REFUSED`."""


def anything(node: Node, _problems: Problems) -> Node:
    """For a part that is read by itself."""
    return node


def boolean(node: Node, problems: Problems) -> bool | Refused:
    if isinstance(node.value, bool):
        return node.value
    return problems.refuse(node, "is neither true nor false", "write true or false, without quotes")


def text(node: Node, problems: Problems) -> str | Refused:
    if isinstance(node.value, str) and node.value:
        return node.value
    if node.value == "":
        return problems.refuse(node, "is empty", "write something between the quotes")
    return problems.refuse(node, "is no text", "write it in quotes")


def slot_id(node: Node, problems: Problems) -> str | Refused:
    value = text(node, problems)
    if isinstance(value, Refused):
        return value
    try:
        return check_id(value)
    except ValueError as error:
        return problems.refuse(node, "cannot name a slot", str(error).rpartition(" a slot: ")[2])


def texts(node: Node, problems: Problems) -> tuple[str, ...] | Refused:
    if node.array is None:
        return problems.refuse(node, "is no list of texts", "write them in brackets, as in ['a', 'b']")
    read = [text(each, problems) for each in node.array]
    found = tuple(each for each in read if isinstance(each, str))
    return found if len(found) == len(read) else REFUSED


def text_or_texts(node: Node, problems: Problems) -> str | tuple[str, ...] | Refused:
    return text(node, problems) if node.array is None else texts(node, problems)


def table(node: Node, problems: Problems) -> Mapping[str, Any] | Refused:
    """Any table, as plain data."""
    if node.table is not None:
        return cast("dict[str, Any]", node.value)
    return problems.refuse(node, "is no table", "write { name = value }")


def number(least: float, *, above: bool = False, most: float = math.inf, infinite: bool = True) -> Reader:
    """A number from `least` (`above`: more than it) to `most`; true is not 1, and '5' is not 5."""
    bounds = (
        f"from {least:g} to {most:g}" if most < math.inf else f"more than {least:g}" if above else f"{least:g} or more"
    )
    remedy = f"give a number, {bounds}{'' if infinite or most < math.inf else ', not infinite'}"

    def read(node: Node, problems: Problems) -> float | Refused:
        value = node.value
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value:
            return problems.refuse(node, "is not a number", remedy)
        if value < least or value > most or (above and value == least) or (not infinite and value == math.inf):
            return problems.refuse(node, "is out of range", remedy)
        if beyond_floats(value):
            return problems.refuse(node, "is out of range", f"{remedy}, at most {LARGEST:.1e}")
        return value

    return read


def whole(least: int, most: int | None = None) -> Reader:
    """A whole number, `least` or more, at most `most`."""
    bounds = f"{least} or more" if most is None else f"from {least} to {most}"

    def read(node: Node, problems: Problems) -> int | Refused:
        value = node.value
        if isinstance(value, bool) or not isinstance(value, int):
            return problems.refuse(node, "is not a whole number", f"give one, {bounds}")
        if value < least or (most is not None and value > most):
            return problems.refuse(node, "is out of range", f"give a whole number, {bounds}")
        return value

    return read


def choice(choices: Iterable[tuple[str, Any]] | type[StrEnum], what: str) -> Reader:
    """One of some names, each of which stands for a value."""
    known = dict(choices if not isinstance(choices, type) else ((each.value, each) for each in choices))

    def read(node: Node, problems: Problems) -> Any:
        if isinstance(node.value, str) and node.value in known:
            return known[node.value]
        return problems.refuse(node, f"is not {what}", choose(node.value, list(known)))

    return read


def read_fields(
    node: Node, fields: Mapping[str, Reader], what: str, problems: Problems, elsewhere: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The values of a table by key, without those that were refused.

    `what` names the table in messages about unknown keys; `elsewhere` has remedies for keys that belong somewhere else.
    """
    if node.table is None:
        problems.refuse(node, "is no table", f"write {what} as {{ key = value }}")
        return {}
    found: dict[str, Any] = {}
    for key, part in node.table.items():
        if key in fields:
            value = fields[key](part, problems)
            if value is not REFUSED:
                found[key] = value
        else:
            remedy = (elsewhere or {}).get(key) or guess(key, list(fields)) or f"its keys are {listed(sorted(fields))}"
            problems.add(Problem(part.at, repr(key), f"is no key of {what}", remedy))
    return found


def record(make: Callable[..., Any], fields: Mapping[str, Reader], what: str) -> Reader:
    """A table whose keys are the arguments of `make`; those left out keep their defaults."""

    def read(node: Node, problems: Problems) -> Any:
        before = len(problems)
        given = read_fields(node, fields, what, problems)
        return make(**given) if len(problems) == before else REFUSED

    return read
