"""What may be said of a child or a supervisor where a tree is written. For type checkers: to make such a class takes a
millisecond, and no process needs one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from treewarden.agents.core.durability import MailboxSpec
    from treewarden.agents.core.limiter import IntakeLimit
    from treewarden.agents.core.loops import LoopLimit
    from treewarden.agents.core.path import Path
    from treewarden.supervisor.core.checkpoint import Retention
    from treewarden.supervisor.core.decision import Policy
    from treewarden.supervisor.core.limits import QueueLimit
    from treewarden.supervisor.core.measures import Limit
    from treewarden.supervisor.core.named import NamedAction
    from treewarden.supervisor.core.spec import (
        AutoShutdown,
        Backoff,
        Intensity,
        RestartBucket,
        RestartPolicy,
        Restore,
        Shutdown,
    )

__all__ = ["ChildOptions", "SupervisorOptions"]


class ChildOptions(TypedDict, total=False):
    """The fields of a `ChildSpec` that every agent may set; those left out keep the defaults there."""

    restart: RestartPolicy
    shutdown: Shutdown
    significant: bool
    mailbox: MailboxSpec
    backoff: Backoff
    start_within: float
    progress_within: float | None
    loops: LoopLimit | None
    overload: QueueLimit | None
    intake: IntakeLimit | None
    hibernate_after: float
    limits: tuple[Limit, ...]
    stable_after: float
    restarts: Intensity | None
    restore: Restore
    retention: Retention
    variants: Mapping[str, Callable[..., Any]]
    actions: Mapping[str, NamedAction | Callable[..., Awaitable[object]]]
    uses: tuple[str, ...]
    outlet: tuple[str, ...]


class SupervisorOptions(TypedDict, total=False):
    """The fields of a `SupervisorSpec` that every shape may set; those left out keep the defaults there."""

    restarts: Intensity
    restart_bucket: RestartBucket | None
    policy: Policy | None
    actions: Mapping[str, NamedAction | Callable[..., Awaitable[object]]]
    auto_shutdown: AutoShutdown
    restart: RestartPolicy
    shutdown: Shutdown
    significant: bool
    stable_after: float
    on_start: Callable[[Path], Awaitable[object]] | None
    start_within: float
