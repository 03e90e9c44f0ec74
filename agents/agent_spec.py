"""An agent with the arguments that it is made with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .agent import Agent
from .core.values import frozen

__all__ = ["AgentSpec"]


@frozen
class AgentSpec:
    """Which agent, made with which arguments; `id` is the slot's name unless the tree gives another."""

    agent: Callable[..., Agent[Any]]
    args: Mapping[str, Any]
    id: str
