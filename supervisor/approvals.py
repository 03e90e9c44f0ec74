"""Approvals of handlers in the journal: waits for what a person says, and how each has ended."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import trio
from attrs import evolve

from treewarden.agents.core.approval import (
    APPROVAL,
    Answered,
    Approved,
    Asked,
    End,
    Expired,
    Refused,
    Superseded,
    asked_for,
    digest_of,
    fitting,
)
from treewarden.agents.core.message import MessageId
from treewarden.agents.core.question import QUESTION, Question, asked_of
from treewarden.agents.core.step import begun_id, done_id
from treewarden.agents.core.wait import MARK, WAITS, Wait, replaced_by
from treewarden.agents.errors import CommitFailed, ConfigurationError, UnknownKind
from treewarden.agents.slot import Slot

from .core.event import Event
from .journal.canonical import dump, dump_sorted, load
from .journal.codec import Codec
from .journal.commit import Commit, ReplyRow
from .journal.plain import PLAIN
from .journal.scalars import Mismatch
from .noted_waits import RULED_AS, approval_noted, ends, read_asked
from .waits import arm, instead, nobody_rules, row_of, waits_of

if TYPE_CHECKING:
    from .common import Common

__all__ = [
    "RULED",
    "SlotApprovals",
    "come_back",
    "known_in",
    "ruled_about",
    "ruled_row",
    "ruling_in",
    "said_at",
    "what_is_shown",
]

RULED: Final = "ruled"
"""The kind of what is stored of the end of an approval: no value of a user's is stored under it."""
_VERSION: Final = 1
_MOST: Final = 20_000
"""Characters of what a person is shown."""
_PLAIN: Final = frozenset({dict, list, str, int, float, bool, type(None)})
_RULINGS: Final = {name: kind for kind, name in RULED_AS.items()}


def what_is_shown(about: object) -> tuple[str, Any, str]:
    """What a person is shown of `about`: its kind (`data` for plain data), the data, and the digest of both.

    Raises `ConfigurationError` for what cannot be stored, and for what nobody can read.
    """
    named = ""
    if isinstance(about, Question):
        kind, body = QUESTION, dump_sorted(asked_of(about))
    elif type(about) in _PLAIN:
        kind = "data"
        try:
            body = dump_sorted(PLAIN.encode(about))
            load(body)
        except (Mismatch, TypeError, ValueError, RecursionError) as error:
            raise ConfigurationError(f"what is to be approved cannot be stored: {error}") from None
    else:
        codec = Codec((type(about),))
        kind, _, body, large = codec.encode_row(about)
        body, named = body if large is None else large.text(), codec.first_kind(kind)
    if len(body) > _MOST:
        raise ConfigurationError(
            f"what is to be approved has {len(body):,} characters as JSON, and a person is to read it: give at most "
            f"{_MOST:,}, and of what is longer a digest"
        )
    return kind, load(body), digest_of(named or kind, body)


def ruled_row(asked: Asked, ruling: End) -> ReplyRow:
    """What is stored when it has ended."""
    data: dict[str, Any] = {"key": asked.key, "what": RULED_AS[type(ruling)], "at": ruling.at}
    match ruling:
        case Approved():
            data |= {"by": ruling.by, "comment": ruling.comment}
        case Refused():
            data |= {"by": ruling.by, "reason": ruling.reason}
        case Answered():
            data |= {"by": ruling.by, "value": ruling.value}
        case Superseded():
            data |= {"by_message": ruling.by_message}
        case Expired():
            pass
    return ReplyRow(done_id(asked.step), asked.mail, RULED, dump(data), _VERSION)


def ruling_in(row: ReplyRow, asked: Asked) -> End | None:
    """How this approval has ended, as it is stored; None if that is about another one, which had its place.

    Raises `UnknownKind` for a row that this code cannot read.
    """
    ruling = _stored_in(row, asked)
    return _fitting(asked, ruling) if isinstance(ruling, Answered) else ruling


def _stored_in(row: ReplyRow, asked: Asked) -> End | None:
    if row.kind == WAITS:  # its time was over when a process began
        return Expired(asked.due)
    try:
        data: dict[str, Any] = load(row.body)
        if row.kind != RULED or row.version != _VERSION:
            raise ValueError(f"it is of kind {row.kind}, version {row.version}")
        key, ruling = data.pop("key"), _RULINGS[data.pop("what")](**data)
        return ruling if key == asked.key else None
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UnknownKind(f"the end of the approval {asked.step} cannot be read by this code: {error}") from error


def _fitting(asked: Asked, answer: Answered[Any]) -> End:
    """`answer`, unless a bundle has left out what was said."""
    try:
        return fitting(asked, answer)
    except ValueError as error:
        raise UnknownKind(
            f"the end of the approval {asked.step} cannot be read by this code: {error}; answer it anew, by its key "
            f"{asked.key}"
        ) from error


def known_in(kept: Mapping[MessageId, object]) -> list[tuple[Asked, End | None]]:
    """The approvals among what is kept, the oldest first, and how each has ended if it has. Raises `UnknownKind`."""
    found: list[tuple[Asked, End | None]] = []
    for wait in [each for each in kept.values() if isinstance(each, Wait) and each.what == APPROVAL]:
        asked = read_asked(wait)
        row = kept.get(done_id(wait.step))
        ruling = ruling_in(row, asked) if isinstance(row, ReplyRow) else Expired(asked.due) if wait.over else None
        found.append((asked, ruling))
    return sorted(found, key=lambda each: (each[0].since, each[0].step))


def ruled_about(kept: Mapping[MessageId, object]) -> list[tuple[Asked, End | None]]:
    """As `known_in`, for whoever rules: what nobody can read is not among them, and where what was answered does not
    fit it waits for another answer, for as long as that takes."""
    found: list[tuple[Asked, End | None]] = []
    for id, wait in kept.items():
        if not isinstance(wait, Wait):
            continue
        pair = {id: wait, done_id(wait.step): kept.get(done_id(wait.step))}
        try:
            found += known_in(pair)
        except UnknownKind:
            row = pair[done_id(wait.step)]
            with suppress(UnknownKind):
                asked = read_asked(wait)
                if isinstance(row, ReplyRow) and isinstance(_stored_in(row, asked), Answered):
                    found.append((evolve(asked, due=math.inf), None))
    return sorted(found, key=lambda each: (each[0].since, each[0].step))


class SlotApprovals:
    """The `Approvals` of one slot. What is known of them is with the tree's replies, as of all waits."""

    def __init__(self, slot: Slot, common: Common) -> None:
        self._slot = slot
        self._common = common

    def shown(self, about: object) -> tuple[str, Any, str]:
        return what_is_shown(about)

    async def known(self, step: MessageId) -> tuple[Asked, End | None] | tuple[None, None]:
        await nobody_rules((step,), self._common)
        kept = {id: known[0] for id in (begun_id(step), done_id(step)) if (known := self._common.replies.get(id))}
        found = known_in(kept)
        if not found:
            return None, None
        ((asked, ruling),) = found
        row = kept.get(done_id(step))
        said = isinstance(row, ReplyRow) and row.kind == RULED
        return asked, ruling if said else None  # that its time is over is said by `expire`

    async def begin(self, wait: Wait, asked: Asked, before: Asked | None) -> Superseded | None:
        common, replies, wall = self._common, self._common.replies, asked.since
        of_subject = _of_subject(asked)
        others = self._open_beside(asked)
        while not replies.under_way.isdisjoint(beside := [*of_subject, *(each.step for each in others)]):
            await nobody_rules(beside, common)
            others = self._open_beside(asked)  # by then another one may have begun
        earlier, at_once = asked_for(asked, others, wall)
        ended = [(each, Superseded(wall, asked.message)) for each in earlier]
        ended += [(asked, at_once)] if at_once is not None else []
        rows, row = [ruled_row(each, ruling) for each, ruling in ended], row_of(wait)
        gone = replaced_by(wait, waits_of(common, wait.message))
        replaced = [each.step for each in gone]
        facts: list[Event] = [*ends(gone, instead(wait), common), approval_noted(asked)]
        facts += [approval_noted(each, ruling) for each, ruling in ended]
        ids = [begun_id(asked.step), done_id(asked.step)]
        saved = [(id, known) for id in ids for known in replies.get(id) or ()]
        steps = [asked.step, *of_subject, *(each.step for each, _ in ended)]
        if before is not None:
            fact: Event = approval_noted(before, Superseded(wall, asked.message))
            forget = Commit(by=self._slot.path, forget_replies=(f"{asked.step}>",), events=((wall, fact),))
            common.journal.submit(forget, common.heard)  # what is queued next rests on it
            replies.drop(asked.step)
        commit = Commit(
            by=self._slot.path,
            replies=(row, *rows),
            forget_replies=tuple(f"{step}>" for step in replaced),
            events=tuple((wall, each) for each in facts),
        )
        replies.under_way.update(steps)
        try:
            with trio.CancelScope(shield=True):  # what is on disk is known here
                await common.journal.commit(commit)
        except CommitFailed as error:
            common.heard(error)
            for id, known in saved:
                replies.put(id, known)
            raise
        finally:
            replies.under_way.difference_update(steps)
        for step in replaced:
            replies.drop(step)
        replies.put(row.id, wait)
        for each in rows:
            replies.put(each.id, each)
        for each in earlier:
            come_back(each, common)
        return at_once

    async def expire(self, asked: Asked) -> Expired:
        common, ruling = self._common, Expired(asked.due)
        row = ruled_row(asked, ruling)
        fact: Event = approval_noted(asked, ruling)
        common.replies.under_way.add(asked.step)
        try:
            with trio.CancelScope(shield=True):
                await common.journal.commit(
                    Commit(by=self._slot.path, replies=(row,), events=((common.clock.wall(), fact),))
                )
            common.replies.put(row.id, row)
        except CommitFailed as error:
            common.heard(error)
            raise
        finally:
            common.replies.under_way.discard(asked.step)
        return ruling

    def _open_beside(self, asked: Asked) -> list[Asked]:
        """The approvals of the same mailbox that are open."""
        if not asked.subject:
            return []
        replies = self._common.replies
        alike = [
            each
            for each in waits_of(self._common)
            if each.what == APPROVAL and each.mail == asked.mail and each.about.get("subject") == asked.subject
        ]
        kept: dict[MessageId, object] = {begun_id(each.step): each for each in alike}
        for each in alike:
            kept |= {done_id(each.step): known for known in replies.get(done_id(each.step)) or ()}
        return [each for each, ruling in known_in(kept) if ruling is None]


def _of_subject(asked: Asked) -> list[MessageId]:
    """What is under way while one of this subject begins: of two workers of a pool the second looks when the first has
    begun. No step is called so."""
    return [f"{asked.mail}{MARK}{digest_of(asked.name, asked.subject)}"] if asked.subject else []


def said_at(wall: float) -> str:
    """A time as people read it."""
    return datetime.fromtimestamp(wall, UTC).isoformat(sep=" ", timespec="seconds")


def come_back(asked: Asked, common: Common) -> None:
    """It has ended: its message, if it is parked, comes back."""
    slot = common.registry.get(asked.mail)
    parked = None if slot is None else slot.parked
    envelope = None if parked is None else parked.take(asked.message)
    if slot is not None and envelope is not None:
        slot.come_back([envelope])
        arm(slot, common)
