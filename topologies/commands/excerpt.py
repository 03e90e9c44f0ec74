"""What is printed of a value that is too long to be read: the beginning of its parts, and how much more there is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from typing import Any, Final, cast

from treewarden.supervisor.journal.large import is_long

__all__ = ["ALL", "brief", "cut", "excerpt", "is_brief"]

ALL: Final = "--all prints everything"
_TEXT: Final = 400
"""Characters of a text that are printed."""
_ITEMS: Final = 30
"""Items of a list or a table that are printed."""
_DEEP: Final = 12
"""Levels that are printed."""
_LINES: Final = 400
_BRIEF: Final = 2_000
"""Characters of one side of a difference that are printed."""


def excerpt(data: Any) -> list[str]:
    """JSON data as indented lines, some hundreds at most, of which none is very long."""
    text = json.dumps(_shortened(data, _DEEP), ensure_ascii=False, indent=2)
    lines = text.splitlines()
    if len(lines) > _LINES:
        lines = [*lines[:_LINES], f"… {len(lines) - _LINES} more lines"]
    return [cut(line, 2 * _TEXT) for line in lines]


def is_brief(data: Any) -> bool:
    """Whether `brief` says all of it."""
    return not is_long(data, _BRIEF) and len(json.dumps(data, ensure_ascii=False)) <= _BRIEF


def brief(data: Any) -> str:
    """JSON data on one line that is not very long."""
    return cut(json.dumps(data if is_brief(data) else _shortened(data, _DEEP), ensure_ascii=False), _BRIEF)


def cut(text: str, most: int) -> str:
    """`text`, or its beginning with a word on how long it is."""
    return text if len(text) <= most else f"{text[:most]}… ({len(text)} characters)"


def _shortened(data: Any, deep: int) -> Any:
    if isinstance(data, str):
        return cut(data, _TEXT)
    if isinstance(data, dict):
        table = cast("dict[str, Any]", data)
        if table and not deep:
            return f"… {len(table)} fields"
        short = {cut(key, _TEXT): _shortened(value, deep - 1) for key, value in islice(table.items(), _ITEMS)}
        return short | dict(_more(len(table)))
    if isinstance(data, list):
        items = cast("list[Any]", data)
        if items and not deep:
            return f"… {len(items)} items"
        return [_shortened(value, deep - 1) for value in items[:_ITEMS]] + [
            " ".join(more) for more in _more(len(items))
        ]
    return data


def _more(count: int) -> Iterator[tuple[str, str]]:
    if count > _ITEMS:
        yield "…", f"{count - _ITEMS} more"
