"""What travels in a supervisor's queue besides signals and ended lives."""

from __future__ import annotations

from attrs import frozen

__all__ = ["RetryDue", "StopSupervisor"]


@frozen
class StopSupervisor:
    """Stop all children in reverse order, then end as `Stopped(reason)`."""

    reason: str = "shutdown"
    drain: bool = False


@frozen
class RetryDue:
    """The delay of a restart is over; void if the child's token has moved on."""

    id: str
    token: int
