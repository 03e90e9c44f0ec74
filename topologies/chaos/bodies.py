"""What the command may be pointed at: one of treewarden's own trees, a TOML file, or a test as `module:function`."""

from __future__ import annotations

import importlib
import inspect
import sys
from typing import Any, cast

import trio

from treewarden.agents.errors import ConfigurationError

from ..core.blueprint import Blueprint
from ..toml import load
from .run import Body, Setting
from .subjects import SUBJECTS, hard
from .world import World

__all__ = ["body_of", "setting_of"]

_OWN = "own:"


def body_of(text: str) -> Body:
    """The test that `text` names. Raises `ConfigurationError` saying what there is.

    A TOML file, and a blueprint, are run without messages from outside: what they do by themselves goes on for as long
    as faults come, and then has to be up.
    """
    if text.startswith(_OWN):
        name = text.removeprefix(_OWN)
        if name not in SUBJECTS:
            raise ConfigurationError(f"there is no tree {name!r}; there is {', '.join(SUBJECTS)}")
        return SUBJECTS[name].run
    if text.endswith(".toml"):
        return _left_alone(load(text).blueprint)
    module, colon, name = text.partition(":")
    if not colon:
        raise ConfigurationError(f"{text!r} is no topology: give FILE.toml, module:function, or {_OWN}NAME")
    return _named(module, name)


def setting_of(text: str) -> Setting | None:
    """What `@chaos` says the test is run under; None for what is no such test. Raises `ConfigurationError`."""
    module, colon, name = text.partition(":")
    if text.startswith(_OWN):
        return hard()
    return getattr(_imported(module, name), "setting", None) if colon and not text.endswith(".toml") else None


def _imported(module: str, name: str) -> Any:
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(f"{module}:{name} cannot be imported: {error}") from error


def _named(module: str, name: str) -> Body:
    found = inspect.unwrap(_imported(module, name))
    if isinstance(found, Blueprint):
        return _left_alone(found)
    if not inspect.iscoroutinefunction(found):
        raise ConfigurationError(f"{module}:{name} is no `async def` that takes a world, and no blueprint")
    return cast("Body", found)


def _left_alone(blueprint: Blueprint) -> Body:
    async def body(world: World) -> None:
        await world.start(blueprint)
        await world.calm()
        await trio.sleep(world.within)
        await world.process.wait_up()

    return body
