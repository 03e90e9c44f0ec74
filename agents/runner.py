"""`run_agent`: receive, handle, settle, reply. The only caller of handlers."""

from __future__ import annotations

import math
from collections.abc import Callable, Coroutine
from types import CoroutineType
from typing import Any, Final, TypeAlias, cast

import trio

from .agent import lookup, overrides
from .core.exit import Exit, Failed, Failure, Finished, Stopped, alone, describe
from .core.message import Due, Envelope
from .errors import AgentStopped, AskTimeout, NotHandled, Stop
from .life import BodyEnded, CheckpointDue, Life, RunAgain, StopAsked, StopOrder, Tick
from .settle import keep, rate_limit_of, settle, settle_beside, throttle
from .slot import current_turn

__all__ = ["handle", "run_agent", "start_agent"]

Rest: TypeAlias = Coroutine[Any, Any, None] | None

_MESSAGES_PER_LOOK_AT_THE_CLOCK: Final = 16
_MESSAGES_PER_SLICE: Final = 512
_SECONDS_PER_SLICE: Final = 0.001
_SETTLES_IN_FLIGHT: Final = 256
_ORDERS: Final = frozenset({StopOrder, BodyEnded, StopAsked, CheckpointDue, RunAgain})


async def start_agent(life: Life) -> Any:
    """Run `on_start` and return what it returns. State that it leaves counts when `run_agent` begins."""
    current_turn.set(life.beside)
    return await life.agent.on_start()


async def run_agent(life: Life) -> Exit:
    """Live one incarnation, from its first message to `on_stop`, and say how it ended.

    After `start_agent`, in the same task. Every `Exception` becomes a `Failed`; `trio.Cancelled`, `KeyboardInterrupt`
    and other bare `BaseException`s pass, and then `on_stop` does not run. Cancelled: what is in hand is not settled.
    """
    exit: Exit
    try:
        settle_beside(life)
        exit = await (_with_body(life) if overrides(life.agent, "run") else _messages(life))
        await _wind_up(life)
    except Exception as error:
        life.error = error
        exit = Failed(_failure(life, error))
    life.turn.drop()
    if overrides(life.agent, "on_stop"):
        exit = await _on_stop(life, exit)
    return exit


async def _wind_up(life: Life) -> None:
    """What has settled is kept, and on disk, before the end is told."""
    if life.slot.agent is not life.agent:
        return
    if life.keeps and not life.slot.durable:
        keep(life)
    if life.slot.store is not None:
        await life.slot.store.settled()


async def _on_stop(life: Life, exit: Exit) -> Exit:
    current_turn.set(life.beside)
    failed: Exception | None = None
    with trio.move_on_after(life.stop_within) as limit:
        try:
            await life.agent.on_stop(exit)
        except Exception as error:
            failed = error
    if limit.cancelled_caught:
        failed = TimeoutError(f"on_stop took longer than {life.stop_within:g} s")
    if failed is None or isinstance(exit, Failed):
        return exit
    life.error = failed
    return Failed(describe(failed))


# -- the loop


async def _messages(life: Life) -> Exit:
    """Control first, then what the mailbox hands out, until something says how it ends."""
    slot, agent = life.slot, life.agent
    current_turn.set(life.turn)
    handled = 0
    left: int | None = None
    exit: Exit | None = None
    slice_ends = life.clock.now() + _SECONDS_PER_SLICE
    while exit is None:
        if slot.agent is not agent:
            await trio.sleep_forever()  # void: its cancellation is on its way, and it must not take another message
        item = None if left == 0 else slot.take()
        if item is None:
            if life.draining is not None:
                await _let_body_end(life)
                return Stopped(life.draining.reason)
            await slot.wait()
            slice_ends = life.clock.now() + _SECONDS_PER_SLICE
            continue
        if type(item) in _ORDERS:
            exit = await _obey(life, item)
            if life.draining is not None and left is None:
                left = len(slot)  # and not what comes later: whoever tells itself the next message is never done
            continue
        try:
            rest = handle(life, item)
            if rest is not None:
                await rest
        except Stop as stop:
            return _in_order(stop.reason)
        if slot.inflight >= _SETTLES_IN_FLIGHT and slot.store is not None:
            await slot.store.settled()
        handled += 1
        if left:
            left -= 1
        if not handled % _MESSAGES_PER_LOOK_AT_THE_CLOCK and (
            not handled % _MESSAGES_PER_SLICE or life.clock.now() > slice_ends
        ):
            await trio.lowlevel.checkpoint()
            slice_ends = life.clock.now() + _SECONDS_PER_SLICE
    return exit


async def _obey(life: Life, order: object) -> Exit | None:
    """Do what the control lane says. Returns how it ends, if it does."""
    match order:
        case StopOrder(reason, drain):
            life.disarm()
            if drain and not life.slot.durable:
                life.draining = order
                return None
            return await _let_body_end(life) or Stopped(reason)
        case BodyEnded(result):
            settle_beside(life)
            return Finished(result)
        case StopAsked(reason):
            settle_beside(life)
            return _in_order(reason)
        case RunAgain(body):
            body.set()
        case _:
            settle_beside(life)
            if life.keeps and not life.slot.durable:
                keep(life)
    return None


def _in_order(reason: str | None) -> Exit:
    return Finished() if reason is None else Stopped(reason)


# -- a body


async def _with_body(life: Life) -> Exit:
    exit: Exit | None = None
    error: BaseException | None = None
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_body, life)
            exit = await _messages(life)
            nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        error = alone(group)
    if error is not None:  # raised here and not above, so that it keeps the context that it came with
        raise error
    if exit is None:  # the nursery takes any `Cancelled` for its own
        raise RuntimeError("its body raised trio.Cancelled, although nobody had cancelled it")
    return exit


async def _body(life: Life) -> None:
    current_turn.set(life.beside)
    while True:
        try:
            result = await life.agent.run()
        except Exception as error:
            cause = alone(error)
            if isinstance(cause, Stop):
                life.slot.put_control(StopAsked(cause.reason))
                return
            limited = rate_limit_of(cause)
            if limited is None:
                raise
            life.again = trio.Event()
            throttle(life, None, limited)
            life.slot.put_due(RunAgain(life.again))
            await life.again.wait()
            life.again = None
        else:
            life.slot.put_control(BodyEnded(result))
            return


async def _let_body_end(life: Life) -> Exit | None:
    """Let a body that asked for it end by itself; what it still says is kept. Returns how, if it says so (`Stop`)."""
    slot = life.slot
    if not overrides(life.agent, "run") or not life.agent.drains_body or life.again is not None:
        return None
    life.stop_requested.set()
    slot.pause("stopping")
    try:
        while True:
            order = slot.take()
            if isinstance(order, (BodyEnded, StopAsked)):
                settle_beside(life)
                return _in_order(order.reason) if isinstance(order, StopAsked) else None
            if order is None:
                await slot.wait()
            elif isinstance(order, CheckpointDue):
                settle_beside(life)
    finally:
        slot.resume("stopping")


# -- one message


def handle(life: Life, item: object) -> Rest:
    """Handle one message or tick: find the handler, call it, settle. Returns what has to be awaited, if anything has.

    Raises what the handler raises, before or while it is awaited; `Stop` after it has settled. A rate limit raises
    nothing: the message is in the mailbox again, and the slot is paused.
    """
    handler = life.agent.handlers.get(type(item))
    if handler is None:
        return _unwrap(life, item)
    return _call(life, item, item, handler)


def _unwrap(life: Life, item: object) -> Rest:
    if isinstance(item, Tick):
        return _tick(life, item)
    body = item
    if type(item) is Envelope:
        body = item.body
        if item.deadline is not None and item.deadline <= life.clock.now():
            _expire(life, item)
            return None
    handler = life.agent.handlers.get(type(body)) or lookup(type(life.agent), type(body))
    if handler is None:
        _refuse(life, item if type(item) is Envelope else Envelope(body))
        return None
    if type(item) is Envelope and item.reply is not None and item.id:
        return _step(life, item, handler)
    return _call(life, item, body, handler)


def _call(life: Life, item: object, body: object, handler: Callable[..., Any]) -> Rest:
    """Call the handler of `body`, which came as `item`; a plain function is done when this returns."""
    _in_hand(life, item)
    try:
        result = handler(life.agent, body)
        if type(result) is CoroutineType or life.outlet:
            return _await(life, item, result)
    except Exception as error:
        if not _bear(life, item, error):
            raise
    else:
        settle(life, item, result)
    return None


async def _await(life: Life, item: object, result: Any) -> None:
    """What a handler waits for after it was called."""
    try:
        if type(result) is CoroutineType:
            result = await cast("Coroutine[Any, Any, Any]", result)
        if result is not None and life.outlet and not (type(item) is Envelope and item.reply is not None):
            for ref in life.outlet:
                await ref.tell(result, within=math.inf)
    except Exception as error:
        if not _bear(life, item, error):
            raise
    else:
        settle(life, item, result)


async def _step(life: Life, envelope: Envelope, handler: Callable[..., Any]) -> None:
    """An ask of a durable handler. If that runs again it asks again, and gets the reply that it got before."""
    slot, store = life.slot, life.slot.store
    if store is not None and slot.durable:
        await store.settled()
        kept = store.kept(envelope.id)
        if kept is not None and envelope.reply is not None:
            envelope.reply(kept[0], None)
            return
    rest = _call(life, envelope, envelope.body, handler)
    if rest is not None:
        await rest


async def _tick(life: Life, tick: Tick) -> None:
    each = next(each for each in life.agent.repeated if each.name == tick.name)
    life.take_tick(tick.name)
    _in_hand(life, tick)
    timers = (Due(tick.name, life.slot.due[tick.name]),) if life.slot.durable else ()
    try:
        result = each.call(life.agent)
        if type(result) is CoroutineType:
            await result
    except Exception as error:
        if not _bear(life, tick, error, timers):
            raise
    else:
        settle(life, tick, timers=timers)


def _in_hand(life: Life, item: object) -> None:
    slot = life.slot
    slot.busy = item
    if life.watched:
        slot.busy_since = slot.progress_at = life.clock.now()


def _bear(life: Life, item: object, error: Exception, timers: tuple[Due, ...] = ()) -> bool:
    """Whether what a handler raised is no failure. A wish to end settles it, and is raised on its own."""
    cause = alone(error)
    if isinstance(cause, Stop):
        if type(item) is Envelope and item.reply is not None:
            _answer_with_the_end(life, item)
        settle(life, item, timers=timers)
        raise cause
    limited = rate_limit_of(cause)
    if limited is None:
        return False
    throttle(life, item, limited)
    return True


def _answer_with_the_end(life: Life, envelope: Envelope) -> None:
    """An ask whose handler chose to end gets told so, after its settle."""
    reply, path = envelope.reply, life.slot.path
    assert reply is not None
    error = AgentStopped(f"{path}: it ended while it handled this ask", path=path)
    envelope.reply = lambda _value, failed: reply(None, failed or error)


def _expire(life: Life, envelope: Envelope) -> None:
    """Nobody waits for this any more."""
    if envelope.reply is not None:
        path, kind = life.slot.path, type(envelope.body).__qualname__
        text = f"{path}: {kind} came to its turn after its limit had passed, and was not handled"
        envelope.reply(None, AskTimeout(text, path=path, retry_safe=True))


def _refuse(life: Life, envelope: Envelope) -> None:
    """A message that nobody can handle, stored by code that could: give it up with its reason."""
    slot = life.slot
    if envelope.reply is not None:
        text = f"{slot.path}: no handler for {type(envelope.body).__qualname__}"
        envelope.reply(None, NotHandled(text, path=slot.path, retry_safe=True))
    elif slot.on_drop is not None:
        slot.on_drop(envelope, "no handler for its type")


def _failure(life: Life, error: Exception) -> Failure:
    busy = life.slot.busy if life.slot.agent is life.agent else None
    if isinstance(busy, Envelope):
        return describe(error, message=busy.id or None, message_kind=type(busy.body).__qualname__)
    if isinstance(busy, Tick):
        return describe(error, message_kind=f"every:{busy.name}")
    return describe(error, message_kind=None if busy is None else type(busy).__qualname__)
