"""What can be done to a journal by whoever owns it: this process, or the tree that runs on it, which is asked."""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

import trio

from treewarden.agents.core.exit import alone
from treewarden.agents.core.path import ROOT
from treewarden.agents.errors import JournalError, JournalOwned
from treewarden.supervisor.common import LoopClock
from treewarden.supervisor.core.command import Command
from treewarden.supervisor.journal.port import Journal
from treewarden.supervisor.journal.sending import NobodyThere, Outcome, send

from ..open import journal_in
from .commanding import GRACE, user

__all__ = ["done_by_owner"]

T = TypeVar("T")


async def done_by_owner(
    file: str, do: Callable[[Journal], Awaitable[T]], what: str, within: float, fields: Mapping[str, object]
) -> T | Outcome:
    """What `do` makes of the file, owned by this process; or, where a tree runs on it, what became of the command.

    Whoever owned it and has closed it without an answer, as another command does, has left it to this process.

    Raises `JournalError` where the tree refused or did not answer.
    """
    deadline = trio.current_time() + within
    while True:
        try:
            try:
                async with journal_in(file, LoopClock(time.time), visits=True) as journal:
                    return await do(journal)
            except BaseExceptionGroup as group:
                raise alone(group) from None
        except JournalOwned:
            left = max(0.0, deadline - trio.current_time())
            order = Command(what=what, path=ROOT, fields=fields, by=user(), within=left)
            try:
                outcome = await send(file, order, secrets.token_hex(8), within=left + GRACE)
            except NobodyThere:  # any more
                if not left:
                    raise
                continue
        if outcome.state != "withdrawn" or trio.current_time() >= deadline:
            break
    if outcome.state != "applied":
        raise JournalError(f"{file}: {outcome.state}: {outcome.text}")
    return outcome
