"""A word that is said to the tree that runs, or written into the journal of one that does not."""

from __future__ import annotations

import secrets
import time
from argparse import Namespace
from collections.abc import Awaitable, Callable

import trio

from treewarden.agents.core.exit import alone
from treewarden.agents.errors import AlreadyRuled, CheckpointRefused, ConfigurationError, JournalOwned
from treewarden.supervisor.common import LoopClock
from treewarden.supervisor.journal.port import Journal
from treewarden.supervisor.journal.reading import JournalFile
from treewarden.supervisor.journal.sending import NobodyThere, Outcome, send
from treewarden.supervisor.ops.wording import clean

from ..open import journal_in
from .commanding import GRACE, asked_in, command, tell

__all__ = ["say"]


def say(arguments: Namespace, at_rest: Callable[[Journal, LoopClock], Awaitable[str]]) -> int:
    """Send the command that `arguments` are, or where no tree runs await `at_rest`, which returns what was done. Only a
    tree that runs remembers an id. Whoever owned the file and has left it without an answer, as another command does,
    has left it to this one.

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
    return tell(arguments, trio.run(_said, arguments, at_rest))


async def _said(arguments: Namespace, at_rest: Callable[[Journal, LoopClock], Awaitable[str]]) -> Outcome:
    deadline = trio.current_time() + arguments.within
    while True:
        try:
            return await _at_rest(arguments.file, at_rest)
        except JournalOwned:
            pass
        left = max(0.0, deadline - trio.current_time())
        try:
            outcome = await send(arguments.file, asked_in(arguments), secrets.token_hex(8), within=left + GRACE)
        except NobodyThere:  # any more
            if not left:
                raise
            continue
        if outcome.state != "withdrawn" or trio.current_time() >= deadline:
            return outcome


async def _at_rest(file: str, deed: Callable[[Journal, LoopClock], Awaitable[str]]) -> Outcome:
    clock = LoopClock(time.time)
    try:
        async with journal_in(file, clock, visits=True) as journal:
            try:
                done = await deed(journal, clock)
            except (AlreadyRuled, CheckpointRefused, ConfigurationError) as error:  # as a tree that runs refuses it
                return Outcome("", "refused", clean(str(error)))
    except BaseExceptionGroup as group:
        raise alone(group) from None
    return Outcome("", "applied", clean(f"{done}, from the next start on"))
