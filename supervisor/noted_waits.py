"""What the chain is told of waits and approvals: that one begins, and how it ends, also where nobody comes to it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

from treewarden.agents.core.approval import (
    APPROVAL,
    Answered,
    Approved,
    Asked,
    End,
    Expired,
    Refused,
    Superseded,
    asked_in,
)
from treewarden.agents.core.step import done_id
from treewarden.agents.core.wait import WAITS, Wait, is_over
from treewarden.agents.errors import UnknownKind

from .core.event import ApprovalNoted, Event, WaitNoted
from .journal.commit import ReplyRow

if TYPE_CHECKING:
    from .common import Common

__all__ = ["PASSED_BY", "RULED_AS", "approval_noted", "ends", "read_asked", "wait_noted"]

RULED_AS: Final[Mapping[type[End], str]] = {
    Approved: "approved",
    Refused: "refused",
    Answered: "answered",
    Expired: "expired",
    Superseded: "superseded",
}
PASSED_BY: Final = "passed by"


def wait_noted(wait: Wait, what: str, by: str = "", text: str = "") -> WaitNoted:
    """What has become of a wait, as a fact."""
    return WaitNoted(
        path=wait.path,
        message=wait.message,
        wait=wait.name,
        what=what,
        kind=wait.what,
        about=wait.about,
        until=wait.until,
        by=by,
        text=text,
    )


def approval_noted(asked: Asked, ruling: End | None = None, text: str = "") -> ApprovalNoted:
    """That it was asked for, or how it has ended, as a fact. `text` says why, where no person does."""
    what, by, about, until = "asked", "", {asked.of: asked.about}, asked.due
    if ruling is not None:
        what, about, until = RULED_AS[type(ruling)], {}, 0.0
    match ruling:
        case Approved():
            by, text = ruling.by, ruling.comment
        case Refused():
            by, text = ruling.by, ruling.reason
        case Answered():
            by, about = ruling.by, {"answer": ruling.value}
        case Superseded():
            by = ruling.by_message
        case Expired():
            until = ruling.at
        case None:
            pass
    return ApprovalNoted(
        path=asked.path, message=asked.message, approval=asked.name, key=asked.key, what=what, by=by, text=text,
        digest=asked.digest, subject=asked.subject, about=about, until=until,
    )  # fmt: skip


def read_asked(wait: Wait) -> Asked:
    """The approval for which this wait waits. Raises `UnknownKind` for one that this code cannot read."""
    try:
        return asked_in(wait)
    except ValueError as error:
        raise UnknownKind(str(error)) from error


def ends(waits: Iterable[Wait], text: str, common: Common) -> list[Event]:
    """How these end that their handler does not come to any more, which `text` explains; but for those of which the
    journal says already how they have ended, or is about to.

    Raises `UnknownKind` for an approval that this code cannot read.
    """
    return [fact for each in waits if (fact := _end(each, text, common)) is not None]


def _end(wait: Wait, text: str, common: Common) -> Event | None:
    replies = common.replies
    known = replies.get(done_id(wait.step))
    row = None if known is None else known[0]
    back = row is not None and wait.step not in replies.replaced  # its message has come back, and it ends with this
    under_way = wait.step in replies.under_way and not back
    if under_way or (isinstance(row, ReplyRow) and row.kind != WAITS):
        return None
    if wait.what != APPROVAL:
        return wait_noted(wait, PASSED_BY, text=text)
    asked, wall = read_asked(wait), common.clock.wall()
    expired = row is not None or is_over(wait, wall)
    return approval_noted(asked, Expired(asked.due) if expired else Superseded(wall, asked.message), text)
