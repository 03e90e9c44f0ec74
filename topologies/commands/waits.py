"""`treewarden waits`, `approve`, `refuse` and `answer --say`: what handlers wait for, and what a person says of it."""

from __future__ import annotations

import time
from argparse import Namespace

from attrs import asdict

from treewarden.agents.core.question import QUESTION, said_of
from treewarden.agents.ports import Clock
from treewarden.supervisor.journal.canonical import dump
from treewarden.supervisor.journal.port import Journal
from treewarden.supervisor.journal.reading import JournalFile
from treewarden.supervisor.open_waits import OpenWait, open_waits_in
from treewarden.supervisor.ops.wording import clean, local
from treewarden.supervisor.ruling import rule_at_rest

from ..rulings_said import ruled, verdict_of
from .commanding import ruled_in
from .exits import ExitCode
from .files import refuse_unknown
from .resting import say
from .stdout import Stdout

__all__ = ["rule", "waits"]


def waits(arguments: Namespace) -> int:
    """Print what handlers wait for, the oldest first: of an approval or a question what is shown, and its
    key; and what this code cannot read, with the reason. Reads only.

    Raises `ConfigurationError` for a path at which no slot ever was.
    """
    out = Stdout.here()
    with JournalFile.open(arguments.file) as journal:
        found = open_waits_in(journal.effects(), arguments.path)
        lives = journal.describe_holder().startswith("owned by")
        if not found:
            refuse_unknown(journal, arguments.file, arguments.path)
    if arguments.json:
        shown = [asdict(each) | {"path": str(each.path)} for each in found]
        out.json({"file": arguments.file, "running": lives, "waits": shown})
        return ExitCode.ORDERLY
    now = time.time()
    out.lines([clean(_line(each, now)) for each in found] or [f"{arguments.file}: nobody waits"])
    return ExitCode.ORDERLY


def _line(wait: OpenWait, now: float) -> str:
    if not wait.what:
        return f"{wait.path}  {wait.wait} of {wait.message}  {wait.unread}"
    parts = [local(wait.since), wait.path, f"{wait.wait} of {wait.kind} {wait.message}"]
    if wait.key:
        parts.append(f"key {wait.key}")
    elif wait.about:
        parts.append(f"{wait.what} {wait.about}")
    if wait.until is not None:
        parts.append(f"{'until' if now < wait.until else 'over since'} {local(wait.until)}")
    if wait.key:
        parts += [f"of {wait.subject}"] if wait.subject else []
        parts.append(said_of(wait.about) if wait.what == QUESTION else f"{wait.of} {dump(wait.about)}")
    if wait.unread:
        parts.append(wait.unread)
    return "  ".join(parts)


def rule(arguments: Namespace) -> int:
    """Rule about an approval, or answer a question: to the tree that runs, or into the journal of one that does not.
    Only a tree that runs remembers an id.

    Raises `ConfigurationError` for a name or text that cannot be, or where no tree runs to remember an id, and what
    `command` raises.
    """
    fields = ruled_in(arguments)
    verdict = verdict_of(fields)

    async def at_rest(journal: Journal, clock: Clock) -> str:
        return ruled(await rule_at_rest(journal, clock, arguments.path, verdict, arguments.key), verdict)

    return say(arguments, at_rest)
