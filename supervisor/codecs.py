"""Which codec an agent's class has: for its state, the messages that it handles, and its replies."""

from __future__ import annotations

from typing import Any

from treewarden.agents.agent import Agent, reply_type, state_type
from treewarden.agents.errors import ConfigurationError

from .journal.codec import Codec

__all__ = ["codec_of_class"]


def codec_of_class(agent: type[Agent[Any]]) -> Codec:
    """Raises `ConfigurationError` for a state or message that cannot be stored."""
    types = (state_type(agent), *agent.handlers)
    replies = tuple(reply_type(kind) for kind in agent.handlers)
    try:
        return Codec((*types, *replies))
    except ConfigurationError:  # perhaps a reply; it is stored only if a handler asks for it
        return Codec(types)
