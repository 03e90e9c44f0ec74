"""What a word of the command is given as `module:name`: that value in Python, or what it returns."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from treewarden.agents.errors import ConfigurationError

from .core.node import Problems, Refused, located
from .errors import BlueprintError
from .imports import import_name

__all__ = ["value_named"]


def value_named(name: str, what: str, fits: Callable[[object], bool]) -> Any:
    """What `name` leads to; where that does not fit and can be called, what it returns, made anew each time.

    Blocks. The module is imported with the current folder first on the path. `what` it is to be, in a word. Not
    promised: that it `fits`. Raises `BlueprintError` for a name that leads nowhere, and `ConfigurationError` for what
    cannot be called without arguments, or raises.
    """
    problems = Problems()
    found = import_name(located(name, what), Path.cwd(), problems, fits)
    if isinstance(found, Refused):
        raise BlueprintError(problems, name)
    return _called(name, what, found) if callable(found) and not fits(found) else found


def _called(name: str, what: str, make: Callable[..., object]) -> object:
    if inspect.iscoroutinefunction(make):
        raise ConfigurationError(f"{name} is an async function; give a {what}, or a plain function that returns one")
    try:
        inspect.signature(make).bind()
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"{name} cannot be called without arguments ({error}); give one that can") from None
    try:
        return make()
    except (Exception, SystemExit) as error:
        text = f"{type(error).__name__}: {error}"
        raise ConfigurationError(f"{name} makes no {what}: it raised {text}; mend it") from error
