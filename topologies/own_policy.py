"""A policy of the user's by its name: a file of rules, or `module:name` in Python."""

from __future__ import annotations

from pathlib import Path as File
from typing import Final, cast

from treewarden.agents.errors import ConfigurationError
from treewarden.supervisor.core.decision import Policy

from .toml import load_policy
from .value_named import value_named

__all__ = ["names_own", "policy_of"]

_NEEDED: Final = ("name", "counts_alike", "escalates", "stable_after", "propose", "declined")


def names_own(name: str) -> bool:
    """Whether it is the name of a file of rules, or of something in Python."""
    return name.endswith(".toml") or ":" in name


def policy_of(name: str) -> Policy:
    """The policy of `rules.toml`, or what `module:name` is, or returns, in Python: made anew each time.

    Blocks. A module is imported with the current folder first on the path. Raises `ConfigurationError` for what is no
    policy, and `BlueprintError` for rules that are refused and names that lead nowhere.
    """
    if name.endswith(".toml"):
        policy = load_policy(File(name))
        if policy is None:
            raise ConfigurationError(f"{name} describes a tree; give a file that holds nothing but rules")
        return policy
    found = value_named(name, "policy", _is_policy)
    missing = [each for each in _NEEDED if not hasattr(found, each)]
    if missing:
        raise ConfigurationError(
            f"{name} is {found!r:.80}, which has no {missing[0]}; give a policy, or what returns one"
        )
    return cast("Policy", found)


def _is_policy(found: object) -> bool:
    return not isinstance(found, type) and callable(getattr(found, "propose", None))
