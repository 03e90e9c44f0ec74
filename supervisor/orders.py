"""What travels in a supervisor's queue besides signals and ended lives."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, TypeAlias

from treewarden.agents.core.exit import Exit, Stopped
from treewarden.agents.core.values import frozen

if TYPE_CHECKING:
    from .core.action import Scope
    from .performing import UnderWay

__all__ = ["Performed", "Rest", "RetryDue", "StopSupervisor", "wait_for"]

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
    scope: Scope
    has_turn: bool = False
    """Its place among the restarts of the whole tree is taken."""


@frozen
class Performed:
    """A registered action has ended."""

    running: UnderWay
