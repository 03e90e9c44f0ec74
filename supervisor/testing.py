"""For tests of trees under a simulated clock."""

from __future__ import annotations

from treewarden.agents.ports import Clock

from .journal.holder import ProcessTable
from .journal.port import Journal
from .journal.seams import Connect, inline_run_sync
from .journal.sqlite import SqliteJournal

__all__ = ["inline_run_sync", "journal_on"]


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
