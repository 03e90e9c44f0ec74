"""When an agent's `@at` methods are due: what was said in its class, read."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from .core.timetable import Timetable, timetable
from .errors import ConfigurationError

__all__ = ["dates_of", "read"]


def dates_of(where: str, times: Any, zone: Any, days: Any) -> Callable[[object], Timetable]:
    """What says of an agent when its `@at` method is due. Raises `ConfigurationError`, as what it returns may, for what
    cannot be; `where` names whose it is."""
    if isinstance(times, str) and times.isidentifier():
        read(where, "00:00", zone, days)
        return partial(_named, where, times, zone, days)
    found = read(where, times, zone, days)
    return lambda _agent: found


def _named(where: str, name: str, zone: str, days: str, agent: object) -> Timetable:
    if not hasattr(agent, name):
        raise ConfigurationError(f"{where}: @at names {name!r}, which is no time, and the agent has no such attribute")
    value = getattr(agent, name)
    return value if isinstance(value, Timetable) else read(where, value, zone, days)


def read(where: str, times: Any, zone: Any, days: Any) -> Timetable:
    """A timetable. Raises `ConfigurationError` for what is none; `where` names whose it is."""
    try:
        return timetable(times, zone, days)
    except ValueError as error:
        raise ConfigurationError(f"{where}: {error}") from None
