"""What handlers wait for: in a tree that runs, and in a journal on which none does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from attrs import evolve

from treewarden.agents.core.approval import APPROVAL
from treewarden.agents.core.path import Path
from treewarden.agents.core.step import begun_id, done_id, step_of
from treewarden.agents.core.values import frozen
from treewarden.agents.core.wait import WAITS, Wait, is_over, open_waits
from treewarden.agents.errors import UnknownKind

from .journal.commit import ReplyRow
from .noted_waits import read_asked
from .recovery import needs_restoring
from .waits import wait_of, waits_of

if TYPE_CHECKING:
    from .common import Common

__all__ = ["OpenWait", "open_waits_in", "open_waits_of", "parked_in"]


@frozen(kw_only=True)
class OpenWait:
    """A wait of a handler that is not over, as far as anybody has looked."""

    path: Path
    """Whose handler waits."""
    wait: str
    """Its name."""
    what: str
    """What is waited for: `time`, `event`, `approval`."""
    about: Any
    """Of an event its name; of an approval what is to be approved, as JSON data."""
    message: str
    kind: str
    """Of the message that is parked."""
    since: float
    """Wall seconds."""
    until: float | None
    """Wall seconds; None: for as long as it takes."""
    key: str = ""
    """Of an approval: what `Tree.rule` takes. Another one, where anything else is to be approved."""
    of: str = ""
    """Of an approval: the kind of what is to be approved."""
    subject: str = ""
    """Of an approval: whom or what it concerns, if that was said."""


async def open_waits_of(common: Common, path: Path) -> tuple[OpenWait, ...]:
    """See `Tree.waits`."""
    found = {each.step: each for each in waits_of(common)}
    done = {step for step in found if common.replies.get(done_id(step)) is not None}
    for each in common.journal.opened.slots:
        slot = common.registry.get(each)
        if (each.is_within(path) or path.is_within(each)) and (slot is None or needs_restoring(slot, common)):
            held = await common.journal.recover(each)
            waits, ended = _read(held.replies)
            found |= {wait.step: wait for wait in waits}
            done |= ended
    return _shown([each for each in open_waits(found.values(), done).values() if not each.over], path)


def open_waits_in(rows: Iterable[ReplyRow], path: Path) -> tuple[OpenWait, ...]:
    """Those of these rows, of a file, at or below `path`. Raises `UnknownKind` for what this code cannot read."""
    waits, done = _read(rows)
    return _shown(open_waits(waits, done).values(), path)


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


def _read(rows: Iterable[ReplyRow]) -> tuple[list[Wait], set[str]]:
    """What has begun, and the steps that are over."""
    kept = {row.id: row for row in rows}
    waits = [wait_of(row) for row in kept.values() if row.kind == WAITS and row.id == begun_id(step_of(row.id))]
    return waits, {wait.step for wait in waits if done_id(wait.step) in kept}


def _shown(waits: Iterable[Wait], path: Path) -> tuple[OpenWait, ...]:
    """In the order in which they began."""
    found = sorted((each for each in waits if each.path.is_within(path)), key=lambda each: (each.since, each.step))
    return tuple(map(_as_open, found))


def _as_open(wait: Wait) -> OpenWait:
    open = OpenWait(
        path=wait.path,
        wait=wait.name,
        what=wait.what,
        about=wait.about,
        message=wait.message,
        kind=wait.kind,
        since=wait.since,
        until=wait.until,
    )
    if wait.what != APPROVAL:
        return open
    asked = read_asked(wait)
    return evolve(open, about=asked.about, key=asked.key, of=asked.of, subject=asked.subject)
