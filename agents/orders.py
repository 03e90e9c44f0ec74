"""What reaches an incarnation through its control lane, before all messages."""

from __future__ import annotations

import inspect
from collections.abc import Coroutine
from typing import Any

import trio

from .core.values import frozen

__all__ = ["Begun", "BodyEnded", "CheckpointDue", "Killed", "Raised", "RunAgain", "StopAsked", "StopOrder"]


@frozen
class StopOrder:
    """Control: end in order. With `drain`, what waits now, if it is only in memory, is handled first."""

    reason: str = "shutdown"
    drain: bool = False


@frozen
class Killed:
    """Control: it is cancelled, and is to notice before it begins anything else."""


@frozen
class BodyEnded:
    """Control: `run` has returned."""

    result: Any


@frozen(eq=False)
class Raised:
    """Control: a handler that ran in its asker's task has raised."""

    error: BaseException
    state: Any
    """What it had made of its state by then: that is what `on_stop` sees, and nobody who runs before its task does."""


@frozen(eq=False)
class Begun:
    """Control: a handler that was called in its asker's task has to be awaited, which is its agent's to do."""

    rest: Coroutine[Any, Any, None]
    called: Coroutine[Any, Any, Any]
    """What the handler has returned, and `rest` awaits."""

    def discard(self) -> None:
        """Never mind, if nobody has begun to await it."""
        if inspect.getcoroutinestate(self.rest) == inspect.CORO_CREATED:
            self.rest.close()
            self.called.close()


@frozen
class StopAsked:
    """Control: a body or a helper has raised `Stop`."""

    reason: str | None


@frozen
class CheckpointDue:
    """Control: the state has changed outside a message, or has waited long enough to be kept."""


@frozen(eq=False)
class RunAgain:
    """Comes like a tick, when the slot is not throttled any more: a body that was rate limited begins again."""

    body: trio.Event
