"""Faults as values: which, how often, against whom; and the plan of one run, which a seed makes of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Final, TypeAlias

from attrs import Attribute, evolve, field, frozen

from treewarden.agents.core.said import is_count, is_number, shown

from .draws import Draws

__all__ = ["AT_ONCE", "Family", "Fault", "Injection", "Knob", "Trigger", "matches", "plan"]

Knob: TypeAlias = "float | int | str | bool"


class Family(StrEnum):
    """Where a fault strikes."""

    PROCESS = "process"
    MESSAGE = "message"
    STORAGE = "storage"
    TIME = "time"
    DEPENDENCY = "dependency"
    AGENT = "agent"
    OPERATOR = "operator"
    SUPERVISOR = "supervisor"


def _target(instance: object, attribute: Attribute[str], value: object) -> None:
    if not isinstance(value, str):
        raise ValueError(f"{attribute.name} is {shown(value)}; give a pattern of paths, as 'pool/*'")


def _rate(instance: object, attribute: Attribute[float], value: object) -> None:
    if not is_number(value) or not 0 < value < math.inf:
        raise ValueError(
            f"{attribute.name} is {shown(value)}; give how often a second it comes on average, more than 0"
        )


def _budget(instance: object, attribute: Attribute[int], value: object) -> None:
    if not is_count(value, 0):
        raise ValueError(f"{attribute.name} is {shown(value)}; give how often it may come in one run, a whole number")


@frozen
class Fault:
    """One kind of trouble, and how much of it a run may have."""

    kind: str
    family: Family
    target: str = field(default="*", validator=_target)
    """Which slots, services or tables, as a pattern (`pool/*`)."""
    rate: float = field(default=0.2, validator=_rate)
    """How often a second, on average."""
    budget: int = field(default=3, validator=_budget)
    """At most so often in one run."""
    knobs: Mapping[str, Knob] = field(factory=dict[str, Knob])
    """What else it takes: seconds, a status, a share."""

    @property
    def label(self) -> str:
        return self.kind if self.target == "*" else f"{self.kind}({self.target})"


@frozen
class Trigger:
    """A place in a run instead of a time: the `n`-th point of a kind (`yield`, `commit`, `effect`), from 1."""

    point: str
    n: int

    def __str__(self) -> str:
        return f"{self.point}:{self.n}"


AT_ONCE: Final = None
"""An injection without a trigger comes at its time."""


@frozen
class Injection:
    """One fault of one run."""

    kind: str
    target: str
    at: float
    """Seconds after the tree has begun."""
    pick: float = 0.0
    """Which of those that the pattern fits at that moment: a share of their sorted list."""
    knobs: Mapping[str, Knob] = field(factory=dict[str, Knob])
    trigger: Trigger | None = AT_ONCE

    def __str__(self) -> str:
        when = f"at {self.at:g} s" if self.trigger is None else f"at {self.trigger}"
        knobs = "".join(f" {name}={value}" for name, value in self.knobs.items())
        return f"{self.kind} {self.target} {when}{knobs}"

    def earlier(self, share: float) -> Injection:
        """The same at a share of its time."""
        return evolve(self, at=round(self.at * share, 6))


def plan(faults: Sequence[Fault], seed: int, within: float) -> tuple[Injection, ...]:
    """What happens in the run of `seed`, within so many seconds, in order.

    Each fault has draws of its own, so that leaving one out leaves the others where they were.
    """
    found: list[tuple[float, int, Injection]] = []
    for number, fault in enumerate(faults):
        draws = Draws(seed, number, fault.kind, fault.target)
        at = 0.0
        for _ in range(fault.budget):
            at += draws.gap(fault.rate)
            pick = round(draws.share(), 6)
            if at >= within:
                break
            found.append((at, number, Injection(fault.kind, fault.target, round(at, 6), pick, fault.knobs)))
    return tuple(injection for _, _, injection in sorted(found, key=lambda each: each[:2]))


def matches(pattern: str, names: Iterable[str]) -> list[str]:
    """The names that `pattern` fits, in order."""
    return sorted(name for name in names if fnmatchcase(name, pattern))
