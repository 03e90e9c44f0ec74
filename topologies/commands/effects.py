"""`treewarden effects` and `treewarden answer`: effects in doubt, and what a person says came of one."""

from __future__ import annotations

from argparse import Namespace

from attrs import asdict

from treewarden.agents.ports import Clock
from treewarden.supervisor.answering import answer_at_rest, open_in
from treewarden.supervisor.journal.port import Journal
from treewarden.supervisor.journal.reading import JournalFile
from treewarden.supervisor.ops.wording import clean, local

from ..effects_said import answered_effect, said_of_effect
from .commanding import said_in, user
from .exits import ExitCode
from .files import refuse_unknown, status_of
from .resting import say
from .stdout import Stdout
from .waits import rule

__all__ = ["answer", "effects"]


def effects(arguments: Namespace) -> int:
    """Print what has begun and has no result, the oldest first: what is in doubt, and in a tree that runs perhaps what
    is under way. It waits for an answer where somebody is held over it. Reads only.

    Raises `ConfigurationError` for a path at which no slot ever was.
    """
    out = Stdout.here()
    with JournalFile.open(arguments.file) as journal:
        rows = journal.effects()
        notes = [slot.note for slot in status_of(journal).slots.values() if slot.note] if rows else []
        found = open_in(rows, arguments.path, notes)
        lives = journal.describe_holder().startswith("owned by")
        if not found:
            refuse_unknown(journal, arguments.file, arguments.path)
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
        f"{'  done, and its result cannot be read' if each.unread else ''}"
        f"{'  held: waits for an answer' if each.key in held else meanwhile}"
        for each in found
    ]
    out.lines([clean(line) for line in lines] or [f"{arguments.file}: no effect is in doubt"])
    return ExitCode.ORDERLY


def answer(arguments: Namespace) -> int:
    """Say what came of an effect in doubt, or what a handler has asked: to the tree that runs, or into the journal of
    one that does not. Only a tree that runs remembers an id.

    Raises `ConfigurationError` where no tree runs to remember an id, and what `command` raises.
    """
    if arguments.say is not None:
        return rule(arguments)
    fields = said_in(arguments)

    async def at_rest(journal: Journal, clock: Clock) -> str:
        said = said_of_effect(fields)
        step = await answer_at_rest(journal, clock, arguments.path, said, fields.get("key", ""), user())
        return answered_effect(step, said)

    return say(arguments, at_rest)
