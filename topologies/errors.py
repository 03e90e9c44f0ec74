"""The error of this layer, and what its edge refuses."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from functools import lru_cache
from types import NoneType
from typing import Any

from treewarden.agents.agent import Agent, is_agent_class
from treewarden.agents.core.durability import Volatile
from treewarden.agents.core.path import Path
from treewarden.agents.core.said import is_number
from treewarden.agents.errors import ConfigurationError
from treewarden.supervisor.core.spec import ChildSpec, SupervisorSpec

from .core.blueprint import Blueprint, Place, place_of, validate
from .core.problems import Problem, shown

__all__ = ["BlueprintError", "check_options", "checked", "checked_path", "checked_text", "storage_problems"]


class BlueprintError(ConfigurationError):
    """A blueprint or a TOML file that cannot work. `problems` holds everything that was found; nothing was started."""

    def __init__(self, problems: Iterable[Problem], source: str = "") -> None:
        self.problems = tuple(dict.fromkeys(problems))
        self.source = source
        count = f"{len(self.problems)} problem{'s' if len(self.problems) != 1 else ''}"
        lines = [f"{source or 'the blueprint'} is refused, {count}:", *(f"  {each}" for each in self.problems)]
        super().__init__("\n".join(lines))

    def as_data(self) -> list[dict[str, str]]:
        """The problems for a program that reads them."""
        return [{"path": p.path, "value": p.value, "fault": p.fault, "remedy": p.remedy} for p in self.problems]


def checked(blueprint: Blueprint) -> Blueprint:
    """`blueprint`, if it can be opened. Raises `BlueprintError` with everything that keeps it from working."""
    if not isinstance(blueprint, SupervisorSpec):  # pyright: ignore[reportUnnecessaryIsInstance]
        name = getattr(blueprint, "__name__", None) or repr(blueprint)
        raise ConfigurationError(f"{name:.80} is no blueprint; give what tree(...), pool(...) or pipeline(...) returns")
    place = place_of(blueprint, blueprint.id)
    problems = validate(blueprint, place) or storage_problems(blueprint, place)
    if problems:
        raise BlueprintError(problems)
    return blueprint


def check_options(
    *, clock: object, seed: object, wall: object, events: object, anchor: object, production: object
) -> None:
    """Raise `ConfigurationError` naming what `open_tree` cannot take for one of these."""
    if not callable(wall):
        raise ConfigurationError(f"wall is {shown(wall)}; give a function of nothing that returns seconds since 1970")
    seconds = wall()
    if not is_number(seconds) or not math.isfinite(seconds):  # no file takes it as the time of an event
        raise ConfigurationError(f"wall() is {shown(seconds)}; give a function that returns seconds since 1970")
    if not isinstance(production, bool):  # "no" is as true as any other text
        raise ConfigurationError(f"production is {shown(production)}; give True or False")
    if clock is not None and not (hasattr(clock, "now") and hasattr(clock, "wall")):
        raise ConfigurationError(f"clock is {shown(clock)}; give one that has now() and wall(), or leave it out")
    if not isinstance(seed, (int, float, str, bytes, bytearray, NoneType)):
        raise ConfigurationError(f"seed is {shown(seed)}; give a whole number, or a text")
    if events is not None:
        from treewarden.supervisor.core.retention import EventRetention  # with the first that says it

        if not isinstance(events, EventRetention):
            raise ConfigurationError(f"events is {shown(events)}; give EventRetention(last=..., within=...)")
    if anchor is not None:
        from treewarden.supervisor.journal.anchoring import Anchoring

        if not isinstance(anchor, Anchoring):
            raise ConfigurationError(f"anchor is {shown(anchor)}; give Anchoring(file=...)")


def storage_problems(blueprint: SupervisorSpec, place: Place) -> tuple[Problem, ...]:
    """Durable agents whose state or messages are of types that cannot be stored; each class once.

    Not found here: of a function that makes agents, what class it makes; that shows when its slot is made.
    """
    return tuple(_below(blueprint, place, set()))


def _below(spec: SupervisorSpec, place: Place, seen: set[type[Agent[Any]]]) -> Iterator[Problem]:
    for child, below in zip(spec.children, place.children, strict=True):
        if isinstance(child, SupervisorSpec):
            yield from _below(child, below, seen)
        elif not isinstance(child.mailbox.durability, Volatile):
            yield from _agent(child, below.at, seen)


def _agent(spec: ChildSpec, at: str, seen: set[type[Agent[Any]]]) -> Iterator[Problem]:
    for agent in (spec.agent, *spec.variants.values()):
        if not is_agent_class(agent) or agent in seen:
            continue
        seen.add(agent)
        from treewarden.supervisor.codecs import codec_of_class  # the tree needs it too, if anything is durable

        try:
            codec_of_class(agent)
        except ConfigurationError as error:
            remedy = "or make its mailbox volatile, which stores nothing"
            yield Problem(at, shown(spec.id), f"keeps what it gets on disk, and {error}", remedy)


def checked_path(text: str) -> Path:
    """`text` as an address. Raises `ConfigurationError` for what cannot be one."""
    try:
        return _parsed(text) if type(text) is str else Path.parse(text)
    except ValueError as error:
        raise ConfigurationError(str(error)) from None


@lru_cache(4096)
def _parsed(text: str) -> Path:
    return Path.parse(text)


def checked_text(name: str, value: object) -> None:
    """As `supervisor.calls.must_be_text`."""
    from treewarden.supervisor.calls import must_be_text  # with the first call

    must_be_text(name, value)
