"""`Agent.approval` and `Agent.ask_person`: a handler that waits for a person's word."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from attrs import evolve

from .core.approval import APPROVAL, Answered, Approved, Asked, Course, End, Ruling, about_of, check_within, course
from .core.question import answer_to, asked_of, question_of
from .core.said import check_text, shown
from .core.wait import Wait, wait_name
from .errors import ConfigurationError
from .steps import in_hand
from .waits import journaled, park, passed, stands, waits_of

if TYPE_CHECKING:
    from .core.approval import Expired, Refused, Superseded
    from .core.message import MessageId
    from .life import Life

__all__ = ["Approvals", "approval", "ask_person"]


class Approvals(Protocol):
    """The approvals of the handlers of one slot, as the journal knows them. Each of these may raise `CommitFailed`."""

    def shown(self, about: object) -> tuple[str, Any, str]:
        """What a person is shown of this: its kind, JSON data, and the digest of both. Raises `ConfigurationError` for
        what cannot be stored or shown."""
        ...

    async def known(self, step: MessageId) -> tuple[Asked | None, End | None]:
        """What was asked at this step, if anything was, and how it has ended, if that is on disk."""
        ...

    async def begin(self, wait: Wait, asked: Asked, before: Asked | None) -> End | None:
        """Make it durable that this is asked, and not any more what was asked `before` at the same step; earlier ones
        of its subject are superseded. Returns how it has ended at once, if a later one waits already."""
        ...

    async def expire(self, asked: Asked) -> End:
        """Make it durable that its time is over."""
        ...


async def approval(life: Life, name: str, about: object, within: float, subject: str) -> Ruling:
    """See `OwnSteps.approval`."""
    end = await _ask(life, "approval", name, about, within, subject)
    if isinstance(end, Answered):
        raise _no_end(life, f"approval({name!r})", end, "Approved('ada')")
    return end


async def ask_person(
    life: Life, name: str, prompt: str, choices: Sequence[str], returns: type[Any], within: float, subject: str
) -> Answered[Any] | Refused | Expired | Superseded:
    """See `OwnSteps.ask_person`."""
    try:
        about = question_of(prompt, choices, returns)
    except ValueError as error:
        raise ConfigurationError(f"{life.slot.path}: ask_person({name!r}): {error}") from None
    end = await _ask(life, "ask_person", name, about, within, subject)
    if isinstance(end, Approved):
        raise _no_end(life, f"ask_person({name!r})", end, "Answered('ada', 'yes')")
    if isinstance(end, Answered):
        try:  # of what only a test can say, too: on disk it was looked at when it was said
            return evolve(end, value=answer_to(asked_of(about), end.value))
        except ValueError as error:
            raise ConfigurationError(
                f"{life.slot.path}: ask_person({name!r}): waits says what nobody could: {error}"
            ) from None
    return end


def _no_end(life: Life, where: str, end: End, as_in: str) -> ConfigurationError:
    """Of what only a test can say: on disk each has its own end."""
    return ConfigurationError(
        f"{life.slot.path}: {where}: waits says {shown(end)} of it; say how it has ended, as {as_in}"
    )


async def _ask(life: Life, word: str, name: str, about: object, within: float, subject: str) -> End:
    where = f"{life.slot.path}: {word}"
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
