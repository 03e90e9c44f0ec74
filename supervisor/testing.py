"""For tests of trees under a simulated clock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import trio

from treewarden.agents.ports import Clock

from .journal.holder import ProcessTable
from .journal.port import Journal
from .journal.seams import Connect
from .journal.sqlite import SqliteJournal

__all__ = ["inline_run_sync", "journal_on"]

T = TypeVar("T")


async def inline_run_sync(call: Callable[..., T], /, *args: Any, **_options: Any) -> T:
    """In the place of `trio.to_thread.run_sync`: the call runs inside the loop, so that a mock clock sees it.

    A checkpoint before it, as before a real one. Cancellation: none once the call began. Blocks the loop meanwhile.
    """
    await trio.lowlevel.checkpoint()
    return call(*args)


def journal_on(
    connect: Connect, clock: Clock, processes: ProcessTable, tree: str, *, file: str = "world.db", lease: float = 1e9
) -> Journal:
    """The journal that writes files, on a database that `connect` gives, with all of its SQL inside the loop.

    `tree` is the id that a new journal gets; the lease does not run out by itself, for the database's clock is real.
    """
    return SqliteJournal(
        file,
        clock=clock,
        run_sync=inline_run_sync,
        lease=lease,
        processes=processes,
        connect=connect,
        new_tree=lambda: tree,
    )
