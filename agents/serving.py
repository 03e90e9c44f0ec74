"""Asks of an idle agent, answered in the task of whoever asks: no pass of the scheduler for either."""

from __future__ import annotations

from sys import exception
from types import CoroutineType
from typing import Any, cast

from .asking import Answer
from .errors import Stop
from .handling import Rest, bear, call, finish
from .life import Life
from .orders import Begun, Raised, StopAsked

__all__ = ["serve", "serve_on_disk"]


def serve(answer: Answer) -> tuple[Any] | tuple[()] | None:
    """Handle an ask in the task and the time of its asker, but in the context of the agent, which is idle meanwhile.

    Only what is no `async def`, of an agent that writes nothing. Returns the result in a tuple; an empty one where that
    comes later; None if the ask has to be sent. What is left to do, or went wrong, is for the agent's own task.
    """
    slot, envelope = answer.slot, answer.envelope
    agent, task = slot.agent, slot.reader
    if agent is None or task is None or exception() is not None:  # the asker's would be the context of the agent's
        return None
    handler = type(agent).plain.get(type(envelope.body))
    if handler is None:
        return None
    life = agent.life
    slot.come += 1
    slot.busy = envelope
    try:
        try:
            result = task.context.run(handler, agent, envelope.body)
        except Exception as error:
            if not bear(life, envelope, error):
                raise
            return ()
        if (
            agent.state is life.state
            and not life.turn.events
            and type(result) is not CoroutineType
            and slot.agent is agent
        ):  # all that there is to settle
            slot.handled += 1
            slot.busy = None
            return (result,)
        rest = finish(life, envelope, result)
    except BaseException as error:
        _leave_failed(life, error)
    else:
        _leave(life, rest)
    return ()


def serve_on_disk(answer: Answer) -> tuple[()] | None:
    """As `serve`, for an agent of durability `message`: what it settles is on its way to the disk when this returns,
    and the reply comes behind it.

    Not while the disk is behind, nor where the ask is one of a durable handler, which may have asked this before.
    """
    slot, envelope = answer.slot, answer.envelope
    agent, task = slot.agent, slot.reader
    if agent is None or task is None or slot.inflight or envelope.id or exception() is not None:
        return None
    handler = type(agent).plain.get(type(envelope.body))
    if handler is None:
        return None
    life = agent.life
    slot.come += 1
    try:
        rest = task.context.run(call, life, envelope, envelope.body, handler)
    except BaseException as error:
        _leave_failed(life, error)
    else:
        _leave(life, rest)
    return ()


def _leave(life: Life, rest: Rest) -> None:
    """Leave what has to be awaited to the agent's task."""
    if rest is not None:
        life.begun = Begun(rest, life.called)
        life.slot.put_control(life.begun)


def _leave_failed(life: Life, error: BaseException) -> None:
    """Leave to the agent's task what its handler has raised, also what ends the process: the asker may catch that."""
    if issubclass(type(error), Stop):  # and no `isinstance`, which asks an odd one what it is
        life.slot.put_control(StopAsked(cast("Stop", error).reason))
        return
    life.begin()  # nobody may look at what is in hand, nor at what it has left, before its task fails
    life.slot.put_control(Raised(error, life.agent.state))
    life.agent.state = life.state
