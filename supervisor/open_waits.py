"""What handlers wait for: in a tree that runs, and in a journal on which none does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from attrs import define, evolve, field

from treewarden.agents.core.approval import APPROVAL
from treewarden.agents.core.message import MessageId
from treewarden.agents.core.path import Path
from treewarden.agents.core.question import QUESTION
from treewarden.agents.core.step import begun_id, done_id, is_step, message_of, step_of
from treewarden.agents.core.values import frozen
from treewarden.agents.core.wait import MARK, WAITS, Wait, is_over, open_waits
from treewarden.agents.errors import UnknownKind

from .approvals import ruling_in
from .journal.commit import ReplyRow
from .journal.slices import at_once
from .noted_waits import read_asked
from .recovery import needs_restoring
from .unhurried import unhurried
from .waits import wait_of

if TYPE_CHECKING:
    from .common import Common
    from .journal.slices import Slices

__all__ = ["OpenWait", "open_waits_in", "open_waits_of", "parked_in"]

_AT_ONCE: Final = 256
"""Waits that are looked at before anybody else has a turn."""


@frozen(kw_only=True)
class OpenWait:
    """A wait of a handler that is not over, as far as anybody has looked."""

    path: Path
    """Whose handler waits."""
    wait: str
    """Its name."""
    what: str
    """What is waited for: `time`, `event`, `approval`, `question`."""
    about: Any
    """Of an event its name; of an approval what is to be approved, as JSON data; of a question its `prompt`, `choices`
    (none where the answer is free) and what it `returns`: `str`, `int` or `float`."""
    message: str
    kind: str
    """Of the message that is parked."""
    since: float
    """Wall seconds."""
    until: float | None
    """Wall seconds; None: for as long as it takes."""
    key: str = ""
    """Of an approval or a question: what `Tree.rule` takes. Another one, where anything else is shown."""
    of: str = ""
    """Of an approval: the kind of what is to be approved; of a question `question`."""
    subject: str = ""
    """Of an approval or a question: whom or what it concerns, if that was said."""
    unread: str = ""
    """Why this code cannot read it, or what was answered, and holds its agent; an answer can be given anew. Of a wait
    that it cannot read only its mailbox (`path`), name and message are known."""


async def open_waits_of(common: Common, path: Path) -> tuple[OpenWait, ...]:
    """See `Tree.waits`."""
    stored: dict[Path, Sequence[ReplyRow]] = {}
    for each in common.journal.opened.slots:
        if (each.is_within(path) or path.is_within(each)) and _is_stored(each, common):
            stored[each] = (await common.journal.recover(each)).replies
    # From here on it is about one moment: what comes to be known between the slices is no part of it.
    rows = [row for each, found in stored.items() if _is_stored(each, common) for row in found]
    return await unhurried(_listed(common.replies.below(), rows, path))


def _is_stored(path: Path, common: Common) -> bool:
    """Whether what is known of this slot is only in the journal."""
    slot = common.registry.get(path)
    return slot is None or needs_restoring(slot, common)


def open_waits_in(rows: Iterable[ReplyRow], path: Path) -> tuple[OpenWait, ...]:
    """Those of these rows, of a file, at or below `path`."""
    stored = at_once(_read(tuple(rows)))
    return at_once(_shown(open_waits(stored.known.values(), stored.done).values(), stored, path))


def parked_in(rows: Iterable[ReplyRow], wall: float) -> Counter[Path]:
    """How many messages are parked in each mailbox of a file at this wall time. What this code cannot read is not."""
    found: dict[str, Wait] = {}
    done = set[str]()
    for row in rows:
        step = step_of(row.id)
        if row.id == done_id(step):
            done.add(step)
        elif row.kind == WAITS:
            with suppress(UnknownKind):
                found[step] = wait_of(row)
    open = open_waits(found.values(), done).values()
    return Counter(each.mail for each in open if not is_over(each, wall))


def _listed(
    kept: Sequence[tuple[MessageId, object]], rows: Sequence[ReplyRow], path: Path
) -> Slices[tuple[OpenWait, ...]]:
    """The open waits of what is known in memory, and of rows that nobody has read yet."""
    stored = yield from _read(rows)
    known, done = stored.known, stored.done
    ids: set[MessageId] = set()
    for count, (id, each) in enumerate(kept, 1):
        if count % _AT_ONCE == 0:
            yield
        ids.add(id)
        if isinstance(each, Wait) and is_step(id):
            known[each.step] = each
    yield
    done.update([step for step in known if done_id(step) in ids])
    yield
    waiting = open_waits(known.values(), done).values()
    return (yield from _shown([each for each in waiting if not each.over], stored, path))


@define
class _Stored:
    """What rows say of waits."""

    known: dict[MessageId, Wait] = field(factory=dict[MessageId, Wait])
    """What has begun, by its step."""
    done: set[MessageId] = field(factory=set[MessageId])
    """The steps that are over."""
    unread: dict[MessageId, str] = field(factory=dict[MessageId, str])
    """Why the end of a step cannot be read."""
    strange: list[OpenWait] = field(factory=list[OpenWait])
    """What cannot be read at all."""


def _read(rows: Sequence[ReplyRow]) -> Slices[_Stored]:
    stored = _Stored()
    ends = {row.id: row for row in rows}
    for count, row in enumerate(rows, 1):
        if count % _AT_ONCE == 0:
            yield
        if row.kind == WAITS and row.id == begun_id(step_of(row.id)):
            _take(row, ends.get(done_id(step_of(row.id))), stored)
    return stored


def _take(row: ReplyRow, end: ReplyRow | None, stored: _Stored) -> None:
    try:
        wait = wait_of(row)
    except UnknownKind as error:
        stored.strange.append(_as_strange(row, str(error)))
        return
    stored.known[wait.step] = wait
    if end is None:
        return
    try:
        if wait.what == APPROVAL:
            ruling_in(end, read_asked(wait))
        stored.done.add(wait.step)
    except UnknownKind as error:
        stored.unread[wait.step] = str(error)


def _shown(waits: Iterable[Wait], stored: _Stored, path: Path) -> Slices[tuple[OpenWait, ...]]:
    """In the order in which they began; behind them those that cannot be read."""
    found = sorted((each for each in waits if each.path.is_within(path)), key=lambda each: (each.since, each.step))
    shown: list[OpenWait] = []
    for start in range(0, len(found), _AT_ONCE):
        yield
        shown += [_as_open(each, stored.unread.get(each.step, "")) for each in found[start : start + _AT_ONCE]]
    return (*shown, *[each for each in stored.strange if each.path.is_within(path)])


def _as_strange(row: ReplyRow, unread: str) -> OpenWait:
    step = step_of(row.id)
    name = step.rpartition(MARK)[2].rpartition(".")[0]
    return OpenWait(
        path=row.path, wait=name, what="", about=None, message=message_of(step), kind="", since=0.0, until=None,
        unread=unread,
    )  # fmt: skip


def _as_open(wait: Wait, unread: str) -> OpenWait:
    open = OpenWait(
        path=wait.path,
        wait=wait.name,
        what=wait.what,
        about=wait.about,
        message=wait.message,
        kind=wait.kind,
        since=wait.since,
        until=wait.until,
        unread=unread,
    )
    if wait.what != APPROVAL:
        return open
    try:
        asked = read_asked(wait)
    except UnknownKind as error:
        return evolve(open, unread=str(error))
    what = QUESTION if asked.of == QUESTION else APPROVAL
    return evolve(open, what=what, about=asked.about, key=asked.key, of=asked.of, subject=asked.subject)
