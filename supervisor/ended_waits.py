"""What a process that begins after a death writes of waits whose time was over by then."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from treewarden.agents.core.approval import APPROVAL, Expired
from treewarden.agents.core.wait import EVENT, Wait
from treewarden.agents.errors import UnknownKind

from .core.event import Event
from .journal.commit import Commit, ReplyRow
from .noted_waits import approval_noted, read_asked, wait_noted
from .waits import over_row

if TYPE_CHECKING:
    from .common import Common

__all__ = ["note_ended"]


def note_ended(waits: Sequence[Wait], common: Common) -> None:
    """Their messages come back now: if this process dies over the first of them, it is known which that was. How those
    have ended that end by their time is written with it, once: they stay so, whatever the clock says later, and their
    handlers write nothing more of it."""
    if not waits:
        return
    replies, wall = common.replies, common.clock.wall()
    rows, facts = list[ReplyRow](), list[Event]()
    for each in waits:
        row, fact = _end(each, wall)
        rows.append(row)
        if fact is not None:
            facts.append(fact)
        replies.put(row.id, row)
    steps = [each.step for each in waits]
    replies.under_way.update(steps)  # no handler is told before it is on disk
    commit = Commit(replies=tuple(rows), events=tuple((wall, fact) for fact in facts))
    common.submit(commit, partial(replies.under_way.difference_update, steps))


def _end(wait: Wait, wall: float) -> tuple[ReplyRow, Event | None]:
    """What is stored of its end, and what the chain is told. Of a time the settle of its message tells, and of an
    approval that this code cannot read its handler."""
    if wait.what == EVENT:
        from .events import PASSED, expired_row

        return expired_row(wait, wall), wait_noted(wait, "over", text=PASSED)
    if wait.what == APPROVAL:
        from .approvals import ruled_row

        try:
            asked = read_asked(wait)
        except UnknownKind:
            return over_row(wait), None
        ruling = Expired(asked.due)
        return ruled_row(asked, ruling), approval_noted(asked, ruling)
    return over_row(wait), None
