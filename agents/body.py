"""The body of an agent (`run`): it runs beside the messages, and both end with whichever fails."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar, cast

import trio

from .agent import to_await
from .core.exit import Exit, alone
from .errors import Stop
from .life import Life
from .orders import BodyEnded, CheckpointDue, RunAgain, StopAsked
from .slot import current_turn

__all__ = ["let_body_end", "with_body"]

T = TypeVar("T")


async def with_body(life: Life, messages: Callable[[Life], Awaitable[Exit | None]]) -> Exit:
    """Run `messages` with the body beside them, and say how it ended.

    Raises what either raised, bare where it is one error. Cancelled: both end, and nothing more is settled here.

    What either raises is kept out of the nursery: trio puts the repr of an exception that comes through one into words,
    and one that cannot be put into words, or only into many, would be the end of the whole loop.
    """
    exit: Exit | None = None
    errors: list[BaseException] = []
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_kept_out, partial(_body, life), errors, nursery, name=f"{life.slot.path} body")
            exit = await _kept_out(partial(messages, life), errors, nursery)
            nursery.cancel_scope.cancel()
    except BaseException as error:
        errors.append(error)
    if errors:  # raised here and not above, so that it keeps the context that it came with
        raise alone(errors[0] if len(errors) == 1 else BaseExceptionGroup("more than one", errors))
    if exit is None:  # the nursery takes any `Cancelled` for its own
        raise RuntimeError("its body raised trio.Cancelled, although nobody had cancelled it")
    return exit


async def _kept_out(work: Callable[[], Awaitable[T]], errors: list[BaseException], nursery: trio.Nursery) -> T | None:
    """Run one of two; if it raises, end the other one. Only `Cancelled` goes on up."""
    try:
        result = await work()
    except trio.Cancelled:
        raise
    except BaseException as error:
        cancelled, raised = None, error
        if issubclass(type(error), BaseExceptionGroup):
            cancelled, raised = cast("BaseExceptionGroup[BaseException]", error).split(trio.Cancelled)
        if raised is not None:
            errors.append(raised)
        nursery.cancel_scope.cancel()
        if cancelled is not None:
            raise cancelled from None
    else:
        return result


async def _body(life: Life) -> None:
    current_turn.set(life.beside)
    while True:
        try:
            result = await to_await(life.agent, "run", life.agent.run())
        except Exception as error:
            cause = alone(error)
            if issubclass(type(cause), Stop):
                life.slot.put_control(StopAsked(cast("Stop", cause).reason))
                return
            from .limited import rate_limit_of  # with the first failure

            limited = rate_limit_of(cause, life.clock.wall)
            if limited is None:
                raise
            from .undone import throttle  # with the first rate limit

            life.again = trio.Event()
            throttle(life, None, limited)
            life.slot.put_due(RunAgain(life.again))
            await life.again.wait()
            life.again = None
        else:
            life.slot.put_control(BodyEnded(result))
            return


async def let_body_end(life: Life, keep: Callable[[Life], Awaitable[None]]) -> StopAsked | None:
    """Ask the body to end, and wait until it has; what it still says is kept. Returns how, if it says so (`Stop`).

    There is no limit here: the grace of the agent is one. Cancelled: the body goes on, until it is cancelled too.
    """
    slot = life.slot
    life.stop_requested.set()
    slot.pause("stopping")
    try:
        while True:
            order = slot.take()
            if isinstance(order, (BodyEnded, StopAsked)):
                await keep(life)
                return order if isinstance(order, StopAsked) else None
            if order is None:
                await slot.wait()
            elif isinstance(order, CheckpointDue):
                await keep(life)
    finally:
        slot.resume("stopping")
