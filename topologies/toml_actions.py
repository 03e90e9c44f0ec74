"""Actions of one's own in a TOML file: functions under names, each with its limit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from treewarden.supervisor.core.likelihoods import Cause
from treewarden.supervisor.core.named import NamedAction, named_actions

from .core.node import REFUSED, Node, Problems, Reader, Refused, anything, number, read_fields
from .imports import async_function

__all__ = ["actions_reader"]

_SHARE: Final = number(0, most=1)
_REMEDY: Final = "write { name = 'module:function' }, or { name = { run = 'module:function', within = 10 } }"


def actions_reader(folder: Path) -> Reader:
    """Reads `{ cache_warmup = "desk:warm_up" }`, functions beside the file first."""

    def read(node: Node, problems: Problems) -> Mapping[str, NamedAction] | Refused:
        if node.table is None:
            return problems.refuse(node, "is no table of actions", _REMEDY)
        before = len(problems)
        found = {name: _action(each, folder, problems) for name, each in node.table.items()}
        if len(problems) > before:
            return REFUSED
        try:
            return named_actions(found)
        except ValueError as error:
            return problems.refuse(node, "cannot be performed", str(error))

    return read


def _action(node: Node, folder: Path, problems: Problems) -> NamedAction | Refused:
    if node.table is None:
        run = async_function(node, folder, problems)
        return run if isinstance(run, Refused) else NamedAction(run)
    limit = number(0, above=True, infinite=False)
    fields: dict[str, Reader] = {"run": anything, "within": limit, "helps": _helps, "needs": _SHARE}
    given = read_fields(node, fields, "an action", problems)
    if "run" not in node.table:
        return problems.refuse(node, "says not what is run", "write { run = 'module:function' }")
    run = async_function(node.table["run"], folder, problems)
    options: dict[str, Any] = {key: value for key, value in given.items() if key != "run"}
    return run if isinstance(run, Refused) else NamedAction(run, **options)


def _helps(node: Node, problems: Problems) -> Mapping[str, float] | Refused:
    before = len(problems)
    given = read_fields(node, dict.fromkeys(map(str, Cause), _SHARE), "what an action helps against", problems)
    return given if len(problems) == before else REFUSED
