"""`run_agent`: receive, handle, settle, reply, until something says how it ends."""

from __future__ import annotations

from types import CoroutineType
from typing import Any, Final

import trio
from trio.lowlevel import checkpoint, current_task, wait_task_rescheduled

from .agent import overrides, to_await
from .core.exit import Exit, Failed, Finished, Stopped, describe, failed_by, storable
from .core.message import Envelope
from .errors import Stop
from .handling import bear, call, finish, handle, unwrap
from .life import Life
from .mailbox import Leave
from .orders import Begun, BodyEnded, CheckpointDue, Killed, Raised, RunAgain, StopAsked, StopOrder
from .serving import serve, serve_on_disk
from .settle import keep_in_turn, settle, settle_beside, settle_in_turn
from .slice import Slice
from .slot import current_turn
from .ticks import Tick
from .traffic import in_on_start

__all__ = ["failed", "handle_messages", "run_agent", "start_agent"]

_SETTLES_IN_FLIGHT: Final = 256
_ORDERS: Final = frozenset({StopOrder, BodyEnded, StopAsked, CheckpointDue, RunAgain, Raised, Begun, Killed})


async def start_agent(life: Life) -> Any:
    """Run `on_start` and return what it returns. State that it leaves counts when `run_agent` begins."""
    current_turn.set(life.beside)
    over = trio.Event()
    in_on_start.set(over)
    try:
        return await to_await(life.agent, "on_start", life.agent.on_start())
    finally:
        over.set()
        in_on_start.set(None)


async def run_agent(life: Life) -> Exit | None:
    """Live one incarnation, from its first message to `on_stop`, and say how it ended. None: it hibernates, and goes on
    where this is called again.

    After `start_agent`, in the same task. Every `Exception` becomes a `Failed`; `trio.Cancelled`, `KeyboardInterrupt`
    and other bare `BaseException`s pass, and then `on_stop` does not run. Cancelled: what is in hand is not settled.
    """
    exit: Exit | None
    try:
        if life.keeps:
            await _settle_beside(life)
        else:
            settle_beside(life)
        if overrides(life.agent, "run"):
            from .body import with_body  # most agents have none

            exit = await with_body(life, _messages)
        else:
            exit = await _messages(life)
        if exit is None:
            return None
        await _wind_up(life)
    except Exception as error:
        life.begin()  # `on_stop` has its own limit
        exit = failed(life, error)
    life.turn.drop()
    if overrides(life.agent, "on_stop"):
        exit = await _on_stop(life, exit)
    return exit


def failed(life: Life, error: Exception) -> Failed:
    """The exit of a life that `error` has ended."""
    life.error = error
    return _failed_by(life, error)


async def _wind_up(life: Life) -> None:
    """What has settled is kept, and on disk, before the end is told."""
    await keep_in_turn(life)
    if life.slot.agent is life.agent and life.slot.store is not None:
        await life.slot.store.settled()


async def _on_stop(life: Life, exit: Exit) -> Exit:
    current_turn.set(life.beside)
    failed: Exception | None = None
    with trio.move_on_after(life.stop_within) as limit:
        try:
            await to_await(life.agent, "on_stop", life.agent.on_stop(exit))
        except Exception as error:
            failed = error
    if limit.cancelled_caught:
        failed = TimeoutError(f"on_stop took longer than {life.stop_within:g} s")
    if failed is None or isinstance(exit, Failed):
        return exit
    life.error = failed
    return Failed(describe(failed))


# -- the loop


async def _messages(life: Life) -> Exit | None:
    """Control first, then what the mailbox hands out, until something says how it ends. None: it hibernates."""
    left, life.left = life.left, None
    try:
        if isinstance(left, CoroutineType):
            await left
            await _stay(life)
        elif left is not None:
            exit = await _obey(life, left)
            if exit is not None:
                return exit
    except Stop as stop:
        return _in_order(stop.reason)
    return await handle_messages(life)


async def handle_messages(life: Life) -> Exit | None:
    """Control first, then what the mailbox hands out, until something says how it ends.

    None, if it hibernates; or if the task is not `life.cancellable`: its incarnation has ended, or what is `left` has
    to be waited for, which `run_agent` does.
    """
    if life.slot.agent is not life.agent and not life.cancellable:
        return None
    slot, agent, turn, handlers = life.slot, life.agent, life.turn, life.handlers
    current_turn.set(turn)
    task = current_task()
    leave = Leave(slot, task)
    scoped, light, durable = life.cancellable, life.light and not life.outlet, slot.durable
    if type(agent).plain and handlers is type(agent).handlers and not (life.outlet or agent.keeps_task):
        slot.serve = serve if light else serve_on_disk if durable else None  # others are timed, or need their task
    arrived, next_ones, alone = slot.arrived, slot.next_ones, slot.mail is slot
    share = life.rounds.slice()
    while True:
        for _ in share.between:
            if not slot.simple or not alone:
                item = slot.take()
            elif next_ones:
                item = next_ones.pop()
            elif arrived:
                waiting = len(arrived)
                if waiting == 1:
                    item = arrived.pop()
                elif waiting == 2:  # `take` has more to do than there is to handle
                    slot.since = slot.since_in
                    next_ones.append(arrived.pop())
                    item = arrived.pop()
                else:
                    item = slot.take()
            else:
                item = None
            try:
                if item is None:
                    slot.reader = task
                    if await wait_task_rescheduled(leave) and life.lets_go(task):
                        return None
                    if slot.agent is not agent or slot.inflight:
                        if not life.cancellable:
                            return None
                        await _stay(life)
                    share.rested = True
                    break
                handler = handlers.get(type(item))
                if handler is not None and light:
                    slot.busy = item
                    rest = None
                    try:
                        result = handler(agent, item)
                        if result is not None and type(result) is CoroutineType and scoped:
                            life.begin()
                            share.awaited = True
                            await result
                            settle(life, item)
                            if slot.agent is not agent:
                                await _stay(life)
                            continue
                    except Exception as error:
                        if not bear(life, item, error):
                            if not life.cancellable:
                                _leave_out(error)
                                share.leave()
                                del leave  # the frame of the handler leads to this one, and is kept
                                return failed(life, error)
                            raise
                    else:
                        if (
                            agent.state is not life.state
                            or turn.events
                            or (result is not None and type(result) is CoroutineType)  # pyright: ignore[reportUnknownArgumentType] (narrowed above)
                        ):
                            rest = finish(life, item, result)
                        else:  # all that there is to settle
                            slot.handled += 1
                            slot.busy = None
                            if slot.agent is agent:
                                continue
                elif handler is not None:
                    rest = call(life, item, item, handler)
                elif type(item) in _ORDERS:
                    if not life.cancellable:
                        if type(item) is StopOrder and not (item.drain and len(slot)):
                            return Stopped(item.reason)
                        life.left = item
                        return None
                    exit = await _obey(life, item)
                    if exit is not None:
                        return exit
                    continue
                else:
                    rest = unwrap(life, item)
                if rest is not None:
                    if not life.cancellable:
                        if slot.agent is agent:
                            life.left = rest
                        else:
                            Begun(rest, life.called).discard()
                        return None
                    share.awaited = True
                    await rest
                    if slot.agent is not agent or slot.inflight:
                        await _stay(life)
                elif durable or slot.agent is not agent:
                    if not life.cancellable:
                        return None
                    await _stay(life)
            except Stop as stop:
                return _in_order(stop.reason)
            except Exception:
                share.leave()
                raise
            except BaseException:  # Ctrl-C may come before it waits: a message would wake a task that does not
                slot.leave(task)
                raise
        else:
            if share.is_over():
                await share.give_way()
                if slot.agent is not agent and not life.cancellable:
                    return None


def _leave_out(error: Exception) -> None:
    """Take the caller's frame off a traceback that begins with it."""
    began = error.__traceback__
    if began is not None and began.tb_next is not None:  # otherwise the handler was not even entered
        error.__traceback__ = began.tb_next


async def _stay(life: Life) -> None:
    """After a wait: go on if this is still the life that counts, and not too far ahead of the disk."""
    slot = life.slot
    if slot.inflight >= _SETTLES_IN_FLIGHT and slot.store is not None:
        await slot.store.settled()
    if slot.agent is not life.agent:
        await trio.sleep_forever()  # void: its cancellation is on its way, and it must not take another message


async def _settle_beside(life: Life) -> None:
    await settle_in_turn(life)
    await _stay(life)  # one that has ended meanwhile takes nothing more


async def _obey(life: Life, order: object) -> Exit | None:
    """Do what the control lane says. Returns how it ends, if it does."""
    match order:
        case StopOrder(reason, drain):
            life.disarm()
            if drain and not life.slot.durable:
                exit = await _drain(life)
                if exit is not None:
                    return exit
            if overrides(life.agent, "run") and life.agent.drains_body and life.again is None:
                from .body import let_body_end

                asked = await let_body_end(life, _settle_beside)
                if asked is not None:
                    return _in_order(asked.reason)
            return Stopped(reason)
        case BodyEnded(result):
            await _settle_beside(life)
            return Finished(result)
        case StopAsked(reason):
            await _settle_beside(life)
            return _in_order(reason)
        case RunAgain(body):
            body.set()
        case Raised(error, state):
            life.agent.state = state
            raise error
        case Killed():
            await checkpoint()
        case Begun(rest):
            life.begun = None
            await rest
            await _stay(life)
        case _:
            await _settle_beside(life)
            await keep_in_turn(life)
            await _stay(life)
    return None


async def _drain(life: Life) -> Exit | None:
    """Handle what waits now, and not what comes later: whoever tells itself the next message is never done."""
    share, life.drains = Slice(life.rounds), True
    handled, looked, waiting = 0, 0, life.slot.backlog
    while handled < waiting:
        item = life.slot.take()
        if item is None:
            return None
        if type(item) in _ORDERS:
            exit = await _obey(life, item)
            if exit is not None:
                return exit
            continue
        rest = handle(life, item)
        if rest is not None:
            await rest
        await _stay(life)
        handled += 1
        if handled - looked >= len(share.between):
            looked = handled
            if share.is_over():
                await share.give_way()
    return None


def _in_order(reason: str | None) -> Exit:
    return Finished() if reason is None else Stopped(storable(str(reason)))


def _failed_by(life: Life, error: Exception) -> Failed:
    busy = life.slot.busy if life.slot.agent is life.agent else None
    if type(busy) is Envelope:
        return failed_by(error, busy.id or None, type(busy.body).__qualname__)
    if isinstance(busy, Tick):
        return failed_by(error, None, busy.kind)
    return failed_by(error, None, None if busy is None else type(busy).__qualname__)
