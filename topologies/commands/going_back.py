"""`treewarden roll-back`: asked of the tree that runs, or written into the journal of one that does not."""

from __future__ import annotations

import time
from argparse import Namespace

import trio

from treewarden.agents.core.exit import alone
from treewarden.agents.errors import JournalOwned
from treewarden.supervisor.at_rest import roll_back_at_rest
from treewarden.supervisor.common import LoopClock
from treewarden.supervisor.core.checkpoint import Checkpoint
from treewarden.supervisor.journal.reading import JournalFile
from treewarden.supervisor.ops.wording import clean

from ..open import journal_in
from .commanding import command, target, user
from .exits import ExitCode
from .stdout import Stdout

__all__ = ["roll_back"]


def roll_back(arguments: Namespace) -> int:
    """Make a kept state the current one. What a class declares is known to a running tree only, and only that one
    remembers an id.

    Raises `CheckpointRefused` for what nobody can go back to, and what `command` raises.
    """
    if arguments.declared or arguments.id is not None:
        return command(arguments)
    with JournalFile.open(arguments.file):
        pass  # what is no journal is said, and no file is made
    try:
        back = trio.run(_at_rest, arguments)
    except JournalOwned:
        return command(arguments)
    text = clean(f"{back.path} is back at checkpoint {back.number}, from the next start on")
    out = Stdout.here()
    if arguments.json:
        out.json({"file": arguments.file, "id": "", "state": "applied", "text": text, "duplicate": False})
    else:
        out.lines([out.paint(f"applied: {text}", "good")])
    return ExitCode.ORDERLY


async def _at_rest(arguments: Namespace) -> Checkpoint:
    clock = LoopClock(time.time)
    try:
        async with journal_in(arguments.file, clock, visits=True) as journal:
            return await roll_back_at_rest(journal, clock, arguments.path, target(arguments.to), user())
    except BaseExceptionGroup as group:
        raise alone(group) from None
