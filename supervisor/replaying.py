"""Replaying dead letters: a message that was given up goes back into its mailbox."""

from __future__ import annotations

from typing import Any, Final, cast

import trio

from treewarden.agents.core.durability import Overflow
from treewarden.agents.core.message import Envelope, MessageId
from treewarden.agents.core.path import ROOT
from treewarden.agents.errors import (
    AgentStopped,
    CommitFailed,
    IntakeClosed,
    MailboxFull,
    NoSuchSlot,
    NotHandled,
    ReplayRefused,
)
from treewarden.agents.sending import handled_by
from treewarden.agents.slot import Slot
from treewarden.agents.traffic import deadline_of

from .common import Common
from .core.event import MessageReplayed
from .journal.port import Commit, DeadRow, MessageRow
from .registry import Partitions, Pool
from .settling import SlotStore
from .unhurried import unhurried

__all__ = ["replay"]

_LOOKED_AT: Final = 5000
"""Events at the end of the journal in which it is looked up what became of a message."""


async def replay(common: Common, message: MessageId, within: float) -> MessageId:
    """Put a dead letter back into its mailbox (see `Tree.replay`); returns the id that it has there."""
    dead = await common.journal.dead_letter(message)
    if dead is None and common.leftovers is not None:  # it may be about to become one
        await common.leftovers.gone()
        dead = await common.journal.dead_letter(message)
    if dead is None:
        raise await _unknown(common, message)
    there = common.registry.get(dead.path)
    address = common.registry.which_had(dead.path) if there is None else None
    if address is not None:
        there = next((each for each in address.slots if each.closed is None), None)  # any of them can read it
    slot, store = _place(there, dead)
    body: Any = await unhurried(store.codec.decoding(dead.kind, dead.version, dead.body))
    if address is not None:
        slot, store = _place(_one_of(address, dead, body), dead)
    if not handled_by(slot, type(cast("object", body))):
        text = f"{slot.path}: it does not handle {type(body).__qualname__} any more; {message} stays a dead letter"
        raise NotHandled(text, path=slot.path)
    envelope = Envelope(body, id=dead.id, sender=dead.sender, priority=dead.priority)  # and so in its trace
    await _room(slot, envelope, within)

    def commit(row: MessageRow) -> Commit:
        """It is no dead letter any more from the moment that it waits."""
        event = MessageReplayed(path=slot.path, message=dead.id, kind=row.kind, replayed_as=row.id)
        return Commit(accepted=(row,), revived=(dead.id,), events=((row.at, event),))

    try:
        await store.bring_in(slot, envelope, commit)
    except CommitFailed:
        if await common.journal.dead_letter(message) is None:
            raise await _unknown(common, message) from None
        raise
    return envelope.id


def _one_of(address: Pool | Partitions, dead: DeadRow, body: object) -> Slot:
    """Who gets what one of them was told that is no more."""
    try:
        chosen = address.choose(body)
    except (AgentStopped, NoSuchSlot) as error:
        raise _refused(dead, str(error)) from None
    if len(chosen) != 1:
        raise _refused(dead, f"{address.path} tells each of its workers, and the one that did not handle it is no more")
    return chosen[0]


def _place(slot: Slot | None, dead: DeadRow) -> tuple[Slot, SlotStore]:
    """Where it can wait again."""
    if slot is None:
        raise _refused(dead, "the tree has no such slot any more; start it again, or tell the message to another")
    if isinstance(slot.closed, IntakeClosed):
        raise _refused(dead, "it is being drained; wait for the end of that, and restart_child")
    if slot.ended:
        raise _refused(dead, f"nobody lives there ({slot.closed}); restart_child first")
    if not slot.durable or not isinstance(slot.store, SlotStore):
        raise _refused(dead, "it keeps its mailbox in memory; tell it the message instead")
    return slot, slot.store


async def _room(slot: Slot, envelope: Envelope, within: float) -> None:
    """Reserve room, and drop nothing for it."""
    waits = slot.spec.overflow in (Overflow.WAIT, Overflow.COALESCE)
    try:
        if waits or slot.has_room:
            with trio.move_on_at(deadline_of(trio.current_time(), within, slot.path)):
                await slot.reserve(envelope, envelope.priority)
                return
    except AgentStopped as error:  # it ended while this waited for room
        raise ReplayRefused(str(error), path=slot.path, retry_safe=True) from None
    waited = f" within {within:g} s" if waits else ""
    text = f"{slot.path}: no room in its mailbox{waited}; the message stays a dead letter"
    raise MailboxFull(text, path=slot.path, retry_safe=True)


def _refused(dead: DeadRow, why: str) -> ReplayRefused:
    return ReplayRefused(f"{dead.path}: {dead.id} cannot be put back: {why}", path=dead.path, retry_safe=True)


async def _unknown(common: Common, message: MessageId) -> ReplayRefused:
    """Say what became of a message that is no dead letter, if the journal still tells."""
    journal = common.journal
    cursor = max(0, journal.head - _LOOKED_AT)
    while records := await journal.read(cursor):
        cursor = records[-1].seq
        for event in (record.event for record in records):
            if isinstance(event, MessageReplayed) and event.message == message:
                text = f"{event.path}: {message} was put back before, as {event.replayed_as}"
                return ReplayRefused(text, path=event.path, retry_safe=True)
    text = f"no dead letter has the id {message!r}; dead_letters() lists them"
    return ReplayRefused(text, path=ROOT, retry_safe=True)
