"""What makes a handled message count: its settle, and the checkpoints between."""

from __future__ import annotations

import math
from collections.abc import Coroutine
from contextlib import suppress
from functools import partial
from typing import Any, Final

from attrs import evolve

from .core.durability import Checkpointed
from .core.exit import Failure
from .core.label import Label
from .core.message import Due, Envelope
from .errors import AgentFailed
from .life import Life
from .orders import CheckpointDue
from .ports import KEEP, Settled, state_settled
from .slot import PASSED
from .ticks import Tick

_KEEP_AGAIN_AFTER: Final = 1.0
"""Seconds until a checkpoint that could not be written is tried again."""

__all__ = [
    "end_life",
    "keep",
    "keep_in_turn",
    "large",
    "settle",
    "settle_beside",
    "settle_in_turn",
    "store_dates",
]


def large(life: Life, item: object, result: object = None) -> Coroutine[Any, Any, None] | None:
    """What has to be awaited before what was handled is settled, because what this writes is large; None if nothing
    has. If the state is another one then, that is settled, at once.

    Only for an agent that `keeps`.
    """
    if life.turn.more:
        return _large_among(life, item, result)
    slot, state = life.slot, life.agent.state
    if slot.durable:
        if state is life.state and life.turn.label is None:
            return None
    elif not _is_due(life, life.turn.label, life.since_checkpoint + 1):
        return None
    taking = slot.store.taking(state)  # pyright: ignore[reportOptionalMemberAccess]
    if taking is not None:
        slot.busy_since = math.inf  # nor is it slow while it is made ready for the disk
    return taking


def _large_among(life: Life, item: object, result: object) -> Coroutine[Any, Any, None] | None:
    """As `large`, where not only a state is written."""
    slot, turn, state, reply = life.slot, life.turn, life.agent.state, None
    if not slot.durable:
        if not _is_due(life, turn.label, life.since_checkpoint + 1):
            state = KEEP
    else:
        if state is life.state and turn.label is None:
            state = KEEP
        if result is not None and type(item) is Envelope and item.reply is not None and ">" in item.id:
            reply = item, result
    taking = slot.store.taking(state, turn, reply)  # pyright: ignore[reportOptionalMemberAccess]
    if taking is not None:
        slot.busy_since = math.inf
    return taking


def settle(life: Life, item: object, result: Any = None, timers: tuple[Due, ...] = ()) -> None:
    """Make what was handled count: at once in memory, or queued for the disk with everything that it did.

    Raises `ConfigurationError` for something that cannot be stored; then nothing has changed. Of an incarnation that
    has ended meanwhile nothing counts.
    """
    slot, turn, agent = life.slot, life.turn, life.agent
    if slot.agent is not agent:
        turn.drop()
        return
    if slot.durable:
        _settle_on_disk(life, item if type(item) is Envelope else None, result, timers)
        slot.handled += 1
        slot.busy = None
        return
    before = life.state
    if agent.state is not before:
        slot.state = life.state = agent.state
    if life.keeps:
        try:
            _keep_if_due(life)
        except BaseException:
            slot.state = life.state = before
            raise
    elif turn.events:
        life.warden.recorded(tuple(turn.events))
    slot.handled += 1
    slot.busy = None
    if turn.events or turn.outgoing or turn.asked:
        turn.clear()
    if type(item) is Envelope and item.reply is not None:
        item.reply(result, None)


def settle_beside(life: Life) -> None:
    """Make count what happened outside messages: in `on_start`, in a body, in a helper."""
    slot, events, label, state = life.slot, tuple(life.beside.events), life.beside.label, life.agent.state
    life.keep_ordered = False
    if state is life.state and not events and label is None:
        return
    if slot.durable:
        done = Settled(slot.path, state=state, events=events, checkpoint=label)
        _submit(life, done, state)
        life.state = state
    else:
        slot.state = life.state = state
        if life.keeps:
            life.since_checkpoint += 1
            keep(life, events, label)
        elif events:
            life.warden.recorded(events)
    slot.handled += 1
    life.beside.clear()


def store_dates(life: Life, dates: tuple[Due, ...]) -> None:
    """Store when something is due for the first time: the next process does what it was down for."""
    if dates and life.slot.durable:
        _submit(life, Settled(life.slot.path, timers=dates))


async def settle_in_turn(life: Life) -> None:
    """As `settle_beside`, with turns for everybody else if the state is large. What helpers do to it meanwhile counts.

    Of an incarnation that has ended meanwhile nothing counts. Cancelled: nothing is queued.
    """
    slot, beside, state = life.slot, life.beside, life.agent.state
    if (
        life.keeps
        and slot.agent is life.agent
        and (state is not life.state or beside.events or beside.label is not None)
    ):
        assert slot.store is not None
        taking = slot.store.taking(state, beside)
        if taking is not None:
            await taking
            if slot.agent is not life.agent:
                return
    settle_beside(life)


async def keep_in_turn(life: Life) -> None:
    """As `keep`, with turns for everybody else if the state is large. Cancelled: nothing is queued."""
    slot, ordered = life.slot, False
    if not life.keeps or slot.durable or slot.agent is not life.agent:
        return
    assert slot.store is not None
    while life.since_checkpoint:
        state = life.state
        taking = slot.store.taking(state)
        if taking is None:
            break
        await taking
        if slot.agent is not life.agent:
            return
        if life.state is state:
            break
        if not ordered:  # it has settled meanwhile, and may do so each time: not while its own task does this
            ordered = True
            slot.put_control(CheckpointDue())
    keep(life)


def keep(life: Life, events: tuple[Any, ...] = (), label: Label | None = None) -> None:
    """For durability `checkpoint(every=...)`: write the state as it was last settled, if anything has settled since.

    Raises `ConfigurationError` for something that cannot be stored; then it is still to be kept.
    """
    if life.checkpoint_alarm is not None:
        life.checkpoint_alarm.cancel()
        life.checkpoint_alarm = None
    if not life.since_checkpoint:
        return
    slot, owed = life.slot, (life.since_checkpoint, life.checkpoint_label, life.unkept)
    timers = tuple(Due(name, at) for name, at in slot.due.items())
    checkpoint, events = label or life.checkpoint_label or Label(), (*life.unkept, *events)
    life.since_checkpoint, life.checkpoint_label, life.unkept = 0, None, ()
    done = Settled(slot.path, state=life.state, events=events, timers=timers, checkpoint=checkpoint)
    try:
        _submit(life, done)
    except BaseException:
        life.since_checkpoint, life.checkpoint_label, life.unkept = owed
        raise


def end_life(life: Life, failed: object = None) -> None:
    """The life is over, however it ended: nothing of it counts from here on but what it had settled. `failed` is what
    it had in hand, if it was not just killed.

    Where that was to be kept later (`checkpoint(every=...)`), it is written now: the next life begins with it in
    memory, and may never have a reason to write it.
    """
    slot, owed = life.slot, None
    if type(failed) is Tick and (dates := life.dates_of(failed.name)) is not None:
        dates.over(failed.name)
    if life.since_checkpoint and not slot.durable:
        timers = tuple(Due(name, at) for name, at in slot.due.items())
        owed = Settled(
            slot.path, state=life.state, events=tuple(life.unkept), timers=timers, checkpoint=life.checkpoint_label
        )
    life.end()  # first, so that whoever is told that it was not written looks for the next one
    if owed is not None:
        with suppress(Exception):  # it cannot be stored: the next life says so, when it has to keep it
            _submit(life, owed)


def _settle_on_disk(life: Life, envelope: Envelope | None, result: Any, timers: tuple[Due, ...]) -> None:
    slot, turn, state = life.slot, life.turn, life.agent.state
    if (
        state is not life.state
        and not (turn.outgoing or turn.events or turn.asked or turn.label is not None or timers)
        and (envelope is None or envelope.reply is None or not envelope.id)
    ):
        _submit(life, state_settled(slot.path, envelope, state, result), state)
        life.state = state
        return
    if turn.asked is not None and PASSED in turn.asked:
        from .waits import pass_by  # with the first wait

        pass_by(life)
    done = Settled(
        path=slot.path,
        envelope=envelope,
        state=KEEP if state is life.state and turn.label is None else state,
        reply=result,
        asked=turn.asked is not None,
        outgoing=tuple(turn.outgoing),
        events=tuple(turn.events),
        timers=timers,
        checkpoint=turn.label,
    )
    if done.is_empty and not slot.inflight:
        _leave(done)
    else:
        _submit(life, done, state)
    life.state = state
    turn.clear()


def _submit(life: Life, done: Settled, state: object = KEEP) -> None:
    slot, envelope = life.slot, done.envelope
    assert slot.store is not None
    if envelope is not None and envelope.reply is None:
        life.in_flight.append(envelope)
    slot.inflight += 1
    try:
        slot.store.settle(done, partial(_committed, life, done, state))
    except BaseException:
        slot.inflight -= 1
        if envelope is not None and envelope.reply is None:
            life.in_flight.pop()
        raise


def _committed(life: Life, done: Settled, state: object, error: BaseException | None) -> None:
    """After the commit: what the handler did may leave now, or it never happened."""
    slot, envelope = life.slot, done.envelope
    slot.inflight -= 1
    if error is None:
        if state is not KEEP:
            slot.state = state
        if envelope is not None and envelope.reply is None:
            life.in_flight.popleft()
        _leave(done)
        return
    if not slot.durable:
        _keep_again(life, done)
        return
    for message in done.outgoing:
        message.cancel()
    for timer in done.timers:
        if (dates := life.dates_of(timer.name)) is not None:
            dates.undo(timer.name)
    if envelope is not None and envelope.reply is not None:
        failure = Failure("CommitFailed", str(error))
        envelope.reply(None, AgentFailed(slot.path, failure, retry_safe=True))
    life.run_again()
    life.warden.commit_failed(error)


def _leave(done: Settled) -> None:
    for message in done.outgoing:
        message.release()
    if done.envelope is not None and done.envelope.reply is not None:
        done.envelope.reply(done.reply, None)


def _keep_again(life: Life, done: Settled) -> None:
    """What a checkpoint should have kept is in memory still: the next one keeps it, soon, or the next life."""
    slot = life.slot
    if slot.agent is not life.agent:
        assert slot.store is not None
        before = slot.store.owes
        if before is not None:
            done = evolve(before if done.state is KEEP else done, events=(*before.events, *done.events))
        slot.store.owes = done
        return
    if done.checkpoint != Label():
        life.checkpoint_label = done.checkpoint
    life.owe(done)
    if life.checkpoint_alarm is None:
        due = life.clock.now() + _KEEP_AGAIN_AFTER
        life.checkpoint_alarm = life.alarms.at(due, partial(_keep_in_time, life))


def _is_due(life: Life, label: Label | None, settled: int) -> bool:
    """Whether a state is to be kept now that so many messages have settled since one was."""
    level = life.slot.spec.durability
    assert isinstance(level, Checkpointed)
    return (
        label is not None
        or life.checkpoint_label is not None
        or (level.messages is not None and settled >= level.messages)
    )


def _keep_if_due(life: Life) -> None:
    """Keep the state when it is time, or see to it that it will be."""
    turn, level = life.turn, life.slot.spec.durability
    assert isinstance(level, Checkpointed)
    life.since_checkpoint += 1
    events = tuple(turn.events)
    if _is_due(life, turn.label, life.since_checkpoint):
        keep(life, events, turn.label)
        turn.label = None
        return
    if events and life.unkept:
        life.unkept = (*life.unkept, *events)
    elif events:
        _submit(life, Settled(life.slot.path, events=events))
    if level.seconds is not None and life.checkpoint_alarm is None:
        due = life.clock.now() + level.seconds
        life.checkpoint_alarm = life.alarms.at(due, partial(_keep_in_time, life))


def _keep_in_time(life: Life) -> None:
    """It is time to keep what has settled, also while a handler takes long: what that has done is no part of it."""
    slot = life.slot
    if slot.busy is None:
        slot.put_control(CheckpointDue())
        return
    assert slot.store is not None
    taking = slot.store.taking(life.state)
    if taking is not None:
        taking.close()
        life.warden.start_helper(_keep_beside, life)
        return
    try:
        keep(life)
    except Exception:  # it cannot be stored: its own task says so
        slot.put_control(CheckpointDue())


async def _keep_beside(life: Life) -> None:
    """What `_keep_in_time` does, for a large state: the task of its agent has something else in hand."""
    try:
        await keep_in_turn(life)
    except Exception:  # as above
        life.slot.put_control(CheckpointDue())
