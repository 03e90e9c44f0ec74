"""`treewarden roll-back`: asked of the tree that runs, or written into the journal of one that does not."""

from __future__ import annotations

import time
from argparse import Namespace

import trio

from treewarden.agents.core.exit import alone
from treewarden.agents.errors import CheckpointRefused, JournalOwned
from treewarden.supervisor.at_rest import roll_back_at_rest
from treewarden.supervisor.common import LoopClock
from treewarden.supervisor.journal.reading import JournalFile
from treewarden.supervisor.journal.sending import Outcome
from treewarden.supervisor.ops.wording import clean

from ..open import journal_in
from .commanding import command, target, tell, user

__all__ = ["roll_back"]


def roll_back(arguments: Namespace) -> int:
    """Make a kept state the current one. What a class declares is known to a running tree only, and only that one
    remembers an id.

    Raises what `command` raises.
    """
    if arguments.declared or arguments.id is not None:
        return command(arguments)
    with JournalFile.open(arguments.file):
        pass  # what is no journal is said, and no file is made
    try:
        return tell(arguments, trio.run(_at_rest, arguments))
    except JournalOwned:
        return command(arguments)


async def _at_rest(arguments: Namespace) -> Outcome:
    clock = LoopClock(time.time)
    try:
        async with journal_in(arguments.file, clock, visits=True) as journal:
            try:
                back = await roll_back_at_rest(journal, clock, arguments.path, target(arguments.to), user())
            except CheckpointRefused as error:  # as a tree that runs refuses it
                return Outcome("", "refused", clean(str(error)))
    except BaseExceptionGroup as group:
        raise alone(group) from None
    text = f"{back.path} is back at checkpoint {back.number}, from the next start on"
    return Outcome("", "applied", clean(text))
