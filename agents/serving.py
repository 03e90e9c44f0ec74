"""Asks of an idle agent, answered in the task of whoever asks: no pass of the scheduler for either."""

from __future__ import annotations

from types import CoroutineType
from typing import Any

from .asking import Answer
from .errors import Stop
from .handling import bear, finish
from .orders import Begun, Raised, StopAsked

__all__ = ["serve"]


def serve(answer: Answer) -> tuple[Any] | tuple[()] | None:
    """Handle an ask in the task and the time of its asker, but in the context of the agent, which is idle meanwhile.

    Only what is no `async def` and writes nothing. What is left to do, or went wrong, is for the agent's own task.
    """
    slot, envelope = answer.slot, answer.envelope
    agent, task = slot.agent, slot.reader
    if agent is None or task is None:
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
    except (KeyboardInterrupt, SystemExit):
        raise
    except Stop as stop:
        slot.put_control(StopAsked(stop.reason))
    except BaseException as error:
        slot.put_control(Raised(error))
    else:
        if rest is not None:
            life.begun = Begun(rest, life.called)
            slot.put_control(life.begun)
    return ()
