"""Waits of handlers in the journal, beside what is kept of their effects; and when what is parked comes back."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import trio
from attrs import asdict, evolve

from treewarden.agents.core.message import Envelope, MessageId
from treewarden.agents.core.path import Path
from treewarden.agents.core.step import begun_id, done_id, is_step, message_of, step_of
from treewarden.agents.core.wait import (
    EVENT,
    MARK,
    WAITS,
    Sorted,
    Wait,
    is_over,
    open_waits,
    replaced_by,
    sort_out,
    wait_name,
)
from treewarden.agents.errors import UnknownKind
from treewarden.agents.slot import Slot

from .core.event import Event, WaitNoted
from .journal.canonical import dump, load
from .journal.commit import Commit, ReplyRow
from .noted_waits import PASSED_BY, ends, wait_noted

if TYPE_CHECKING:
    from .common import Common
    from .journal.slices import Slices

__all__ = [
    "SlotWaits",
    "arm",
    "instead",
    "nobody_rules",
    "over_row",
    "row_of",
    "said_of",
    "sorting",
    "wait_of",
    "waits_of",
]

_VERSION: Final = 1
_MOST: Final = 10_000
"""Messages that may be parked at once for one mailbox, if that is not larger itself: they take no room in it."""
_AT_ONCE: Final = 256
"""Messages that come back before anybody else has a turn."""
_STORED: Final = ("name", "what", "about", "place", "path", "mail", "kind", "since", "until")


class SlotWaits:
    """The `Waits` of one slot. What is known of them is with the tree's replies, and goes with them."""

    def __init__(self, slot: Slot, common: Common) -> None:
        self._slot = slot
        self._common = common

    def found(self, step: MessageId) -> Wait | None:
        kept = self._common.replies.get(begun_id(step))
        if kept is None or not isinstance(kept[0], Wait):
            return None
        return evolve(kept[0], over=True) if self._common.replies.get(done_id(step)) is not None else kept[0]

    async def stands(self, step: MessageId) -> Wait | None:
        await trio.lowlevel.checkpoint()
        replies, of_message = self._common.replies, f"{message_of(step)}>"
        await nobody_rules([each for each in replies.under_way if _is_wait_of(each, of_message)], self._common)
        return self.found(step)

    def has_gone_on(self, step: MessageId, place: int) -> bool:
        return any(each.place > place for each in self._of(step.rpartition(">")[0]))

    async def begin(self, wait: Wait) -> None:
        common, row = self._common, row_of(wait)
        gone, wall = replaced_by(wait, self._of(wait.message)), common.clock.wall()
        facts: list[Event] = [*ends(gone, instead(wait), common), wait_noted(wait, "begun")]
        events, forget = tuple((wall, fact) for fact in facts), tuple(f"{each.step}>" for each in gone)
        commit = Commit(by=self._slot.path, replies=(row,), forget_replies=forget, events=events)
        replies, replaced = common.replies, [each.step for each in gone]
        replies.under_way.update((wait.step, *replaced))
        replies.replaced.update(replaced)
        said: list[BaseException | None] = []
        known = trio.Event()

        def then(error: BaseException | None) -> None:
            said.append(error)
            known.set()

        common.journal.submit(commit, then)
        try:
            await known.wait()
        except BaseException:  # it is on its way to the disk, or it is known by now what came of it there
            if said:
                self._called_off(wait, gone, said[0])
            else:
                common.journal.submit(Commit(by=self._slot.path), partial(self._called_off, wait, gone))
            raise
        self._arrived(wait, gone)
        if said[0] is not None:
            common.heard(said[0])
            raise said[0]
        self._drop(gone)
        replies.put(row.id, wait)

    def _called_off(self, wait: Wait, gone: Sequence[Wait], error: BaseException | None) -> None:
        """It is known whether one has begun whose handler was cancelled meanwhile."""
        common = self._common
        common.heard(error)
        if error is None:
            fact = wait_noted(wait, PASSED_BY, text="its handler was cancelled while it began")
            common.submit(Commit(forget_replies=(f"{wait.step}>",), events=((common.clock.wall(), fact),)))
            self._drop(gone)
        self._arrived(wait, gone)

    def _arrived(self, wait: Wait, gone: Sequence[Wait]) -> None:
        """It is on disk, or is not going to be."""
        replies, replaced = self._common.replies, [each.step for each in gone]
        replies.under_way.difference_update((wait.step, *replaced))
        replies.replaced.difference_update(replaced)

    def ended(self, wait: Wait) -> WaitNoted:
        return wait_noted(wait, "over")

    def passed_by(self, message: MessageId, asked: Mapping[str, int]) -> list[Event]:
        known = self._of(message)
        passed = [each for each in known if _number(each) > asked.get(wait_name(each.mail, each.name), 0)]
        return ends(passed, "its handler has ended without it", self._common)

    def park(self, envelope: Envelope, step: MessageId) -> None:
        mail, wait = self._slot.mail, self.found(step)
        if wait is None or wait.over:  # forgotten meanwhile, and its handler begins it anew; or it has ended
            mail.come_back([envelope])
        elif mail.on_drop is not None and len(mail.parked or ()) >= max(_MOST, mail.spec.capacity):
            mail.on_drop(envelope, f"{len(mail.parked or ()):,} messages are parked there, and this is one more")
        else:
            mail.parking().add(envelope, wait)
            arm(mail, self._common)

    def _drop(self, waits: Iterable[Wait]) -> None:
        for each in waits:
            self._common.replies.drop(each.step)

    def _of(self, message: MessageId) -> list[Wait]:
        return waits_of(self._common, message)


async def nobody_rules(steps: Iterable[MessageId], common: Common) -> None:
    """Wait until what somebody rules just now, or is just being ended, is on disk, or is not going to be.

    Raises `CommitFailed` where the disk takes nothing.
    """
    waited = list(steps)
    await trio.lowlevel.checkpoint_if_cancelled()
    while not common.replies.under_way.isdisjoint(waited):
        await common.journal.commit(Commit())


def _is_wait_of(step: MessageId, of_message: str) -> bool:
    return step.startswith(of_message) and MARK in step[len(of_message) :]


def instead(wait: Wait) -> str:
    """Why those end that this one replaces."""
    return f"its handler waits for {wait.name!r} instead"


def _number(wait: Wait) -> int:
    """Of a wait, among those of its message that are called so."""
    return int(wait.step.rpartition(".")[2])


_LOOK_WITHIN: Final = 60.0
"""Seconds after which the wall clock is looked at again: it may be set, and goes on while the machine sleeps."""


def arm(mail: Slot, common: Common) -> None:
    """See to it that somebody calls when the next of what is parked here comes back."""
    parked = mail.parked
    if parked is None or parked.next == parked.alarm_at:
        return
    if parked.alarm is not None:
        parked.alarm.cancel()
    parked.alarm, parked.alarm_at = None, parked.next
    if parked.alarm_at is not None:
        clock = common.clock
        now = clock.now()
        left = min(parked.alarm_at - clock.wall(), _LOOK_WITHIN)
        due = max(now + left, math.nextafter(now, math.inf)) if left > 0.0 else now  # or it would be set for now, again
        parked.alarm = common.timers.at(due, partial(_come, mail, common))


def _come(mail: Slot, common: Common) -> None:
    """The time of something that is parked has come, unless the clock was set back meanwhile."""
    parked = mail.parked
    if parked is None:
        return
    parked.alarm = parked.alarm_at = None
    due = parked.take_due(common.clock.wall(), _AT_ONCE)
    for _, wait in due:
        common.replies.put(begun_id(wait.step), evolve(wait, over=True))
    if due:
        mail.come_back([envelope for envelope, _ in due])
    if len(due) == _AT_ONCE:
        parked.alarm_at = parked.next  # for whoever is parked meanwhile: nothing is to be set for the rest
        common.timers.soon(partial(_come, mail, common))
    else:
        arm(mail, common)


def sorting(
    messages: Sequence[MessageId], replies: Mapping[MessageId, object], wall: float
) -> Slices[tuple[Sorted, dict[MessageId, Wait]]]:
    """What becomes of the messages of a mailbox that are read from the journal, with all that is kept for it, and the
    open waits of them."""
    known: list[Wait] = []
    done: set[MessageId] = set()
    of = set(messages)
    for count, (id, reply) in enumerate(replies.items(), 1):
        if count % _AT_ONCE == 0:
            yield
        if isinstance(reply, Wait) and reply.message in of and is_step(id):
            known.append(reply)
            if done_id(reply.step) in replies:
                done.add(reply.step)
    waiting = open_waits(known, done)
    if len(known) >= _AT_ONCE:
        yield
    came = {wait.message for wait in known if wait.step in done}.difference(waiting)
    return sort_out(messages, waiting, wall, came), waiting


def waits_of(common: Common, message: MessageId = "") -> list[Wait]:
    """What has begun of this message's own waits; without a message of those of all."""
    kept = [known for id, known in common.replies.below(message) if isinstance(known, Wait) and is_step(id)]
    return [each for each in kept if not message or each.message == message]


def said_of(common: Common, message: MessageId) -> str:
    """What a dead letter has to say besides its reason."""
    wall = common.clock.wall()
    return "".join(
        f"; it waited for {(each.about if each.what == EVENT else each.name)!r}"
        f"{'' if each.until is None else f' until {_at(each.until)}'}"
        for each in open_waits(waits_of(common, message)).values()
        if not is_over(each, wall) and common.replies.get(done_id(each.step)) is None
    )


def _at(wall: float) -> str:
    try:
        return datetime.fromtimestamp(wall, UTC).isoformat(sep=" ", timespec="seconds")
    except (ValueError, OverflowError, OSError):
        return f"{wall:g}"


def row_of(wait: Wait) -> ReplyRow:
    """What is stored when a wait begins."""
    data = {name: value for name, value in asdict(wait).items() if name in _STORED}
    data |= {"path": str(wait.path), "mail": str(wait.mail)}
    return ReplyRow(begun_id(wait.step), wait.mail, WAITS, dump(data), _VERSION)


def over_row(wait: Wait) -> ReplyRow:
    """What is stored when its message comes back."""
    return ReplyRow(done_id(wait.step), wait.mail, WAITS, "null", _VERSION)


def wait_of(row: ReplyRow) -> Wait:
    """The wait that a row says has begun. Raises `UnknownKind` for one that this code cannot read."""
    try:
        data: Any = load(row.body)
        if row.version != _VERSION:
            raise ValueError(f"it is of version {row.version}")
        until = None if data["until"] is None else float(data["until"])
        return Wait(
            step=step_of(row.id),
            name=data["name"],
            what=data["what"],
            about=data["about"],
            place=int(data["place"]),
            path=Path(data["path"]),
            mail=Path(data["mail"]),
            kind=data["kind"],
            since=float(data["since"]),
            until=until,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UnknownKind(f"the wait {row.id} cannot be read by this code: {error}") from error
