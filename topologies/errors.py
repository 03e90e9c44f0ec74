"""The error of this layer."""

from __future__ import annotations

from collections.abc import Iterable

from treewarden.agents.errors import ConfigurationError
from treewarden.supervisor.core.spec import SupervisorSpec

from .core.blueprint import Blueprint, validate
from .core.problems import Problem

__all__ = ["BlueprintError", "checked"]


class BlueprintError(ConfigurationError):
    """A blueprint or a TOML file that cannot work. `problems` holds everything that was found; nothing was started."""

    def __init__(self, problems: Iterable[Problem], source: str = "") -> None:
        self.problems = tuple(dict.fromkeys(problems))
        self.source = source
        count = f"{len(self.problems)} problem{'s' if len(self.problems) != 1 else ''}"
        lines = [f"{source or 'the blueprint'} is refused, {count}:", *(f"  {each}" for each in self.problems)]
        super().__init__("\n".join(lines))


def checked(blueprint: Blueprint) -> Blueprint:
    """`blueprint`, if it can be opened. Raises `BlueprintError` with everything that keeps it from working."""
    if not isinstance(blueprint, SupervisorSpec):  # pyright: ignore[reportUnnecessaryIsInstance]
        name = getattr(blueprint, "__name__", None) or repr(blueprint)
        raise ConfigurationError(f"{name:.80} is no blueprint; give what tree(...), pool(...) or pipeline(...) returns")
    problems = validate(blueprint)
    if problems:
        raise BlueprintError(problems)
    return blueprint
