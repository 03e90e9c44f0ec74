"""`Agent.approval`: a handler that waits for a person's word."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from .core.approval import APPROVAL, Asked, Course, Ruling, about_of, check_within, course
from .core.said import check_text
from .core.wait import Wait, wait_name
from .errors import ConfigurationError
from .steps import in_hand
from .waits import journaled, park, passed, stands, waits_of

if TYPE_CHECKING:
    from .core.message import MessageId
    from .life import Life

__all__ = ["Approvals", "approval"]


class Approvals(Protocol):
    """The approvals of the handlers of one slot, as the journal knows them. Each of these may raise `CommitFailed`."""

    def shown(self, about: object) -> tuple[str, Any, str]:
        """What a person is shown of this: its kind, JSON data, and the digest of both. Raises `ConfigurationError` for
        what cannot be stored or shown."""
        ...

    async def known(self, step: MessageId) -> tuple[Asked | None, Ruling | None]:
        """What was asked at this step, if anything was, and how it has ended, if that is on disk."""
        ...

    async def begin(self, wait: Wait, asked: Asked, before: Asked | None) -> Ruling | None:
        """Make it durable that this is asked, and not any more what was asked `before` at the same step; earlier ones
        of its subject are superseded. Returns how it has ended at once, if a later one waits already."""
        ...

    async def expire(self, asked: Asked) -> Ruling:
        """Make it durable that its time is over."""
        ...


async def approval(life: Life, name: str, about: object, within: float, subject: str) -> Ruling:
    """See `OwnSteps.approval`."""
    where = f"{life.slot.path}: approval"
    waits = waits_of(life, where, name)
    turn, message, store = life.turn, in_hand(life, where), life.slot.store
    assert store is not None
    approvals = store.steps(life.slot).approvals
    try:
        seconds = check_within(within)
        check_text("subject", subject)
        of, data, digest = approvals.shown(about)
    except ValueError as error:  # a `ConfigurationError`, too
        raise ConfigurationError(f"{where}({name!r}): {error}") from None
    mail = life.slot.mail.path
    step, place = turn.step(wait_name(mail, name)), passed(turn)
    await stands(life, step, APPROVAL)
    known, ruling = await journaled(life, approvals.known(step))
    wall = life.clock.wall()
    new = Asked(
        step=step,
        name=name,
        path=life.slot.path,
        mail=mail,
        kind=type(message.body).__qualname__,
        row=message.row or 0,
        about=data,
        of=of,
        digest=digest,
        subject=subject,
        since=wall,
        due=wall + seconds,
    )
    found = waits.found(step)
    over = found is not None and found.over and ruling is None  # whatever the clock says by now
    what = course(digest, known, ruling, known.due if over and known is not None else wall)
    if what is Course.EXPIRE:
        assert known is not None
        ruling = await journaled(life, approvals.expire(known))
    elif what in (Course.BEGIN, Course.ANEW):
        found = Wait(
            step=step,
            name=name,
            what=APPROVAL,
            about=about_of(new),
            place=place,
            path=new.path,
            mail=mail,
            kind=new.kind,
            since=new.since,
            until=new.due,
        )
        ruling = await journaled(life, approvals.begin(found, new, known))
    if ruling is None:
        assert found is not None
        park(turn, found)
    return ruling
