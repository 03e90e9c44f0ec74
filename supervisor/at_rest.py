"""Going back in a journal on which no tree runs: the next process begins with the state that was kept."""

from __future__ import annotations

from treewarden.agents.core.diagnosis import Diagnosis
from treewarden.agents.core.label import Label
from treewarden.agents.core.path import Path
from treewarden.agents.errors import CheckpointRefused, CommitFailed
from treewarden.agents.ports import Clock

from .core.checkpoint import Checkpoint, Search
from .core.event import RolledBack
from .journal.port import Commit, Journal, KeepRow, RestoreRow
from .keeping import UNDO

__all__ = ["roll_back_at_rest"]


async def roll_back_at_rest(journal: Journal, clock: Clock, path: Path, to: int | str, by: str) -> Checkpoint:
    """As `Tree.roll_back`, without the tree: the state of a checkpoint becomes the current one, in one transaction.

    What was current is kept under the name `UNDO`, the mailbox stays as it is. Not promised: that the code of the next
    process can read that state; it holds the agent if it cannot. Raises `CheckpointRefused` if there is no such
    checkpoint, and `CommitFailed`: nothing has changed then.
    """
    if isinstance(to, str):
        named = await journal.checkpoints(path, 1, Search(name=to)) if to else ()
        number = named[0].number if named else None
    else:
        number = to
    kept = None if number is None else await journal.checkpoint(number)
    if kept is None or kept.about.path != path:
        raise CheckpointRefused(f"{path}: there is no checkpoint {to!r} of it", path=path)
    about, wall = kept.about, clock.wall()
    current = (await journal.recover(path)).state
    settled = about.settled if current is None else current.settled
    told = Diagnosis(
        by=by,
        because=(f"{by} asked for it",),
        to=about.number,
        name=about.name,
        undone=max(0, settled - about.settled),
    )
    event = RolledBack(path=path, to=about.seq, checkpoint=about.number, name=about.name, by=by, diagnosis=told)
    undo = () if current is None else (KeepRow(path, journal.opened.last_row + 1, wall, Label(UNDO)),)
    commit = Commit(by=path, keeps=undo, restores=(RestoreRow(path, about.number, settled),), events=((wall, event),))
    try:
        await journal.commit(commit)
    except CommitFailed as error:
        if error.refuses_all or await journal.checkpoint(about.number) is not None:
            raise
        raise CheckpointRefused(f"{path}: checkpoint {about.number} was pruned", path=path) from None
    return about
