"""`treewarden trace`: which message led to which, and what is left of each."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from attrs import asdict

from treewarden.agents.core.message import trace_of
from treewarden.agents.errors import ConfigurationError
from treewarden.supervisor.journal.port import Record
from treewarden.supervisor.journal.reading import JournalFile
from treewarden.supervisor.journal.traced import left_of
from treewarden.supervisor.ops.event_text import event_style, event_text
from treewarden.supervisor.ops.wording import Paint, clean, clip, local, plural
from treewarden.supervisor.traces import Traced, traced

from .exits import ExitCode
from .files import pruned_line
from .stdout import Stdout

__all__ = ["trace"]

_STYLES = {"dead letter": "bad", "given up": "bad", "waits": "warn", "put back": "good", "settled": ""}


def trace(arguments: Namespace) -> int:
    """Print what is left of a trace, given by the id of any of its messages. Reads only.

    Raises `ConfigurationError` for what can be no id.
    """
    out, wanted = Stdout.here(), trace_of(arguments.id)
    if not wanted:
        raise ConfigurationError(f"{arguments.id!r} is no id of a message; `why` and `dead-letters` show them")
    with JournalFile.open(arguments.file) as journal:
        gone = pruned_line(journal)
        with journal.moment() as connection:
            left = left_of(connection, wanted, arguments.last)
    top = traced(wanted, left)
    if arguments.json:
        nodes = [] if top is None else [_object(each, told_by) for told_by, each in _with_causes(top)]
        out.json({"file": arguments.file, "trace": wanted, "earlier": left.more, "pruned": bool(gone),
                  "messages": nodes})  # fmt: skip
        return ExitCode.ORDERLY
    out.lines([*gone, ""] if gone else [])
    if left.more:
        out.lines(["(earlier events are not shown; --last shows more)", ""])
    if top is None:
        out.lines([
            clean(f"{arguments.file}: nothing is left of {wanted}: all of it was handled and recorded nothing, or no "
                  "message has this id")
        ])  # fmt: skip
        return ExitCode.ORDERLY
    for depth, each in top.walk():
        out.lines(_lines(each, depth, out))
    return ExitCode.ORDERLY


def _lines(each: Traced, depth: int, out: Stdout) -> list[str]:
    indent = "  " * depth
    return [
        out.paint(clip(clean(f"{indent}{_head(each)}"), out.width), _STYLES[each.state]),
        *(_line(record, f"{indent}    ", out.paint, out.width) for record in each.lines),
    ]


def _head(each: Traced) -> str:
    if not each.id:
        return f"row {each.text}  settled, and nothing is left of it but what it told"
    words = [each.id, each.kind, "" if each.path is None else str(each.path), _state(each)]
    return "  ".join(filter(None, words)) + ("" if each.sender is None else f", told by {each.sender}")


def _state(each: Traced) -> str:
    since = "" if each.at is None else f" since {local(each.at)}"
    attempts = f", {plural(each.attempts, 'attempt')} so far" if each.attempts else ""
    match each.state:
        case "put back":
            return f"put back as {each.text}"
        case "settled":
            return "asked" if ">" in each.id else "settled"
        case state:
            return f"{state}{since}{attempts}" + (f": {each.text}" if each.text else "")


def _line(record: Record, indent: str, paint: Paint, width: int | None) -> str:
    text = clean(f"{indent}{local(record.at)}  {type(record.event).__name__}  {event_text(record.event)}")
    return paint(clip(text, width), event_style(record.event))


def _with_causes(top: Traced) -> list[tuple[str | None, Traced]]:
    """Each message with the id of the one that told it, where that is known."""
    by = {id(below): each.id or None for _, each in top.walk() for below in each.below}
    return [(by.get(id(each)), each) for _, each in top.walk() if each.id]


def _object(each: Traced, told_by: str | None) -> dict[str, Any]:
    events = [
        {"seq": line.seq, "at": line.at, "kind": type(line.event).__name__, "data": asdict(line.event)}
        for line in each.lines
    ]
    said = asdict(each, recurse=False, filter=lambda attribute, _: attribute.name not in ("id", "lines", "below"))
    return {"message": each.id, "told_by": told_by, **said, "events": events}
