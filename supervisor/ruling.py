"""What a person rules about an approval: in a tree that runs, and in a journal on which none does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import trio
from attrs import evolve

from treewarden.agents.core.approval import (
    APPROVAL,
    Asked,
    End,
    Verdict,
    check_verdict,
    fitting,
    key_of,
    meant,
    ruled_text,
    too_late,
)
from treewarden.agents.core.path import Path
from treewarden.agents.core.said import shown
from treewarden.agents.core.step import begun_id, done_id
from treewarden.agents.errors import AlreadyRuled, ConfigurationError
from treewarden.agents.ports import Clock

from .approvals import come_back, ruled_about, ruled_row, said_at
from .core.event import ApprovalNoted, QuestionAsked
from .effects import known_of
from .held_over import answers, asked_over, let_go
from .journal.port import START, Commit, Journal
from .noted_waits import approval_noted
from .recovery import needs_restoring
from .waits import nobody_rules, waits_of

if TYPE_CHECKING:
    from treewarden.agents.core.message import MessageId

    from .common import Common

__all__ = ["rule", "rule_at_rest"]

_AT_ONCE: Final = 1_000
"""Waits that are looked at before anybody else has a turn."""


async def rule(common: Common, path: Path, verdict: Verdict, key: str) -> Asked:
    """See `Tree.rule`."""
    verdict = _checked(path, verdict)
    while True:
        known = await _known(common, path, key)
        asked, fits = await _meant(common.journal, path, key, verdict, known, common.clock)
        if asked.step not in common.replies.under_way:
            break
        await nobody_rules((asked.step,), common)
    wall = common.clock.wall()
    ruling = evolve(fits, at=wall)
    row = ruled_row(asked, ruling)
    stored = _is_stored(asked.mail, common)
    over = asked_over(common, asked) if stored else []  # those who cannot read what was answered before
    facts = [approval_noted(asked, ruling), *answers(over, _answered(verdict))]
    common.replies.under_way.add(asked.step)  # or another one could rule otherwise meanwhile
    try:
        with trio.CancelScope(shield=True):  # what is on disk is known here
            if common.replies.get(row.id) is not None or (stored and row.id in await _kept(common.journal, asked.mail)):
                await _take_back(asked, common)
            await common.journal.commit(Commit(replies=(row,), events=tuple((wall, fact) for fact in facts)))
        if common.replies.get(begun_id(asked.step)) is not None or _is_stored(asked.mail, common):
            common.replies.put(row.id, row)
            come_back(asked, common)
    finally:
        common.replies.under_way.discard(asked.step)
    if stored:
        let_go(common, asked, verdict.by, over)
    return asked


async def rule_at_rest(journal: Journal, clock: Clock, path: Path, verdict: Verdict, key: str) -> Asked:
    """As `Tree.rule`, without the tree: the handler goes on when the next one is opened. Raises as that."""
    verdict = _checked(path, verdict)
    kept: dict[MessageId, object] = {}
    for each in sorted(journal.opened.slots):
        if each.is_within(path) or path.is_within(each):
            kept |= await _kept(journal, each)
    asked, fits = await _meant(journal, path, key, verdict, _below(path, kept), clock)
    wall = clock.wall()
    ruling = evolve(fits, at=wall)
    held = [record.event for record in await journal.questions() if isinstance(record.event, QuestionAsked)]
    over = [each.slot for each in held if asked.key in each.question]
    facts = [approval_noted(asked, ruling), *answers(over, _answered(verdict))]
    row = ruled_row(asked, ruling)
    if row.id in kept:
        await journal.commit(Commit(forget_replies=(row.id,)))
    await journal.commit(Commit(replies=(row,), events=tuple((wall, fact) for fact in facts)))
    return asked


async def _take_back(asked: Asked, common: Common) -> None:
    """An answer that nobody can read is none any more, until another one is stored right behind this."""
    await common.journal.commit(Commit(forget_replies=(done_id(asked.step),)))
    begun = common.replies.get(begun_id(asked.step))
    common.replies.drop(asked.step)
    if begun is not None:
        common.replies.put(begun_id(asked.step), begun[0])


def _answered(verdict: Verdict) -> str:
    """How it is answered whether somebody who could not read an answer is to start."""
    return f"{verdict.by} has answered anew"


def _checked(path: Path, verdict: Verdict) -> Verdict:
    try:
        return check_verdict(verdict)
    except ValueError as error:
        raise ConfigurationError(f"{path}: {error}") from None


async def _meant(
    journal: Journal,
    path: Path,
    key: str,
    verdict: Verdict,
    known: Sequence[tuple[Asked, End | None]],
    clock: Clock,
) -> tuple[Asked, Verdict]:
    """The open approval that a verdict is about, and the verdict as its handler gets it. Raises `AlreadyRuled` where it
    has ended, and `ConfigurationError` where it is not clear which one that is, or that cannot be said of it."""
    wall = clock.wall()
    ends = [(asked, too_late(asked, ruling, wall)) for asked, ruling in known]
    for asked, ruling in ends:
        if ruling is not None and key == asked.key:
            of = f"{asked.path}: the {asked.name} of {asked.kind} {asked.message}"
            raise AlreadyRuled(f"{of} {ruled_text(ruling, said_at(ruling.at))}", path=asked.path)
    try:
        asked = meant(path, key, [asked for asked, ruling in ends if ruling is None], verdict)
    except ValueError as error:
        if key:
            await _was_ruled(journal, path, key)
        raise ConfigurationError(str(error)) from None
    try:
        return asked, fitting(asked, verdict)
    except ValueError as error:
        raise ConfigurationError(str(error)) from None


async def _was_ruled(journal: Journal, path: Path, key: str) -> None:
    """Raise `AlreadyRuled` if the events of this slot know an approval of this key: its message has gone on."""
    for record in reversed(await journal.read_all(START, journal.head, path, ApprovalNoted.__name__)):
        event = record.event
        if isinstance(event, ApprovalNoted) and event.key == key:
            text = f"{path}: the {event.approval} for {event.message} {_ended(event, record.at)}"
            raise AlreadyRuled(text, path=event.path)


def _ended(event: ApprovalNoted, at: float) -> str:
    """How it has ended, by the last event about it, which is of `at`."""
    when = said_at(at)
    match event.what:
        case "asked":
            return "waits no more: its message was given up"
        case "expired":
            return f"expired at {said_at(event.until or at)}"
        case "superseded" if event.by == event.message:
            return (
                f"was superseded at {when}: {event.text or 'its handler shows something else now, under another key'}"
            )
        case "answered":
            return f"was answered by {event.by} at {when}: {shown(event.about.get('answer'))}"
        case what:
            return f"was {what} by {event.by} at {when}"


async def _known(common: Common, path: Path, key: str) -> list[tuple[Asked, End | None]]:
    """The approvals at or below `path`, also of slots that nobody has lived in since the process began: as things are
    when this returns. Where one that waits in memory has that key, only that one."""
    for step in await _called(common, key):
        kept = {id: each for id in (begun_id(step), done_id(step)) for each in common.replies.get(id) or ()}
        if found := [each for each in _below(path, kept) if each[0].key == key]:
            return found
    stored: dict[Path, dict[MessageId, object]] = {}
    for each in common.journal.opened.slots:
        if (each.is_within(path) or path.is_within(each)) and _is_stored(each, common):
            stored[each] = await _kept(common.journal, each)
    kept: dict[MessageId, object] = {}
    for each, rows in stored.items():
        if _is_stored(each, common):  # still: nothing of this is awaited any more
            kept |= rows
    return _below(path, kept | dict(common.replies.below()))


def _below(path: Path, kept: Mapping[MessageId, object]) -> list[tuple[Asked, End | None]]:
    """Those at or below `path`. What nobody can read keeps nobody from ruling about another one."""
    return [each for each in ruled_about(kept) if each[0].path.is_within(path)]


async def _called(common: Common, key: str) -> list[MessageId]:
    """The approvals in memory that have, or had, this key. With turns for everybody else, where there are many."""
    found: list[MessageId] = []
    for count, each in enumerate(waits_of(common) if key else ()):
        if count % _AT_ONCE == _AT_ONCE - 1:
            await trio.lowlevel.checkpoint()
        if each.what == APPROVAL and key_of(each.step, each.about.get("digest", ""), each.since) == key:
            found.append(each.step)
    return found


def _is_stored(path: Path, common: Common) -> bool:
    """Whether what is known of this slot is only in the journal."""
    slot = common.registry.get(path)
    return slot is None or needs_restoring(slot, common)


async def _kept(journal: Journal, path: Path) -> dict[MessageId, object]:
    return {row.id: known_of(row, []) for row in (await journal.recover(path)).replies}
