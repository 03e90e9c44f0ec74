"""Events and summaries as JSON Lines for machines: one object a line, each with a `type`, keys that stay."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, Final, cast

from attrs import asdict, has

from ..core.event import Event
from ..journal.port import Record
from .console import Opening
from .status_rows import LiveSlot
from .summary_text import Ending, summary_object

__all__ = ["FORMAT", "JsonView", "event_line", "event_object", "json_line", "plain_data"]

FORMAT: Final = 1
"""Raised when a key changes its meaning or goes; new keys may come at any time."""


class JsonView:
    """A run as JSON Lines: a header, every committed event, notices, a summary."""

    draws = False
    farewell = ""

    def opened(self, opening: Opening, slots: Sequence[LiveSlot]) -> str:
        return json_line(
            "header",
            format=FORMAT,
            treewarden=opening.version,
            tree=opening.name,
            file=opening.file,
            journal=opening.journal,
            at=opening.at,
            pid=opening.pid,
            epoch=opening.epoch,
            head=opening.head,
            after_crash=opening.after_crash,
            slots=[slot.path for slot in slots],
        )

    def told(self, records: Sequence[Record]) -> str:
        return "".join(map(event_line, records))

    def frame(self, slots: Sequence[LiveSlot]) -> str:
        return ""

    def notice(self, text: str) -> str:
        return json_line("notice", text=text)

    def closed(self, ending: Ending) -> str:
        return json_line("summary", **summary_object(ending))


def json_line(type: str, **fields: Any) -> str:
    """One object and its newline. What JSON has no word for (infinity, a class) becomes text or null."""
    return json.dumps({"type": type, **plain_data(fields)}, ensure_ascii=False, allow_nan=False) + "\n"


def event_line(record: Record) -> str:
    """One event and its newline."""
    return json_line("event", **event_object(record))


def event_object(record: Record) -> dict[str, Any]:
    """`{"seq", "at", "epoch", "kind", "path", "data"}`: `at` in wall seconds, `path` null if it is about the tree."""
    event: Event = record.event
    data = plain_data(event)
    return {
        "seq": record.seq,
        "at": record.at,
        "epoch": record.epoch,
        "kind": type(event).__name__,
        "path": data.pop("path", None),
        "data": data,
    }


def plain_data(value: Any) -> Any:
    """`value` as what JSON knows; NaN and infinities as null, anything unknown as its text."""
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, Enum):
        return plain_data(value.value)
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()  # a lone surrogate has no place in UTF-8
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain_data(each) for key, each in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, (list, tuple)):
        return [plain_data(each) for each in cast("Sequence[Any]", value)]
    if isinstance(value, (set, frozenset)):
        return sorted(str(each) for each in cast("set[Any]", value))
    if has(value.__class__):
        return {name: plain_data(each) for name, each in asdict(value, recurse=False).items()}
    return str(value)
