"""The arguments in a TOML file, some of which stand in the environment: secrets, and what differs between machines."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final, TypeGuard, cast

from .core.node import REFUSED, Node, Problems, Refused, table, text

__all__ = ["arguments", "with_environment"]

_ARGUMENTS: Final = "args"
_KEY: Final = "env"


def arguments(node: Node, problems: Problems) -> Mapping[str, Any] | Refused:
    """A table of arguments, with the values of the variables that `{ env = "NAME" }` names, at any depth.

    What stands in the environment is in no problem, and nowhere in `node`.
    """
    before = len(problems)
    given = table(node, problems)
    found = _value(node, problems, outermost=True)
    return REFUSED if isinstance(given, Refused) or len(problems) > before else found


def _value(node: Node, problems: Problems, *, outermost: bool = False) -> Any:
    if node.array is not None:
        return [_value(each, problems) for each in node.array]
    if node.table is None:
        return node.value
    if not outermost and list(node.table) == [_KEY]:
        return _variable(node.table[_KEY], problems)
    return {key: _value(part, problems) for key, part in node.table.items()}


def _variable(node: Node, problems: Problems) -> str | Refused:
    name = text(node, problems)
    if isinstance(name, Refused):
        return name
    try:
        value = os.environ.get(name)
    except ValueError:  # no variable can have such a name
        value = None
    if value is None:
        return problems.refuse(node, "is not set in the environment", "set it, or write what it is to be in its place")
    return value


def with_environment(data: object, *, in_arguments: bool = False) -> Any:
    """What a file says, with the variables that its arguments name as far as they are set here. An argument may be
    called `env` itself: alone in its table it is what stands there."""
    if isinstance(data, list):
        return [with_environment(each, in_arguments=in_arguments) for each in cast("list[object]", data)]
    if not _is_table(data):
        return data
    name = data[_KEY] if in_arguments and list(data) == [_KEY] else None
    if isinstance(name, str):
        return os.environ.get(name, "")
    found: dict[str, Any] = {}
    for key, each in data.items():
        if not in_arguments and key == _ARGUMENTS and _is_table(each):
            found[key] = {inner: with_environment(value, in_arguments=True) for inner, value in each.items()}
        else:
            found[key] = with_environment(each, in_arguments=in_arguments)
    return found


def _is_table(data: object) -> TypeGuard[dict[str, object]]:
    return isinstance(data, dict)
