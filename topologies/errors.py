"""The error of this layer, and what its edge refuses."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from treewarden.agents.core.path import Path
from treewarden.agents.errors import ConfigurationError
from treewarden.supervisor.core.spec import SupervisorSpec

from .core.blueprint import Blueprint, validate
from .core.problems import Problem

__all__ = ["BlueprintError", "checked", "checked_path", "checked_text"]


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
    problems = validate(blueprint)
    if problems:
        raise BlueprintError(problems)
    return blueprint


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
