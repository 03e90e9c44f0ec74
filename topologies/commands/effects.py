"""`treewarden effects` and `treewarden answer`: effects in doubt, and what a person says came of one."""

from __future__ import annotations

import time
from argparse import Namespace
from typing import Any

import trio
from attrs import asdict

from treewarden.agents.core.exit import alone
from treewarden.agents.errors import ConfigurationError, JournalOwned
from treewarden.supervisor.answering import answer_at_rest, open_in
from treewarden.supervisor.common import LoopClock
from treewarden.supervisor.journal.reading import JournalFile
from treewarden.supervisor.journal.sending import Outcome
from treewarden.supervisor.ops.wording import clean, local

from ..effects_said import answered_effect, said_of_effect
from ..open import journal_in
from .commanding import command, said_in, tell, user
from .exits import ExitCode
from .files import refuse_unknown, status_of
from .stdout import Stdout

__all__ = ["answer", "effects"]


def effects(arguments: Namespace) -> int:
    """Print what has begun and has no result, the oldest first: what is in doubt, and in a tree that runs perhaps what
    is under way. It waits for an answer where somebody is held over it. Reads only.

    Raises `ConfigurationError` for a path at which no slot ever was.
    """
    out = Stdout.here()
    with JournalFile.open(arguments.file) as journal:
        found = open_in(journal.effects(), arguments.path)
        lives = journal.describe_holder().startswith("owned by")
        if not found:
            refuse_unknown(journal, arguments.file, arguments.path)
        notes = [slot.note for slot in status_of(journal).slots.values() if slot.note] if found else []
    held = {each.key for each in found if any(each.key in note for note in notes)}
    if arguments.json:
        shown = [
            {name: value for name, value in asdict(each).items() if name != "under_way"} | {"held": each.key in held}
            for each in found
        ]
        out.json({"file": arguments.file, "running": lives, "effects": shown})
        return ExitCode.ORDERLY
    meanwhile = "  perhaps under way" if lives else ""
    lines = [
        f"{local(each.since)}  {each.path}  {each.effect} of {each.kind} {each.message}  key {each.key}"
        f"{'  held: waits for an answer' if each.key in held else meanwhile}"
        for each in found
    ]
    out.lines([clean(line) for line in lines] or [f"{arguments.file}: no effect is in doubt"])
    return ExitCode.ORDERLY


def answer(arguments: Namespace) -> int:
    """Say what came of an effect in doubt: to the tree that runs, or into the journal of one that does not. Only a tree
    that runs remembers an id.

    Raises `ConfigurationError` where no tree runs to remember an id, and what `command` raises.
    """
    with JournalFile.open(arguments.file) as journal:  # what is no journal is said, and no file is made
        holder = journal.describe_holder()
    if arguments.id is not None:
        if holder.startswith(("closed", "left", "never")):
            raise ConfigurationError(
                f"nobody runs a tree on {arguments.file} ({holder}), and only a tree that runs remembers an id; leave "
                "--id out, or start it first"
            )
        return command(arguments)
    fields = said_in(arguments)
    try:
        return tell(arguments, trio.run(_at_rest, arguments, fields))
    except JournalOwned:
        return command(arguments)


async def _at_rest(arguments: Namespace, fields: dict[str, Any]) -> Outcome:
    clock, said = LoopClock(time.time), said_of_effect(fields)
    try:
        async with journal_in(arguments.file, clock, visits=True) as journal:
            try:
                step = await answer_at_rest(journal, clock, arguments.path, said, fields.get("key", ""), user())
            except ConfigurationError as error:  # as a tree that runs refuses it
                return Outcome("", "refused", clean(str(error)))
    except BaseExceptionGroup as group:
        raise alone(group) from None
    return Outcome("", "applied", clean(f"{answered_effect(step, said)}, from the next start on"))
