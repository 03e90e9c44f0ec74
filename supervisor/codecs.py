"""Which codec an agent's class has: for its state, the messages that it handles, and its replies."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

from treewarden.agents.agent import Agent, reply_type, state_type
from treewarden.agents.core.message import Happened
from treewarden.agents.errors import ConfigurationError

from .journal.codec import Codec

__all__ = ["codec_of_class"]

_KEPT: Final = 256
"""Classes whose codecs are kept: to compile one takes a few milliseconds, and it depends on nothing but the class."""


@lru_cache(_KEPT)
def codec_of_class(agent: type[Agent[Any]]) -> Codec:
    """The same for every tree of this process. Raises `ConfigurationError` for a state or message that cannot be
    stored."""
    types = (state_type(agent), *agent.handlers)
    replies = tuple(reply_type(kind) for kind in agent.handlers)
    try:
        return Codec((*types, *replies), (Happened,))
    except ConfigurationError:  # perhaps a reply; it is stored only if a handler asks for it
        return Codec((*types, *filter(_is_storable, replies)), (Happened,))


def _is_storable(reply: Any) -> bool:
    try:
        Codec((reply,))
    except ConfigurationError:
        return False
    return True
