"""One message or tick: find its handler, call it, settle. What a handler raises is sorted here."""

from __future__ import annotations

import math
from collections.abc import Callable, Coroutine
from types import CoroutineType
from typing import Any, TypeAlias, cast

from .agent import lookup
from .asking import answer_of
from .core.exit import alone, leaves
from .core.message import Due, Envelope, Happened
from .core.path import Path
from .core.said import DELIVERY
from .errors import AgentStopped, AskTimeout, NotHandled, Parked, Stash, Stop
from .life import Life
from .outlets import hand_on
from .settle import large, settle
from .ticks import Tick, Timed, deaths_of, dues_of

__all__ = ["bear", "call", "finish", "handle", "unwrap"]

Rest: TypeAlias = Coroutine[Any, Any, None] | None


def handle(life: Life, item: object) -> Rest:
    """Handle one message or tick: find the handler, call it, settle. Returns what has to be awaited, if anything has.

    Raises what the handler raises, before or while it is awaited; `Stop` after it has settled. A rate limit raises
    nothing: the message is in the mailbox again, and the slot is paused.
    """
    handler = life.handlers.get(type(item))
    return unwrap(life, item) if handler is None else call(life, item, item, handler)


def unwrap(life: Life, item: object) -> Rest:
    """As `handle`, for what is not a message for which there is a handler as it is: a tick, an envelope, a subclass."""
    body = item
    if type(item) is Envelope:
        body = item.body
        if item.deadline is not None and item.deadline <= life.clock.now() and not _came_back(life, item):
            _expire(life, item)
            return None
    elif isinstance(item, Tick):
        return _timed(life, item) if isinstance(item, Timed) else _tick(life, item)
    handler = life.handlers.get(type(body)) or _inherited(life, type(body))
    if handler is None:
        _refuse(life, item if type(item) is Envelope else Envelope(body))
        return None
    if type(item) is Envelope and item.reply is not None and item.id:
        life.slot.busy = item  # and not only when its handler begins: whoever asked is told if this life ends before
        life.slot.busy_since = math.inf  # nor is it slow while it waits for the disk
        return _step(life, item, handler)
    return call(life, item, body, handler)


def call(life: Life, item: object, body: object, handler: Callable[..., Any]) -> Rest:
    """Call the handler of `body`, which came as `item`; a plain function is done when this returns."""
    life.slot.busy = item
    try:
        result = handler(life.agent, body)
    except Exception as error:
        if not bear(life, item, error):
            raise
        return None
    return finish(life, item, result)


def finish(life: Life, item: object, result: Any) -> Rest:
    """After a handler was called: settle what it did, or say what has to be awaited before that."""
    if result is not None and (type(result) is CoroutineType or life.outlet):
        life.called = result
        life.begin()
        return _await(life, item, result)
    if life.keeps:
        taking = large(life, item, result)
        if taking is not None:
            life.called = taking
            return _settle_large(life, item, result, taking)
    settle(life, item, result)
    return None


async def _settle_large(life: Life, item: object, result: Any, taking: Coroutine[Any, Any, None]) -> None:
    await taking
    settle(life, item, result)


async def _await(life: Life, item: object, result: Any) -> None:
    """What a handler waits for after it was called."""
    try:
        if type(result) is CoroutineType:
            result = await cast("Coroutine[Any, Any, Any]", result)
        if result is not None and life.outlet and not (type(item) is Envelope and item.reply is not None):
            await hand_on(life, result)
    except Exception as error:
        if not bear(life, item, error):
            raise
    except BaseException as error:
        rest = _unwound(life, item, error)
        if rest is error:
            raise
        if rest is not None and not (issubclass(type(rest), Exception) and bear(life, item, cast("Exception", rest))):
            raise rest from None
    else:
        taking = large(life, item, result) if life.keeps else None
        if taking is not None:
            await taking
        settle(life, item, result)


async def _step(life: Life, envelope: Envelope, handler: Callable[..., Any]) -> None:
    """An ask of a durable handler. If that runs again it asks again, and gets the reply that it got before."""
    slot, store = life.slot, life.slot.store
    if store is not None and slot.durable:
        await store.settled()
        begins = None
        while not begins:
            answer = answer_of(envelope.reply)  # another life has asked it, too, or may have been ended over it since
            wanted = answer is None or answer.asking is not None
            kept = await store.kept(envelope.id, wanted)
            if kept is not None and envelope.reply is not None:
                slot.busy = None
                envelope.reply(kept[0], None if wanted else _left_behind(slot.path))
                return
            begins = await store.begins(envelope, slot)
            if begins is False:
                slot.busy = None
                return
        life.turn.more = True
    rest = call(life, envelope, envelope.body, handler)
    if rest is not None:
        await rest


def _left_behind(path: Path) -> AgentStopped:
    return AgentStopped(f"{path}: whoever asked this has ended", path=path)


async def _tick(life: Life, tick: Tick) -> None:
    each = next(each for each in type(life.agent).repeated if each.name == tick.name)
    slot, due = life.slot, life.take_tick(tick.name)
    slot.busy = tick
    life.begin()
    timers = dues_of(slot, tick.name, due)
    try:
        result = each.call(life.agent)
        if type(result) is CoroutineType:
            await result
    except Exception as error:
        if (dates := life.dates_of(tick.name)) is not None:
            dates.over(tick.name)
        if not bear(life, tick, error, timers):
            raise
    else:
        taking = large(life, tick) if life.keeps else None
        if taking is not None:
            await taking
        if (dates := life.dates_of(tick.name)) is not None:
            dates.over(tick.name)
        settle(life, tick, timers=timers)
        if slot.agent is life.agent:
            ticks = slot.ticks = {} if slot.ticks is None else slot.ticks
            ticks[tick.name] = ticks.get(tick.name, 0) + 1
            if len(timers) > 1:
                del slot.due[deaths_of(tick.name)]


def _timed(life: Life, tick: Timed) -> Rest:
    """A message that the agent has set for itself, unless it has called it off since."""
    handler = lookup(life, type(tick.message))
    if handler is None or not life.afters.take(tick):
        return None
    return call(life, tick, tick.message, handler)


def bear(life: Life, item: object, error: Exception, timers: tuple[Due, ...] = ()) -> bool:
    """Whether what a handler raised is no failure. A wish to end settles it, and is raised on its own."""
    cause = alone(error)
    kind = type(cause)  # and no `isinstance`, which asks an odd one what it is
    if issubclass(kind, Stop):
        if type(item) is Envelope and item.reply is not None:
            _answer_with_the_end(life, item)
        settle(life, item, timers=timers)
        raise cause
    if issubclass(kind, Stash):
        from .undone import put_aside  # with the first message that is put aside

        put_aside(life, item)
        return True
    from .limited import rate_limit_of  # with the first failure

    limited = rate_limit_of(cause, life.clock.wall)
    if limited is None:
        return False
    from .undone import throttle  # with the first rate limit

    throttle(life, item, limited)
    return True


def _answer_with_the_end(life: Life, envelope: Envelope) -> None:
    """An ask whose handler chose to end gets told so, after its settle."""
    reply, path = envelope.reply, life.slot.path
    assert reply is not None
    error = AgentStopped(f"{path}: it ended while it handled this ask", path=path, retry_safe=False)
    envelope.reply = lambda _value, failed: reply(None, failed or error)


def _unwound(life: Life, item: object, error: BaseException) -> BaseException | None:
    """What a handler has raised besides that it waits; None if that is all."""
    if not any(issubclass(type(each), Parked) for each in leaves(error)):  # no `isinstance`: see `bear`
        return error
    from .waits import unwound  # with the first wait

    return unwound(life, item, error)


def _came_back(life: Life, envelope: Envelope) -> bool:
    """Whether this is no ask whose limit has passed, but a message that was parked."""
    if envelope.reply is not None:
        return False
    from .waits import look_again

    return look_again(life, envelope)


def _expire(life: Life, envelope: Envelope) -> None:
    """Nobody waits for this any more."""
    if envelope.since is not None:
        life.warden.measured(DELIVERY, life.clock.now() - envelope.since)
    if envelope.reply is not None:
        if envelope.id and ">" not in envelope.id and life.slot.store is not None:
            life.slot.store.steps(life.slot).forget(envelope.id)  # its handler had effects, and was asked to slow down
        path, kind = life.slot.path, type(envelope.body).__qualname__
        text = f"{path}: {kind} came to its turn after its limit had passed, and was not handled"
        envelope.reply(None, AskTimeout(text, path=path, retry_safe=True))


def _inherited(life: Life, kind: type) -> Callable[..., Any] | None:
    """The handler for messages of a type that `kind` inherits from. Events go to those who wait for them."""
    return None if kind is Happened and life.slot.durable else lookup(life, kind)


def _refuse(life: Life, envelope: Envelope) -> None:
    """An event; or a message that nobody can handle, stored by code that could: give it up with its reason."""
    slot = life.slot
    if type(envelope.body) is Happened and slot.durable and slot.store is not None and envelope.reply is None:
        slot.store.steps(slot).events.arrived(envelope)
        slot.handled += 1
        return
    if envelope.reply is not None:
        text = f"{slot.path}: no handler for {type(envelope.body).__qualname__}"
        envelope.reply(None, NotHandled(text, path=slot.path, retry_safe=True))
    elif slot.on_drop is not None:
        slot.on_drop(envelope, "no handler for its type")
