"""`run_agent`: receive, handle, settle, reply. The only caller of handlers."""

from __future__ import annotations

import math
from functools import partial
from typing import Any, Final

import trio

from .agent import lookup, overrides
from .core.durability import Checkpointed
from .core.exit import Exit, Failed, Failure, Finished, Stopped, alone, describe
from .core.message import Due, Envelope
from .errors import AgentFailed, AgentStopped, NotHandled, RateLimited, Stop
from .life import BodyEnded, CheckpointDue, Life, StopOrder, Tick
from .ports import KEEP, Outgoing, Settled
from .slot import Slot, current_turn

__all__ = ["run_agent"]

_MESSAGES_PER_LOOK_AT_THE_CLOCK: Final = 16
_SECONDS_PER_SLICE: Final = 0.001
_SETTLES_IN_FLIGHT: Final = 256


async def run_agent(life: Life) -> Exit:
    """Live one incarnation, from its first message to `on_stop`, and say how it ended.

    `on_start` is not called here: the supervisor waits for it separately. Every `Exception` becomes a `Failed`;
    `trio.Cancelled`, `KeyboardInterrupt` and other bare `BaseException`s pass, and then `on_stop` does not run.
    """
    current_turn.set(life.turn)
    exit: Exit
    try:
        if overrides(life.agent, "run"):
            exit = await _with_body(life)
        else:
            exit = await _messages(life)
    except Stop as stop:
        if life.slot.store is not None:
            await life.slot.store.settled()
        exit = Finished() if stop.reason is None else Stopped(stop.reason)
    except Exception as error:
        exit = Failed(_failure(life, error))
    life.turn.drop()
    if overrides(life.agent, "on_stop"):
        try:
            await life.agent.on_stop(exit)
        except Exception as error:
            if not isinstance(exit, Failed):
                exit = Failed(_failure(life, error))
    return exit


async def _with_body(life: Life) -> Exit:
    exit: Exit | None = None
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_body, life)
            exit = await _messages(life)
            nursery.cancel_scope.cancel()
    except* Exception as group:
        raise alone(group) from None
    assert exit is not None
    return exit


async def _body(life: Life) -> None:
    current_turn.set(life.turn)
    result = await life.agent.run()
    life.slot.put_control(BodyEnded(result))


async def _messages(life: Life) -> Exit:
    """The loop: control first, then what the mailbox hands out, until something says how it ends."""
    slot = life.slot
    handled = 0
    order: StopOrder | None = None
    slice_ends = life.clock.now() + _SECONDS_PER_SLICE
    while True:
        item = slot.take()
        if item is None:
            if order is not None and (not order.drain or not len(slot) or slot.paused):
                return await _stopped(life, order)
            await slot.wait()
            slice_ends = life.clock.now() + _SECONDS_PER_SLICE
            continue
        kind = type(item)
        if kind is StopOrder:
            assert isinstance(item, StopOrder)
            order = item
            life.disarm()
            if life.durable or not order.drain:
                return await _stopped(life, order)
            continue
        if kind is BodyEnded:
            assert isinstance(item, BodyEnded)
            return Finished(item.result)
        if kind is CheckpointDue:
            if life.durable or not life.keeps:
                _settle(life, None, None)
            else:
                _keep(life, "")
            continue
        if kind is Tick:
            assert isinstance(item, Tick)
            await _tick(life, item)
        else:
            await _message(life, item)
        if slot.inflight >= _SETTLES_IN_FLIGHT and slot.store is not None:
            await slot.store.settled()
        handled += 1
        if not handled % _MESSAGES_PER_LOOK_AT_THE_CLOCK and life.clock.now() > slice_ends:
            await trio.lowlevel.checkpoint()
            slice_ends = life.clock.now() + _SECONDS_PER_SLICE


async def _stopped(life: Life, order: StopOrder) -> Exit:
    """End in order: let a body that asked for it end by itself, keep the state, wait until it is on disk."""
    if overrides(life.agent, "run") and life.agent.drains_body:
        life.stop_requested.set()
        life.slot.pause("stopping")
        try:
            while not isinstance(life.slot.take(), BodyEnded):
                await life.slot.wait()
        finally:
            life.slot.resume("stopping")
    if life.keeps and not life.durable:
        _keep(life, "")
    if life.slot.store is not None:
        await life.slot.store.settled()
    return Stopped(order.reason)


async def _message(life: Life, item: object) -> None:
    slot, turn = life.slot, life.turn
    if type(item) is Envelope:
        if item.deadline is not None and item.deadline <= life.clock.now():
            return
        envelope, body = item, item.body
    else:
        envelope, body = Envelope(item), item
    found = life.agent.handlers.get(type(body)) or lookup(type(life.agent), type(body))
    if found is None:
        _refuse(life, envelope)
        return
    turn.begin(envelope)
    _in_hand(life, envelope)
    try:
        result = found.call(life.agent, body)
        if found.awaits:
            result = await result
        if result is not None and life.outlet and envelope.reply is None:
            for ref in life.outlet:
                await ref.tell(result, within=math.inf)
    except Stop:
        _answer_with_the_end(slot, envelope)
        _settle(life, envelope, None)
        slot.busy = None
        raise
    except Exception as error:
        limited = rate_limit_of(error)
        if limited is None:
            raise
        _throttle(life, envelope, limited)
        return
    _settle(life, envelope, result)
    slot.busy = None


async def _tick(life: Life, tick: Tick) -> None:
    each = next(each for each in life.agent.repeated if each.name == tick.name)
    life.turn.begin(Envelope(tick))
    _in_hand(life, tick)
    life.ticking.discard(tick.name)
    timers = (Due(tick.name, life.slot.due[tick.name]),) if life.keeps else ()
    try:
        result = each.call(life.agent)
        if each.awaits:
            await result
    except Stop:
        _settle(life, None, None, timers)
        life.slot.busy = None
        raise
    except Exception as error:
        limited = rate_limit_of(error)
        if limited is None:
            raise
        _throttle(life, None, limited)
        return
    _settle(life, None, None, timers)
    life.slot.busy = None


def _in_hand(life: Life, item: object) -> None:
    slot = life.slot
    slot.busy = item
    if life.watched:
        slot.busy_since = slot.progress_at = life.clock.now()


def _refuse(life: Life, envelope: Envelope) -> None:
    """A message that nobody can handle, stored by code that could: give it up with its reason."""
    slot = life.slot
    text = f"{slot.path}: no handler for {type(envelope.body).__qualname__}"
    if envelope.reply is not None:
        envelope.reply(None, NotHandled(text, path=slot.path, retry_safe=True))
    elif slot.on_drop is not None:
        slot.on_drop(envelope, "no handler for its type")


def _settle(life: Life, envelope: Envelope | None, result: Any, timers: tuple[Due, ...] = ()) -> None:
    """Make one handled message count: at once in memory, or queued for the disk with everything that it did."""
    slot, turn, agent = life.slot, life.turn, life.agent
    life.settled += 1
    slot.handled += 1
    state = agent.state
    if not life.durable:
        slot.state = life.state = state
        _leave(tuple(turn.outgoing), envelope, result)
        if life.keeps:
            _keep_if_due(life, timers)
        elif turn.events and slot.store is not None:
            _submit(life, Settled(slot.path, turn.generation, events=tuple(turn.events)))
        turn.begin(None)
        return
    done = Settled(
        path=slot.path,
        generation=turn.generation,
        envelope=envelope,
        state=KEEP if state is life.state and life.checkpoint_name is None else state,
        reply=result,
        outgoing=tuple(turn.outgoing),
        events=tuple(turn.events),
        timers=timers,
        checkpoint=life.take_checkpoint(),
    )
    life.state = state
    turn.begin(None)
    _submit(life, done, state)


def _answer_with_the_end(slot: Slot, envelope: Envelope) -> None:
    """An ask whose handler chose to end gets told so, after its settle."""
    reply = envelope.reply
    if reply is not None:
        error = AgentStopped(f"{slot.path}: it ended while it handled this ask", path=slot.path)
        envelope.reply = lambda _value, _error: reply(None, error)


def _leave(outgoing: tuple[Outgoing, ...], envelope: Envelope | None, result: Any) -> None:
    for message in outgoing:
        message.release()
    if envelope is not None and envelope.reply is not None:
        envelope.reply(result, None)


def _submit(life: Life, done: Settled, state: object = KEEP) -> None:
    slot = life.slot
    assert slot.store is not None
    slot.inflight += 1
    slot.store.settle(done, partial(_committed, life, done, state))


def _committed(life: Life, done: Settled, state: object, error: BaseException | None) -> None:
    """After the commit: what the handler did may leave now, or it never happened."""
    slot = life.slot
    slot.inflight -= 1
    if error is None and not life.lost:
        if state is not KEEP:
            slot.state = state
        if life.durable:
            _leave(done.outgoing, done.envelope, done.reply)
        return
    life.lost = True
    for message in done.outgoing:
        message.cancel()
    if done.envelope is not None:
        if done.envelope.reply is not None:
            failure = Failure("CommitFailed", str(error))
            done.envelope.reply(None, AgentFailed(slot.path, failure, retry_safe=True))
        else:
            life.unsettled.append(done.envelope)
    if error is not None:
        life.warden.commit_failed(error)


def _keep_if_due(life: Life, timers: tuple[Due, ...]) -> None:
    """For durability `checkpoint(every=...)`: keep the state when it is time, or see to it that it will be."""
    life.since_checkpoint += 1
    level = life.slot.spec.durability
    assert isinstance(level, Checkpointed)
    if life.checkpoint_name is not None or (level.messages is not None and life.since_checkpoint >= level.messages):
        _keep(life, "", timers)
    elif life.turn.events:
        _submit(life, Settled(life.slot.path, life.turn.generation, events=tuple(life.turn.events), timers=timers))
    elif level.seconds is not None and life.checkpoint_alarm is None:
        due = life.clock.now() + level.seconds
        life.checkpoint_alarm = life.alarms.at(due, lambda: life.slot.put_control(CheckpointDue()))


def _keep(life: Life, name: str, timers: tuple[Due, ...] = ()) -> None:
    if life.checkpoint_alarm is not None:
        life.checkpoint_alarm.cancel()
        life.checkpoint_alarm = None
    if not life.since_checkpoint:
        return
    life.since_checkpoint = 0
    _submit(
        life,
        Settled(
            life.slot.path,
            life.turn.generation,
            state=life.agent.state,
            events=tuple(life.turn.events),
            timers=timers or tuple(Due(key, at) for key, at in life.slot.due.items()),
            checkpoint=life.take_checkpoint() or name,
        ),
    )


def _throttle(life: Life, envelope: Envelope | None, limited: RateLimited) -> None:
    """Slow down: undo what the handler did, keep the message, and let the supervisor say for how long."""
    slot = life.slot
    life.agent.state = life.state
    life.turn.drop()
    slot.busy = None
    slot.pause("throttled")
    if envelope is not None:
        slot.put_back([envelope])
    life.warden.rate_limited(limited.after, envelope, describe(limited))


def rate_limit_of(error: BaseException) -> RateLimited | None:
    """`error` as a rate limit, if it is one: ours, or any exception whose `response.status_code` is 429."""
    if isinstance(error, RateLimited):
        return error
    response = getattr(error, "response", None)
    if getattr(response, "status_code", None) != 429:
        return None
    raw: Any = getattr(response, "headers", {}).get("Retry-After")
    try:
        after = max(0.0, float(raw)) if raw is not None else None
    except ValueError:
        after = None
    limited = RateLimited(after, str(error))
    limited.__traceback__ = error.__traceback__
    return limited


def _failure(life: Life, error: Exception) -> Failure:
    busy = life.slot.busy
    if isinstance(busy, Envelope):
        return describe(error, message=busy.id or None, message_kind=type(busy.body).__qualname__)
    if isinstance(busy, Tick):
        return describe(error, message_kind=f"every:{busy.name}")
    return describe(error)
