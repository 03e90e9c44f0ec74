"""`treewarden dead-letters`: messages that were given up, of a live process or a dead one."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from treewarden.agents.core.path import ROOT
from treewarden.supervisor.journal.canonical import load
from treewarden.supervisor.journal.port import DeadRow
from treewarden.supervisor.journal.reading import JournalFile
from treewarden.supervisor.ops.wording import clean, clip, local

from .exits import ExitCode
from .files import refuse_unknown
from .stdout import Stdout

__all__ = ["dead_letters"]


def dead_letters(arguments: Namespace) -> int:
    """Print what was given up at or below a path, the newest last. Reads only.

    Raises `ConfigurationError` for a path at which no slot ever was.
    """
    out = Stdout.here()
    with JournalFile.open(arguments.file) as journal:
        found = journal.dead_letters(arguments.path, arguments.last)[::-1]
        lives = journal.describe_holder().startswith("owned by")
        if not found:
            refuse_unknown(journal, arguments.file, arguments.path)
    if arguments.json:
        letters = [_as_data(letter) for letter in found]
        out.json({"file": arguments.file, "running": lives, "dead_letters": letters})
        return ExitCode.ORDERLY
    lines = [clip(clean(_line(letter)), out.width) for letter in found]
    of = "" if arguments.path == ROOT else f" of {arguments.path}"
    none = f"{arguments.file}: on disk no message{of} was given up, or all were put back"
    out.lines(lines or [none, "  of mailboxes in memory only events tell: treewarden journal show --kind DeadLettered"])
    return ExitCode.ORDERLY


def _line(letter: DeadRow) -> str:
    kind = letter.kind.partition(":")[2] or letter.kind  # without its module, as events have it
    return f"{local(letter.at)}  {letter.path}  {kind} {letter.id}  {letter.reason}"


def _as_data(letter: DeadRow) -> dict[str, Any]:
    return {
        "message": letter.id,
        "path": str(letter.path),
        "kind": letter.kind,
        "version": letter.version,
        "body": load(letter.body),
        "reason": letter.reason,
        "at": letter.at,
        "sender": None if letter.sender is None else str(letter.sender),
        "priority": letter.priority,
    }
