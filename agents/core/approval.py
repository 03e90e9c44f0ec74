"""Approvals: a handler that waits for a person's word. What is approved is what was shown, and of several who say
something one is heard. What is known of an approval is what was journaled; nobody here acts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from enum import Enum
from typing import Any, ClassVar, Final, Generic, TypeAlias, TypeVar, cast

from attrs import evolve, field

from .message import MessageId
from .path import Path
from .question import QUESTION, answer_to
from .said import check_text, is_number, listed, plural, shown
from .step import message_of
from .values import frozen
from .wait import Wait

__all__ = [
    "APPROVAL",
    "DAY",
    "Answered",
    "Approved",
    "Asked",
    "Course",
    "End",
    "Expired",
    "Refused",
    "Ruling",
    "Superseded",
    "Verdict",
    "about_of",
    "asked_for",
    "asked_in",
    "check_verdict",
    "check_within",
    "course",
    "digest_of",
    "fitting",
    "key_of",
    "meant",
    "ruled_text",
    "too_late",
]

APPROVAL: Final = "approval"
"""What is waited for, of waits."""
DAY: Final = 86_400.0
"""Seconds in which somebody has to say something, if nothing else is said."""
_LONGEST: Final = 10 * 366 * DAY
_LONGEST_NAME: Final = 200
_DIGEST: Final = 32
_KEY: Final = 6
"""Bytes of a digest, and of a key: what a person copies."""

R = TypeVar("R")


@frozen
class Approved:
    """A person has approved what was shown."""

    approved: ClassVar[bool] = True

    by: str
    at: float = 0.0
    """Wall seconds; whoever takes the ruling down says when that is."""
    comment: str = ""


@frozen
class Refused:
    """A person has refused it."""

    approved: ClassVar[bool] = False

    by: str
    at: float = 0.0
    """As in `Approved`."""
    reason: str = ""


@frozen
class Answered(Generic[R]):
    """A person has answered what was asked."""

    by: str
    value: R
    at: float = 0.0
    """As in `Approved`."""


@frozen
class Expired:
    """Nobody has said anything in time."""

    approved: ClassVar[bool] = False

    at: float
    """Wall seconds: when the time was over."""


@frozen
class Superseded:
    """A later message asks for the same, for the same subject: this one is not needed any more."""

    approved: ClassVar[bool] = False

    at: float
    by_message: MessageId


Verdict: TypeAlias = Approved | Refused | Answered[Any]
"""What a person says."""
Ruling: TypeAlias = Approved | Refused | Expired | Superseded
"""How an approval has ended."""
End: TypeAlias = Ruling | Answered[Any]
"""How an approval, or a question, has ended."""


@frozen(kw_only=True)
class Asked:
    """An approval that a handler has asked for."""

    step: MessageId
    name: str
    path: Path
    """Whose handler asked."""
    mail: Path
    """Where its message stands."""
    kind: str
    """Of the message in hand."""
    row: int = 0
    """Where that stands among all that were told."""
    about: Any = field(hash=False)
    """What is to be approved, as JSON data."""
    of: str = ""
    """The kind under which a value of that class is stored; of a question `question`."""
    digest: str
    """Of `about`: a ruling is about this, and nothing else."""
    subject: str = ""
    since: float
    due: float
    """Wall seconds: when it began, and when it expires."""

    @property
    def message(self) -> MessageId:
        return message_of(self.step)

    @property
    def key(self) -> str:
        """By which a person names it: another one, where anything else is to be approved, or the same once more."""
        return key_of(self.step, self.digest, self.since)


class Course(Enum):
    """What to do when a handler comes to an approval."""

    BEGIN = "begin"
    """Nothing is known of it: ask for it."""
    WAIT = "wait"
    """It was asked for, and nobody has said anything yet."""
    END = "end"
    """It has ended, and its ruling stands."""
    EXPIRE = "expire"
    """Its time is over, and nobody has said so yet: that is how it ends."""
    ANEW = "anew"
    """It is about something else now: what was asked or said before is superseded, and it begins again."""


def about_of(asked: Asked) -> dict[str, Any]:
    """What its wait is about, as data."""
    return {"about": asked.about, "of": asked.of, "digest": asked.digest, "subject": asked.subject, "row": asked.row}


def asked_in(wait: Wait) -> Asked:
    """The approval for which this wait waits. Raises `ValueError` for one that nobody can read."""
    try:
        about: dict[str, Any] = wait.about
        if wait.until is None:
            raise TypeError("it never expires")
        return Asked(
            step=wait.step,
            name=wait.name,
            path=wait.path,
            mail=wait.mail,
            kind=wait.kind,
            since=wait.since,
            due=wait.until,
            **about,
        )
    except TypeError as error:
        raise ValueError(f"the approval {wait.step} cannot be read by this code: {error}") from error


def course(digest: str, asked: Asked | None, ruling: End | None, now: float) -> Course:
    """What to do about an approval of what has this digest, where `asked` is known and ended with `ruling`.

    A person's word is about what was shown. That time is over, or that it is not needed any more, is not.
    """
    if asked is None:
        return Course.BEGIN
    same = asked.digest == digest
    if ruling is None:
        if now >= asked.due:
            return Course.EXPIRE
        return Course.WAIT if same else Course.ANEW
    return Course.END if same or not isinstance(ruling, (Approved, Refused, Answered)) else Course.ANEW


def asked_for(asked: Asked, others: Iterable[Asked], now: float) -> tuple[list[Asked], Superseded | None]:
    """Which of the `others`, the open approvals of the same mailbox, this one supersedes; and how it ends itself at
    once, if one of a later message has begun already."""
    if not asked.subject:
        return [], None
    alike = [
        each
        for each in others
        if (each.name, each.subject) == (asked.name, asked.subject) and each.message != asked.message
    ]
    later = [each for each in alike if each.row > asked.row]
    if later:
        return [], Superseded(now, max(later, key=lambda each: each.row).message)
    return alike, None


def meant(path: Path, key: str, found: Sequence[Asked], verdict: Verdict) -> Asked:
    """The one of the open approvals `found` that a verdict is about. Raises `ValueError` with the remedy."""
    fitting = [each for each in found if each.key == key] if key else list(found)
    word, what = ("answered", "question") if isinstance(verdict, Answered) else ("approved", "approval")
    if not key and not isinstance(verdict, Refused):
        which = f": {_listed(found)}" if found else ""
        raise ValueError(f"{path}: name the key of what is {word}, so that it is what was shown{which}")
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise ValueError(
            f"{path}: {plural(len(fitting), 'approval')} wait there; name the key of one: {_listed(found)}"
        )
    none = f"no {what} with the key {shown(key)} waits there" if key else f"no {what} waits there"
    others = f", but {_listed(found)}" if found else ""
    raise ValueError(f"{path}: {none}{others}; waits() of the tree, or `treewarden waits FILE.db`, lists those that do")


def fitting(asked: Asked, verdict: Verdict) -> Verdict:
    """`verdict`, if it can be said of this, with the answer as its handler gets it. Raises `ValueError` with the
    remedy."""
    if isinstance(verdict, Refused):
        return verdict
    of = f"{asked.path}: the {asked.name} of {asked.kind} {asked.message}"
    if isinstance(verdict, Approved):
        if asked.of == QUESTION:
            raise ValueError(
                f"{of} is a question, which nobody approves; answer it, as with Answered(by=..., value=...)"
            )
        return verdict
    if asked.of != QUESTION:
        raise ValueError(f"{of} is no question, and has no answer; approve or refuse it")
    try:
        return evolve(verdict, value=answer_to(asked.about, verdict.value))
    except ValueError as error:
        raise ValueError(f"{of}: {error}") from None


def too_late(asked: Asked, ruling: End | None, now: float) -> End | None:
    """Why nothing can be said of it any more: how it has ended. None: it still waits."""
    if ruling is not None:
        return ruling
    return Expired(asked.due) if now >= asked.due else None


def ruled_text(ruling: End, when: str) -> str:
    """How an approval has ended, as the end of a sentence; `when` is its time as people read it."""
    match ruling:
        case Approved():
            return f"was approved by {ruling.by} at {when}"
        case Refused():
            return f"was refused by {ruling.by} at {when}{f': {ruling.reason}' if ruling.reason else ''}"
        case Answered():
            return f"was answered by {ruling.by} at {when}: {shown(ruling.value)}"
        case Expired():
            return f"expired at {when}"
        case Superseded():
            return f"was superseded at {when} by {ruling.by_message}"


def check_verdict(verdict: object) -> Verdict:
    """`verdict`, if a person can say it. Raises `ValueError` naming the field, its value and the remedy."""
    if not isinstance(verdict, (Approved, Refused, Answered)):
        raise ValueError(
            f"{shown(verdict)} is no ruling of a person; give Approved(by=...) or Refused(by=...), or of a question "
            "Answered(by=..., value=...)"
        )
    by: Any = verdict.by
    if not isinstance(by, str) or not by.strip() or not by.isprintable() or len(by) > _LONGEST_NAME:
        raise ValueError(f"by is {shown(by)}; it must say who rules, in one line of at most {_LONGEST_NAME} characters")
    check_text("by", by)
    if isinstance(verdict, Approved):
        check_text("comment", verdict.comment)
    elif isinstance(verdict, Refused):
        check_text("reason", verdict.reason)
    return cast("Verdict", verdict)


def check_within(within: object) -> float:
    """`within`, if an approval can wait so long. Raises `ValueError` with the remedy."""
    if not is_number(within) or not 0.0 < within <= _LONGEST:
        raise ValueError(
            f"within is {shown(within)}; give the seconds in which somebody has to say something, as 86_400"
        )
    return float(within)


def digest_of(kind: str, body: str) -> str:
    """Of what is to be approved, by its kind and its canonical JSON.

    >>> digest_of("desk:Pay", '{"cents":5}') != digest_of("desk:Pay", '{"cents":50}')
    True
    """
    return hashlib.blake2b(f"{kind}\n{body}".encode(), digest_size=_DIGEST).hexdigest()


def key_of(step: MessageId, digest: str, since: float) -> str:
    """See `Asked.key`."""
    return hashlib.blake2b(f"{step} {digest} {since!r}".encode(), digest_size=_KEY).hexdigest()


def _listed(found: Sequence[Asked]) -> str:
    return listed([f"{each.key} ({each.name} of {each.kind})" for each in found])
