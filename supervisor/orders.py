"""What travels in a supervisor's queue besides signals and ended lives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from treewarden.agents.core.exit import Exit, Stopped
from treewarden.agents.core.values import frozen

from .core.action import Scope

if TYPE_CHECKING:
    from .performing import UnderWay

__all__ = ["Performed", "RetryDue", "StopSupervisor"]


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
