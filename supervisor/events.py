"""Events for which handlers wait, in the journal: which wait each of them ends, and those for which none does yet."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import trio
from attrs import evolve

from treewarden.agents.core.message import Envelope, Happened, MessageId
from treewarden.agents.core.path import Path
from treewarden.agents.core.step import begun_id, done_id
from treewarden.agents.core.wait import Wait, is_over, replaced_by
from treewarden.agents.errors import CommitFailed, UnknownKind
from treewarden.agents.events import Came
from treewarden.agents.slot import Slot

from .core.event import DeadLettered
from .journal.canonical import dump, load
from .journal.commit import Commit, DeadRow, ReplyRow
from .noted_waits import ends, wait_noted
from .results import result_codec
from .waits import arm, instead, nobody_rules, row_of, waits_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .common import Common
    from .core.event import Event

__all__ = ["HAPPENED", "PASSED", "SlotEvents", "come", "expired_row", "got_by", "match"]

HAPPENED: Final = "happened"
"""The kind of what is stored of the end of a wait for an event: no value of a user's is stored under it."""
PASSED: Final = "its time has passed"
"""How a wait has ended that no event has."""
_VERSION: Final = 1
_MOST: Final = 1_000
"""Events that are kept for one mailbox."""


class SlotEvents:
    """The `Events` of one slot. What is known of its waits is with the tree's replies, as of all waits."""

    def __init__(self, slot: Slot, common: Common) -> None:
        self._slot = slot
        self._common = common

    def check(self, returns: object) -> None:
        result_codec(returns)

    def arrived(self, envelope: Envelope) -> None:
        come(self._slot.mail, [envelope], self._common)

    def was_parked(self, event: str) -> None:
        match(self._slot.mail, event, self._common)

    async def known(self, step: MessageId, event: str) -> tuple[Wait, Came | None] | tuple[None, None]:
        await nobody_rules((step,), self._common)
        begun, done = (self._common.replies.get(id) for id in (begun_id(step), done_id(step)))
        if begun is None or not isinstance(begun[0], Wait):
            return None, None
        wait, row = begun[0], None if done is None else done[0]
        if wait.about != event:
            await self.make_room(wait, f"its handler comes to a wait for {event!r} there now")
            return None, None
        return wait, _came_in(row) if isinstance(row, ReplyRow) else None

    async def begin(self, wait: Wait) -> Came | None:
        return await self._look(wait, [row_of(wait)], replaced_by(wait, waits_of(self._common, wait.message)))

    async def go_on(self, wait: Wait) -> Came | None:
        return await self._look(wait, [], [])

    def read(self, returns: object, came: Came) -> Any:
        return result_codec(returns).read(came.value)

    async def make_room(self, wait: Wait, why: str) -> None:
        await nobody_rules((wait.step,), self._common)
        await self._give_up(wait, why, f"{wait.step}>", ends((wait,), why, self._common))
        self._common.replies.drop(wait.step)

    async def turn_down(self, wait: Wait, why: str) -> None:
        await self._give_up(wait, why, done_id(wait.step))
        replies = self._common.replies
        known = replies.get(begun_id(wait.step))
        replies.drop(wait.step)
        if known is not None:
            replies.put(begun_id(wait.step), known[0])

    async def _give_up(self, wait: Wait, why: str, forget: str, facts: Sequence[Event] = ()) -> None:
        """Make a dead letter of the event that had ended this wait, if one had, and `forget` how it has ended."""
        common, done = self._common, self._common.replies.get(done_id(wait.step))
        event = _event_in(done[0]) if done is not None and isinstance(done[0], ReplyRow) else None
        wall = common.clock.wall()
        commit = Commit(by=self._slot.path, forget_replies=(forget,), events=tuple((wall, fact) for fact in facts))
        if event is not None:
            kind, version, body, large = common.codec_of(Happened).encode_row(event.body)
            row = DeadRow(
                path=wait.mail,
                id=event.id,
                kind=kind,
                body=body,
                reason=why,
                at=wall,
                sender=event.sender,
                version=version,
                large=large,
                priority=event.priority,
            )
            fact = DeadLettered(path=wait.mail, message=event.id, kind=kind, reason=why)
            commit = evolve(commit, dead=(row,), events=((wall, fact), *commit.events))
        await self._commit(wait, commit)

    async def _look(self, wait: Wait, rows: list[ReplyRow], gone: Sequence[Wait]) -> Came | None:
        """Take an event that is kept, or see that the time has passed, and write that with what is to be written."""
        common, wall = self._common, self._common.clock.wall()
        parked = self._slot.mail.parked
        begins, event, came = bool(rows), None, None
        facts = ends(gone, instead(wait), common)
        if begins:
            facts.append(wait_noted(wait, "begun"))
        known = common.replies.get(begun_id(wait.step))
        passed = is_over(known[0] if known is not None and isinstance(known[0], Wait) else wait, wall)
        if parked is not None and (begins or not passed):
            event = parked.first(str(wait.about))
        if event is not None:
            assert parked is not None
            del parked.events[event.id]
            rows.append(_done_row(wait, event))
            came = Came(_happened(event).value)
            facts.append(wait_noted(wait, "over", by=event.id))
        elif passed:
            rows.append(expired_row(wait, wall))
            came = Came(expired=True)
            facts.append(wait_noted(wait, "over", text=PASSED))
        if not rows:
            await trio.lowlevel.checkpoint()
            return None
        commit = Commit(
            by=self._slot.path,
            replies=tuple(rows),
            acked=() if event is None or event.row is None else (event.row,),
            forget_replies=tuple(f"{each.step}>" for each in gone),
            events=tuple((wall, fact) for fact in facts),
        )
        try:
            await self._commit(wait, commit)
        except CommitFailed:
            if event is not None:
                come(self._slot.mail, [event], common, first=True)
            raise
        for each in gone:
            common.replies.drop(each.step)
        if begins:
            common.replies.put(begun_id(wait.step), wait)
        if came is not None:
            common.replies.put(rows[-1].id, rows[-1])
        return came

    async def _commit(self, wait: Wait, commit: Commit) -> None:
        common = self._common
        common.replies.under_way.add(wait.step)
        try:
            with trio.CancelScope(shield=True):  # what is on disk is known here
                await common.journal.commit(commit)
        except CommitFailed as error:
            common.heard(error)
            raise
        finally:
            common.replies.under_way.discard(wait.step)


def come(mail: Slot, events: Sequence[Envelope], common: Common, *, first: bool = False) -> None:
    """These events have come to their turn at this mailbox: each ends the oldest wait for it, or is kept.

    `first`: they had come before those that are kept.
    """
    parked = mail.parking()
    for event in events:
        parked.keep(event, first=first)
    for name in dict.fromkeys(_happened(each).event for each in events):
        match(mail, name, common)
    while len(parked.events) > _MOST:
        oldest = parked.events.pop(next(iter(parked.events)))
        _give_up(mail, oldest, f"nobody waited for {_happened(oldest).event!r}, and {_MOST:,} later events wait")


def match(mail: Slot, name: str, common: Common) -> None:
    """Let events of this name end the waits for it of messages that are parked, the oldest first."""
    parked = mail.parked
    while parked is not None and (found := parked.pair(name, common.clock.wall())) is not None:
        event, wait = found
        row = _done_row(wait, event)
        common.replies.under_way.add(wait.step)  # until it is on disk, nobody knows how that has ended
        commit = Commit(
            replies=(row,),
            acked=() if event.row is None else (event.row,),
            events=((common.clock.wall(), wait_noted(wait, "over", by=event.id)),),
        )
        common.journal.submit(commit, partial(_ended, mail, event, wait, row, common))


def _ended(mail: Slot, event: Envelope, wait: Wait, row: ReplyRow, common: Common, error: BaseException | None) -> None:
    """It is on disk that this event has ended that wait, or it is not."""
    common.replies.under_way.discard(wait.step)
    common.heard(error)
    parked = mail.parked
    if error is not None:
        if parked is not None:
            parked.wait_on(wait.message)
        event.deliveries += common.outage.since is None
        if mail.is_gone or event.deliveries >= mail.spec.deliveries:
            _give_up(mail, event, f"it could not be stored that it has happened: {error}")
        else:
            mail.put_back([event])
        return
    if common.replies.get(begun_id(wait.step)) is not None:  # or its message was given up meanwhile
        common.replies.put(row.id, row)
    envelope = None if parked is None else parked.take(wait.message)
    if envelope is not None:
        mail.come_back([envelope])
        arm(mail, common)


def got_by(common: Common, message: MessageId) -> str:
    """What a dead letter has to say of the events that have ended waits of this message: they go with it."""
    text = ""
    for wait in waits_of(common, message):
        done = common.replies.get(done_id(wait.step))
        with suppress(UnknownKind):
            if done is not None and isinstance(done[0], ReplyRow) and _event_in(done[0]) is not None:
                text += f"; it had got the event {wait.about!r}"
    return text


def _give_up(mail: Slot, event: Envelope, reason: str) -> None:
    if mail.on_drop is not None:
        mail.on_drop(event, reason)


def _happened(event: Envelope) -> Happened:
    assert isinstance(event.body, Happened)
    return event.body


def _done_row(wait: Wait, event: Envelope) -> ReplyRow:
    body = _happened(event)
    data = {
        "event": body.event,
        "value": body.value,
        "id": event.id,
        "sender": None if event.sender is None else str(event.sender),
        "priority": event.priority,
    }
    return _row(wait, data)


def expired_row(wait: Wait, wall: float) -> ReplyRow:
    """What is stored when its time has passed, at this wall time."""
    return _row(wait, {"expired": wall})


def _row(wait: Wait, data: dict[str, Any]) -> ReplyRow:
    return ReplyRow(done_id(wait.step), wait.mail, HAPPENED, dump(data), _VERSION)


def _came_in(row: ReplyRow) -> Came:
    """How a wait has ended. Raises `UnknownKind` for a row that this code cannot read."""
    event = _event_in(row)
    return Came(expired=True) if event is None else Came(_happened(event).value)


def _event_in(row: ReplyRow) -> Envelope | None:
    """The event that has ended a wait; None if its time had passed, also when a process began."""
    if row.kind != HAPPENED:
        return None
    try:
        data: dict[str, Any] = load(row.body)
        if row.version != _VERSION:
            raise ValueError(f"it is of version {row.version}")
        if "expired" in data:
            return None
        sender = None if data["sender"] is None else Path(data["sender"])
        body = Happened(data["event"], data["value"])
        return Envelope(body, id=data["id"], sender=sender, priority=data["priority"])
    except (KeyError, TypeError, ValueError) as error:
        raise UnknownKind(f"the end of the wait {row.id} cannot be read by this code: {error}") from error
