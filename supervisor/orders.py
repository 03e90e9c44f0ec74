"""What travels in a supervisor's queue besides signals and ended lives."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, TypeAlias

import trio

from treewarden.agents.core.exit import Exit, Stopped
from treewarden.agents.core.path import Path
from treewarden.agents.core.values import frozen
from treewarden.agents.errors import SupervisorGone

if TYPE_CHECKING:
    from .core.action import Scope
    from .performing import UnderWay

__all__ = ["Call", "Performed", "Rest", "RetryDue", "StopSupervisor", "wait_for"]

Rest: TypeAlias = Coroutine[Any, Any, Exit | None] | None
"""What is left to wait for, which nobody has begun; it returns how the supervisor ends, if it does. None: nothing."""


async def wait_for(rest: Rest) -> Exit | None:
    """Do what is left."""
    return None if rest is None else await rest


@frozen
class StopSupervisor:
    """Stop all children in reverse order, then end with `exit`. The children are told `shutdown`, whatever it is."""

    exit: Exit = Stopped()
    drain: bool = False


@frozen
class RetryDue:
    """The delay of a restart is over; void if the child's token has moved on."""

    id: str
    token: int
    scope: Scope | None
    """None: only its start was put off, and those who are to start with it wait for that."""
    has_turn: bool = False
    """Its place among the restarts of the whole tree is taken."""


@frozen
class Performed:
    """A registered action has ended."""

    running: UnderWay


class Call:
    """One call in a supervisor's queue, and where its caller waits."""

    def __init__(self, what: str, argument: Any = None) -> None:
        self.what = what
        self.argument = argument
        self._done = trio.Event()
        self._heard: trio.Event | None = None
        self._value: Any = None
        self._error: Exception | None = None

    def resolve(self, value: Any) -> None:
        self._value = value
        self._answered()

    def fail(self, error: Exception) -> None:
        self._error = error
        self._answered()

    @property
    def is_answered(self) -> bool:
        return self._done.is_set()

    def put_off(self) -> None:
        """It is answered later, when somebody has gone who needs longer."""
        if self._heard is not None:
            self._heard.set()

    def _answered(self) -> None:
        self._done.set()
        if self._heard is not None:
            self._heard.set()

    def refuse(self, path: Path, exit: Exit) -> None:
        """The supervisor has ended. Nothing happens if it has answered."""
        if not self._done.is_set():
            text = f"{path}: the supervisor ended before it answered {self.what}"
            self.fail(SupervisorGone(text, path=path, exit=exit))

    async def heard(self) -> bool:
        """Wait until it is answered, or put off; whether it is answered. For who has posted it just now."""
        if not self._done.is_set():
            self._heard = trio.Event()
            await self._heard.wait()
        return self._done.is_set()

    async def wait(self) -> Any:
        await self._done.wait()
        if self._error is not None:
            raise self._error
        return self._value
