"""Handlers that are timed, for agents of which somebody wants to know how long they take."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from inspect import iscoroutinefunction
from types import CoroutineType
from typing import Any, cast

__all__ = ["clocked"]


def clocked(
    handlers: Mapping[type, Callable[..., Any]], now: Callable[[], float], say: Callable[[float], None]
) -> Mapping[type, Callable[..., Any]]:
    """The same handlers; of each call that returns, or raises an exception, `say` is told how many seconds it took.

    Counted is all from the call to its end, also the time in which it waited and others ran. A call that is cancelled
    says nothing.
    """
    return {kind: _clocked(handler, now, say) for kind, handler in handlers.items()}


def _clocked(handler: Callable[..., Any], now: Callable[[], float], say: Callable[[float], None]) -> Callable[..., Any]:
    if iscoroutinefunction(handler):

        async def awaited(agent: Any, message: Any) -> Any:
            begun = now()
            try:
                result = await handler(agent, message)
            except Exception:
                say(now() - begun)
                raise
            say(now() - begun)
            return result

        return awaited

    def called(agent: Any, message: Any) -> Any:
        begun = now()
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
