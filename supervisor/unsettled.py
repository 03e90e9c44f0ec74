"""What a life or a slot leaves unsettled, in hand or in its mailbox: it waits for the next life, becomes a dead letter,
or its asker is told."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import trio

from treewarden.agents.core.exit import Exit, Failed, Failure, Stopped
from treewarden.agents.core.message import Envelope, MessageId, told_id
from treewarden.agents.errors import AgentFailed, AgentStopped, ConfigurationError
from treewarden.agents.intake import LeftBehind
from treewarden.agents.mailbox import Mailbox
from treewarden.agents.slot import Slot, Turn, current_turn

from .common import Common
from .core.event import DeadLettered, Event, MessageReturned
from .core.exits import is_in_doubt
from .journal.port import Commit, DeadRow, ReturnedRow
from .journal.shapes import kind_of
from .settling import SlotStore

if TYPE_CHECKING:
    from .child import Incarnation
    from .core.action import Action

__all__ = [
    "Drop",
    "answer_asker",
    "blame_in_hand",
    "close_slot",
    "give_back",
    "give_up",
    "give_up_all",
    "has_past",
    "keep_first",
    "keep_in_hand",
    "return_in_hand",
]


class Drop:
    """What becomes of a message that a mailbox gives up. One for each slot."""

    __slots__ = ("_common", "_slot")

    def __init__(self, slot: Slot, common: Common) -> None:
        self._slot = slot
        self._common = common

    def __call__(self, item: object, reason: str) -> None:
        envelope, turn = _enveloped(item), current_turn.get()
        if self._slot.durable and envelope.row is None and turn is not None and turn.waits_for_commit:
            self._leave_first(envelope, reason, turn)
        else:
            self._give_up(envelope, reason)

    def _leave_first(self, envelope: Envelope, reason: str, turn: Turn) -> None:
        """What the handler in hand has told is given up once it has settled: before that it may never have been. A
        process that dies in between has it in its mailbox."""
        from treewarden.agents.standstill import Dropped  # with the first one

        envelope.id = envelope.id or turn.cause
        release = partial(self._give_up, envelope, reason)
        turn.tell(Dropped(target=self._slot, envelope=envelope, release=release, cancel=_keep_nothing))

    def _give_up(self, envelope: Envelope, reason: str) -> None:
        stored = self._slot.durable and envelope.row is not None and envelope.reply is None
        if not (self._common.over and stored):  # or the next process finds it, as it would have without a word here
            give_up(self._slot, envelope, reason, self._common)


def _keep_nothing() -> None:
    """For what has reserved no room."""


@trio.lowlevel.enable_ki_protection  # between the mailbox and what becomes of it, what waited there would be nowhere
def close_slot(slot: Slot, reason: str, exit: Exit | None, common: Common) -> None:
    """The slot ended for good: what waited there becomes dead letters, senders and askers are told."""
    if not slot.ended:
        error = AgentStopped(f"{slot.path}: {reason}", path=slot.path, exit=exit)
        give_up_all(slot, slot.close(error), reason, common)


def leave_behind(slot: Slot, reason: str, common: Common) -> None:
    """Nobody lives in the slot until somebody begins there again: what is on disk waits for that, and what was told
    and is not becomes dead letters; senders and askers are told."""
    if not slot.durable:
        close_slot(slot, reason, None, common)
    elif not slot.ended:
        error = LeftBehind(f"{slot.path}: {reason}", path=slot.path)
        give_up_all(slot, slot.close(error), reason, common)


def has_past(slot: Slot, common: Common) -> bool:
    """Whether something of the slot may be on disk, or on its way there."""
    if not isinstance(slot.store, SlotStore):
        return False
    waits = not slot.at_rest or bool(slot.parked)
    return waits or slot.store.settles > 0 or slot.path in common.journal.opened.slots


def give_up_drained(slot: Slot, reason: str, common: Common) -> None:
    """Nobody will live here again: what a drain has left parked becomes dead letters, too."""
    if slot.ended:
        give_up_all(slot, [*slot.forget_parked(), *slot.clear()], reason, common)


def give_up_all(slot: Slot, items: Sequence[object], reason: str, common: Common) -> None:
    """What a mailbox held is given up: at once, or soon if it is much; also if the tree ends before that."""
    if items:
        from .leftovers import give_up_soon  # with the first mailbox that ends full

        give_up_soon(slot, items, reason, common, lambda item: give_up(slot, _enveloped(item), reason, common))


def _enveloped(item: object) -> Envelope:
    return item if isinstance(item, Envelope) else Envelope(item)


def give_up(slot: Slot, envelope: Envelope, reason: str, common: Common) -> None:
    """Make a dead letter of a told message, with its body where its mailbox is durable; tell the asker of an ask."""
    slot = slot.mail
    if envelope.reply is not None:
        _forget(slot, envelope, common)
        envelope.reply(None, AgentStopped(f"{slot.path}: {reason}", path=slot.path))
        return
    own = "" if envelope.row is None else envelope.id  # before that, it says only in which trace it is
    if own and common.replies.below(own):
        from .effects import doubts_of

        reason += doubts_of(common, own)
    store, wall = slot.store, common.clock.wall()
    asked = (f"{own}>",) if slot.durable and own else ()
    if own:
        common.replies.forget(own, stored=not asked)
    kind = type(envelope.body).__qualname__
    if isinstance(store, SlotStore):
        try:
            row, event, number = _dead_row(store, envelope, reason, common)
        except ConfigurationError as error:  # it was in memory only
            reason = f"{reason}, and it is not kept: {error}"
            common.note(DeadLettered(path=slot.path, message=envelope.id, kind=kind, reason=reason))
            return
        common.submit(Commit(dead=(row,), last_row=number, events=((wall, event),), forget_replies=asked))
    else:
        common.note(DeadLettered(path=slot.path, message=envelope.id, kind=kind, reason=reason))


def _dead_row(store: SlotStore, envelope: Envelope, reason: str, common: Common) -> tuple[DeadRow, Event, int]:
    """A message given up, as a row and as a fact, and the number by which it is called."""
    codec = store.codec if store.codec.knows(envelope.body) else common.codec_of(type(envelope.body))
    kind = kind_of(type(envelope.body))
    as_stored = envelope.row is not None and kind in codec.kinds and codec.is_wide(envelope.body)
    version, body, large = 0, "", None  # which its row has: to encode it once more would hold the loop
    if not as_stored:
        kind, version, body, large = codec.encode_row(envelope.body)
    tree = common.journal.opened.tree
    number = common.next_row() if envelope.row is None else envelope.row
    id = told_id(envelope.id, tree, number) if envelope.row is None else envelope.id
    row = DeadRow(
        path=store.path,
        id=id,
        kind=kind,
        body=body,
        reason=reason,
        at=common.clock.wall(),
        row=envelope.row,
        sender=envelope.sender,
        version=version,
        large=large,
        priority=envelope.priority,
        as_stored=as_stored,
    )
    return row, DeadLettered(path=store.path, message=id, kind=kind, reason=reason), number


def _forget(slot: Slot, ask: Envelope, common: Common) -> None:
    """An ask from outside does not come again, and what it had begun is its asker's to know. Nor does one whose asker
    has given up waiting, and settled: what it has begun since then, nobody else would forget."""
    if not ask.id or slot.store is None:
        return
    if ">" not in ask.id:
        slot.store.steps(slot).forget(ask.id)
        return
    common.replies.ended(ask.id, ask)
    if (settled := common.replies.settled_of(ask.id)) is not None and common.replies.below(ask.id):
        common.forget_replies(settled)


def answer_asker(slot: Slot, ask: Envelope, exit: Exit, common: Common) -> None:
    """Tell the asker of what a life has died on, or was stopped over."""
    assert ask.reply is not None
    _forget(slot, ask, common)
    if isinstance(exit, Stopped):
        text = f"{slot.path}: it was stopped while it handled this"
        ask.reply(None, AgentStopped(text, path=slot.path, retry_safe=False))
    else:
        ask.reply(None, AgentFailed(slot.path, _failure_of(exit)))


def _failure_of(exit: Exit) -> Failure:
    """The failure of `exit`, also for one that ended in order: what a pending ask is told."""
    if isinstance(exit, Failed):
        return exit.failure
    return Failure(type(exit).__name__, getattr(exit, "reason", "") or "it ended before it replied")


def give_back(slot: Slot, envelope: Envelope, deliveries: int, common: Common) -> None:
    """Return a told message to the head of its mailbox, with its count, as one fact."""
    _count(slot, envelope, deliveries, common)
    slot.put_back([envelope])


def keep_first(slot: Slot, envelope: Envelope, common: Common) -> None:
    """Return a told message for whoever lives in this very slot next, be its mailbox one of several; no attempt of it
    counts: each of the others would be held over it, too."""
    _count(slot, envelope, envelope.deliveries, common)
    Mailbox.put_back(slot, [envelope])


def _count(slot: Slot, envelope: Envelope, deliveries: int, common: Common) -> None:
    envelope.deliveries = deliveries
    kind = type(envelope.body).__qualname__
    event: Event = MessageReturned(path=slot.path, message=envelope.id, kind=kind, deliveries=deliveries)
    returned = () if envelope.row is None else (ReturnedRow(envelope.row, deliveries, envelope.deaths),)
    common.submit(Commit(returned=returned, events=((common.clock.wall(), event),)))


def return_in_hand(life: Incarnation, action: Action, common: Common, *, counts: bool = True) -> None:
    """The told message that a life died on goes back to its mailbox, or to the dead letters.

    Where it does not count, as in an outage that several have found out, it goes back whatever its deliveries are. Of a
    queue that several share it is the last one then: who finds out whether the outage is over does so with another.
    """
    if life.in_hand is None or life.slot is None:
        return
    envelope, spec = life.in_hand, life.slot.spec
    life.in_hand = None
    if isinstance(life.exit, Failed) and is_in_doubt(life.exit.failure) and life.redelivers:
        keep_first(life.slot, envelope, common)
        return
    deliveries = envelope.deliveries + 1
    why = f"{life.exit.failure}" if isinstance(life.exit, Failed) else "its agent ended"
    if not life.redelivers:
        give_up(life.slot, envelope, f"its handler did not finish ({why}), and its mailbox is in memory", common)
    elif not (counts or _sets_aside(action, envelope.id)):
        _count(life.slot, envelope, envelope.deliveries, common)
        if life.slot.mail is life.slot:
            life.slot.put_back([envelope])
        else:
            life.slot.mail.restock(envelope, envelope.priority)
    elif deliveries >= spec.deliveries or _sets_aside(action, envelope.id):
        give_up(life.slot, envelope, _failed(deliveries, why), common)
    else:
        give_back(life.slot, envelope, deliveries, common)


def _failed(times: int, why: str) -> str:
    return (
        f"its handler failed once: {why}" if times == 1 else f"its handler failed {times} times; the last time: {why}"
    )


def _sets_aside(action: Action, message: MessageId) -> bool:
    from .core.action import SetAside  # with the first decision

    return isinstance(action, SetAside) and action.message == message


def keep_in_hand(life: Incarnation, common: Common) -> None:
    """What a life had in hand that was stopped, and did not end within its grace, is for the next one: no attempt of
    it has failed. A mailbox in memory gives it up, as after a crash."""
    if life.in_hand is None or life.slot is None:
        return
    envelope, life.in_hand = life.in_hand, None
    if life.redelivers:
        give_back(life.slot, envelope, envelope.deliveries, common)
    else:
        give_up(life.slot, envelope, "its handler was stopped, and its mailbox is in memory", common)


def blame_in_hand(life: Incarnation, common: Common) -> None:
    """The whole tree ends over what a life had in hand: that counts as a process death, for the next process finds a
    journal that was closed and would begin with the same message, again and again."""
    envelope = life.in_hand
    if envelope is not None and envelope.row is not None:
        envelope.deaths += 1
        common.submit(Commit(returned=(ReturnedRow(envelope.row, envelope.deliveries, envelope.deaths),)))
