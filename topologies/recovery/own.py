"""A policy of the user's in the race."""

from __future__ import annotations

from functools import partial

from treewarden.agents.errors import ConfigurationError

from ..own_policy import names_own, policy_of
from .contenders import Contender

__all__ = ["own"]


def own(name: str) -> Contender | None:
    """The policy of `rules.toml`, or what `module:name` is, or returns, in Python; None for any other name.

    It races under that name. Its supervisor has the restart limit of most others, 10 in 300 s. A function is called for
    each race. Raises `ConfigurationError` for what is no policy or would perform an action of one's own, which nobody
    in a race can, and `BlueprintError` for rules that are refused.
    """
    if not names_own(name):
        return None
    performs = getattr(policy_of(name), "performs", frozenset[str]())
    if performs:
        raise ConfigurationError(
            f"{name} would perform {', '.join(sorted(performs))}: no world says what an action of your own helps "
            "against; leave those rules out of a race"
        )
    return Contender(name, partial(policy_of, name))
