"""Handlers that are timed, for agents of which somebody wants to know how long they take."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from inspect import iscoroutinefunction
from types import CoroutineType
from typing import Any, cast

from .core.message import Envelope
from .slot import Slot

__all__ = ["clocked", "sent_at"]


def clocked(
    handlers: Mapping[type, Callable[..., Any]],
    now: Callable[[], float],
    say: Callable[[float], None],
    sent: Callable[[], float] | None = None,
) -> Mapping[type, Callable[..., Any]]:
    """The same handlers; of each call that returns, or raises an exception, `say` is told how many seconds it took.

    Counted is all from the call to its end, also the time in which it waited and others ran; or from what `sent` says
    at the call, if that is given. A call that is cancelled says nothing.
    """
    return {kind: _clocked(handler, now, say, sent or now) for kind, handler in handlers.items()}


def sent_at(slot: Slot) -> float:
    """When the message in hand was sent; now, where that is not known, as for a tick."""
    busy = slot.busy
    return busy.since if type(busy) is Envelope and busy.since is not None else slot.now()


def _clocked(
    handler: Callable[..., Any], now: Callable[[], float], say: Callable[[float], None], sent: Callable[[], float]
) -> Callable[..., Any]:
    if iscoroutinefunction(handler):

        async def awaited(agent: Any, message: Any) -> Any:
            begun = sent()
            try:
                result = await handler(agent, message)
            except Exception:
                say(now() - begun)
                raise
            say(now() - begun)
            return result

        return awaited

    def called(agent: Any, message: Any) -> Any:
        begun = sent()
        try:
            result = handler(agent, message)
        except Exception:
            say(now() - begun)
            raise
        if type(result) is CoroutineType:
            return _rest(cast("Coroutine[Any, Any, Any]", result), begun)
        say(now() - begun)
        return result

    async def _rest(left: Coroutine[Any, Any, Any], begun: float) -> Any:
        try:
            result = await left
        except Exception:
            say(now() - begun)
            raise
        say(now() - begun)
        return result

    return called
