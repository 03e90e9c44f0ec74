"""A child whose agent has never been awake: who may be one, and as little as has to be remembered until somebody asks
for more."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Final

from treewarden.agents.agent import Agent, is_agent_class
from treewarden.agents.core.durability import Volatile
from treewarden.agents.core.lifecycle import SlotState
from treewarden.agents.core.values import define

from .core.spec import ChildSpec, Grace, Spec

__all__ = ["NO_ARGS", "Sleeper", "is_born_asleep", "may_sleep"]

NO_ARGS: Final[Mapping[str, Any]] = MappingProxyType({})


@define(eq=False, weakref_slot=False)
class Sleeper:
    """In the table instead of a `Child`, which it becomes when it is looked at: when a message comes, a signal, a call.

    There may be a million of these, so each field counts. Its id is where it stands in the table; path, slot, mailbox
    and the life itself are made when they are needed, and then are what they would have been from the beginning.
    """

    spec: ChildSpec
    """Its own, or the template of a dynamic supervisor."""
    args: Mapping[str, Any]
    """What a dynamic child was given besides its template's arguments."""
    lives: int
    agent: Agent[Any] | None = None
    """Who waits for a first message; None if nobody lives here."""
    last: int = 0
    """The serial number of the current life, or of the last one; 0 if none has begun here."""
    since: float = 0.0
    """When that life began; how long it was, once it has ended."""

    slot: ClassVar[None] = None
    current: ClassVar[None] = None
    note: ClassVar[str] = ""

    @property
    def state(self) -> SlotState:
        return SlotState.DOWN if self.agent is None else SlotState.UP


def is_born_asleep(agent: Callable[..., Any]) -> bool:
    """Whether an agent needs no task before its first message: no `on_start`, body or ticks. A function that makes
    agents may make any."""
    return isinstance(agent, type) and issubclass(agent, Agent) and agent.born_asleep


def may_sleep(spec: Spec) -> bool:
    """Whether nobody can tell a `Sleeper` of this spec from a child with all that belongs to one.

    It has no task before its first message, nothing on disk, no say in how its supervisor or its siblings fare, and
    nothing to do at its end.
    """
    if not isinstance(spec, ChildSpec) or not is_agent_class(spec.agent):
        return False
    plain = not (spec.significant or spec.outlet or spec.uses) and spec.overload is None and spec.intake is None
    plain = plain and not spec.limits
    at_rest = spec.agent.born_asleep and spec.agent.ends_at_once
    return plain and at_rest and isinstance(spec.mailbox.durability, Volatile) and isinstance(spec.shutdown, Grace)
