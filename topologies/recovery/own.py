"""A policy of the user's in the race: from a file of rules, or from Python."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from pathlib import Path as File
from typing import Any, cast

from treewarden.agents.errors import ConfigurationError
from treewarden.supervisor.core.decision import Policy

from ..core.node import Problems, Refused, located
from ..errors import BlueprintError
from ..imports import import_name
from ..toml import load_policy
from .contenders import Contender

__all__ = ["own"]

_NEEDED = ("name", "counts_alike", "escalates", "stable_after", "propose", "declined")


def own(name: str) -> Contender | None:
    """The policy of `rules.toml`, or what `module:name` is, or returns, in Python; None for any other name.

    It races under that name. Its supervisor has the restart limit of most others, 10 in 300 s. A function is called for
    each race. Raises `ConfigurationError` for what is no policy, and `BlueprintError` for rules that are refused.
    """
    if not name.endswith(".toml") and ":" not in name:
        return None
    policy_of(name)
    return Contender(name, partial(policy_of, name))


def policy_of(name: str) -> Policy:
    """What `own` races, made anew."""
    if name.endswith(".toml"):
        policy = load_policy(File(name))
        if policy is None:
            raise ConfigurationError(f"{name} describes a tree; give a file that holds nothing but rules")
        return policy
    problems = Problems()
    found: Any = import_name(located(name, "--policies"), File.cwd(), problems, _is_policy)
    if isinstance(found, Refused):
        raise BlueprintError(problems, name)
    if not _is_policy(found) and callable(found):
        found = _called(name, cast("Callable[..., object]", found))
    missing = [each for each in _NEEDED if not hasattr(found, each)]
    if missing:
        raise ConfigurationError(
            f"{name} is {found!r:.80}, which has no {missing[0]}; give a policy, or what returns one"
        )
    return cast("Policy", found)


def _is_policy(found: object) -> bool:
    return not isinstance(found, type) and callable(getattr(found, "propose", None))


def _called(name: str, make: Callable[..., object]) -> object:
    try:
        inspect.signature(make).bind()
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"{name} cannot be called without arguments ({error}); give one that can") from None
    try:
        return make()
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
        raise ConfigurationError(f"{name} makes no policy: it raised {text}; mend it") from error
