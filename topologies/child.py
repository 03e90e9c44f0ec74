"""One child of a tree: what may be written there, and the spec that it becomes."""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypedDict, Unpack, cast

from treewarden.agents.agent import Agent
from treewarden.agents.agent_spec import AgentSpec
from treewarden.agents.core.durability import MailboxSpec
from treewarden.agents.core.limiter import IntakeLimit
from treewarden.agents.core.loops import LoopLimit
from treewarden.agents.core.path import Path
from treewarden.agents.errors import ConfigurationError
from treewarden.supervisor.core.checkpoint import Retention
from treewarden.supervisor.core.limits import QueueLimit
from treewarden.supervisor.core.measures import Limit
from treewarden.supervisor.core.named import NamedAction
from treewarden.supervisor.core.spec import (
    AutoShutdown,
    Backoff,
    ChildSpec,
    Intensity,
    RestartBucket,
    RestartPolicy,
    Restore,
    Shutdown,
    Spec,
    SupervisorSpec,
)

if TYPE_CHECKING:
    from treewarden.supervisor.core.decision import Policy

__all__ = ["Child", "ChildOptions", "SupervisorOptions", "child", "slot_name", "spec_of", "supervisor"]

Child: TypeAlias = type[Agent[Any]] | AgentSpec | ChildSpec | SupervisorSpec
"""What a tree is made of: a class, `worker(function)`, `child(...)`, or another tree, pool or pipeline."""

_WORDS: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


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


def child(
    agent: type[Agent[Any]] | AgentSpec | Callable[..., Agent[Any]],
    *,
    id: str | None = None,
    args: Mapping[str, Any] | None = None,
    **options: Unpack[ChildOptions],
) -> ChildSpec:
    """An agent with options: `child(Writer, restart=RestartPolicy.TRANSIENT, args={"style": "dry"})`.

    `agent` is a class, what `worker` returned, or a function that returns an agent; it is called with `args` at every
    start. `id` is the slot's name; without it the class's name in snake_case, or the function's name.

    Raises `ConfigurationError` for options that cannot work. What depends on the rest of the tree, and whether `args`
    fit, is checked by `validate`, which `open_tree` calls before anything starts.
    """
    made, given, name = _agent(agent)
    if args is not None and not isinstance(args, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationError(f"{name}: args is {args!r:.80}; give a mapping, {{'name': value}}")
    try:
        return ChildSpec(id=name if id is None else id, agent=made, args={**given, **(args or {})}, **options)
    except ValueError as error:
        raise ConfigurationError(f"{name}: {error}{_rename(id)}") from None


def supervisor(id: str, **fields: Any) -> SupervisorSpec:
    """A `SupervisorSpec`, whose faults are `ConfigurationError`s that name it."""
    try:
        return SupervisorSpec(id=id, **fields)
    except ValueError as error:
        raise ConfigurationError(f"{id}: {error}") from None


def spec_of(item: Child) -> Spec:
    """The spec that `item` stands for. Raises `ConfigurationError` for anything else."""
    return item if isinstance(item, (ChildSpec, SupervisorSpec)) else child(item)


def slot_name(name: str) -> str:
    """A class's name as a slot's: `HTTPPoller` is `http_poller`."""
    return _WORDS.sub("_", name).lower()


def _agent(item: object) -> tuple[Callable[..., Any], Mapping[str, Any], str]:
    if isinstance(item, AgentSpec):
        return item.agent, item.args, item.id
    if isinstance(item, Agent):
        name = type(cast("object", item)).__name__
        raise ConfigurationError(f"an agent was given; give its class, {name}: it is made anew at every start")
    name = getattr(item, "__name__", "")
    if isinstance(item, type):
        if issubclass(item, Agent):
            return cast("type[Agent[Any]]", item), {}, slot_name(name)
    elif callable(item):
        if inspect.iscoroutinefunction(item):
            raise ConfigurationError(f"{name} is an async function; write worker({name})")
        return item, {}, name
    raise ConfigurationError(f"{item!r} is no child; give an Agent class, worker(function), child(...) or a tree")


def _rename(id: str | None) -> str:
    return "" if id is not None else " (without id=..., the slot has the name of its agent)"
