"""Which codec an agent's class has: for its state, the messages that it handles, and its replies."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Final

from treewarden.agents.agent import Agent, made_by, reply_type, state_type
from treewarden.agents.core.exit import describe, ends_process
from treewarden.agents.core.message import Happened
from treewarden.agents.errors import ConfigurationError

from .journal.codec import Codec

if TYPE_CHECKING:
    from .core.spec import ChildSpec

__all__ = ["class_made_by", "codec_of_class"]

_KEPT: Final = 256
"""Classes whose codecs are kept: to compile one takes a few milliseconds, and it depends on nothing but the class."""


@lru_cache(_KEPT)
def codec_of_class(agent: type[Agent[Any]]) -> Codec:
    """The same for every tree of this process. Raises `ConfigurationError` for a state or message that cannot be
    stored."""
    types = (state_type(agent), *agent.handlers)
    replies = tuple(reply_type(kind) for kind in agent.handlers)
    of_agent = partial(Codec, late=(Happened,), state=state_type(agent, Any), told=(*agent.handlers, Happened))
    try:
        return of_agent((*types, *replies))
    except ConfigurationError:  # perhaps a reply; it is stored only if a handler asks for it
        return of_agent((*types, *filter(_is_storable, replies)))


def class_made_by(spec: ChildSpec, known: dict[object, type[Agent[Any]]]) -> type[Agent[Any]]:
    """The class of the agents that a function makes, which the first of them tells; it is among those that are `known`
    then. Raises `ConfigurationError` if the function makes none."""
    if spec.agent not in known:
        try:
            known[spec.agent] = type(made_by(spec.agent, spec.args))
        except BaseException as error:
            if ends_process(error):
                raise
            raise ConfigurationError(
                f"{spec.id}: no agent could be made to learn what has to be stored of it ({describe(error)}); "
                "give the agent's class, or a function that can make one"
            ) from error
    return known[spec.agent]


def _is_storable(reply: Any) -> bool:
    try:
        Codec((reply,))
    except ConfigurationError:
        return False
    return True
