"""`treewarden roll-back`: asked of the tree that runs, or written into the journal of one that does not."""

from __future__ import annotations

from argparse import Namespace

from treewarden.agents.ports import Clock
from treewarden.supervisor.at_rest import roll_back_at_rest
from treewarden.supervisor.journal.port import Journal

from .commanding import command, target, user
from .resting import say

__all__ = ["roll_back"]


def roll_back(arguments: Namespace) -> int:
    """Make a kept state the current one. What a class declares is known to a running tree only, and only that one
    remembers an id.

    Raises what `command` raises.
    """
    if arguments.declared or arguments.id is not None:
        return command(arguments)

    to = target(arguments)

    async def at_rest(journal: Journal, clock: Clock) -> str:
        back = await roll_back_at_rest(journal, clock, arguments.path, to, user())
        return f"{back.path} is back at checkpoint {back.number}"

    return say(arguments, at_rest)
