"""An existing async function as a supervised agent, unchanged."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

from attrs import evolve

from .agent import Agent, at, every
from .agent_spec import AgentSpec
from .core.diagnosis import Diagnosis
from .core.path import Path
from .core.values import frozen
from .errors import ConfigurationError
from .handlers import period_of, spread_of

if TYPE_CHECKING:
    from .core.timetable import Timetable

__all__ = ["Dated", "Job", "Once", "Periodic", "Work", "worker"]


def worker(
    fn: Callable[..., Awaitable[Any]],
    *,
    every: float | None = None,
    spread: float = 0.0,
    at: str | Sequence[str] | None = None,
    zone: str = "UTC",
    days: str = "",
) -> AgentSpec:
    """An existing async function as an agent: run once, `every` so many seconds on a grid that does not drift, or `at`
    times of day.

    With `spread` the first call comes within so many seconds, as with `@every`. `at`, `zone` and `days` are those of
    `@at`, and mean the same.

    The function takes nothing, or one `Job`. What it raises is a crash, except `RateLimited` and exceptions that
    carry a response with status 429: those throttle it. Raises `ConfigurationError` for a function that cannot be one.
    """
    name = _name(fn)
    if not inspect.iscoroutinefunction(fn):
        raise ConfigurationError(f"{name}: a worker is an async function; write `async def {name}(...)`")
    needed = _required(fn)
    keyword = [each.name for each in needed if each.kind is each.KEYWORD_ONLY]
    if len(needed) > 1 or keyword:
        names = ", ".join(each.name for each in needed)
        raise ConfigurationError(f"{name}: a worker takes nothing or one Job, not {names}")
    if at is not None:
        if every is not None or spread != 0.0:
            raise ConfigurationError(f"{name}: every and at exclude each other, and spread is for every; keep one")
        from .timetables import read  # with the first worker that has one

        return AgentSpec(Dated, {"fn": fn, "times": read(name, at, zone, days)}, name)
    if (zone, days) != ("UTC", ""):
        raise ConfigurationError(f"{name}: zone and days are for a worker that comes at times of day; say at, too")
    if every is None:
        if spread != 0.0:
            raise ConfigurationError(f"{name}: spread is for a worker that comes again; say every, too")
        return AgentSpec(Once, {"fn": fn}, name)
    period = period_of(name, every)
    seconds, args = spread_of(name, spread, period), {"fn": fn, "period": period}
    return AgentSpec(Periodic, {**args, "spread": seconds} if seconds else args, name)  # or all specs were other ones


@frozen
class Work:
    """What is kept of a worker: how often its function has returned, and the value it last kept."""

    runs: int = 0
    value: Any = None


class Job:
    """What a worker's function gets if it takes a parameter."""

    def __init__(self, agent: Agent[Work]) -> None:
        self._agent = agent

    @property
    def path(self) -> Path:
        return self._agent.path

    @property
    def value(self) -> Any:
        """What the last `checkpoint` kept, in this life or an earlier one; None at first."""
        return self._agent.state.value

    @property
    def diagnosis(self) -> Diagnosis | None:
        """Why `value` is an earlier one (see `Agent.diagnosis`)."""
        return self._agent.diagnosis

    def checkpoint(self, value: Any) -> None:
        """Keep `value` (JSON-like data): of a periodic worker when its function returns, of one that runs once now."""
        self._agent.state = evolve(self._agent.state, value=value)
        self._agent.keep()

    def progress(self, token: object) -> None:
        """Say that work goes on; only a new token counts (see `Agent.progress`)."""
        self._agent.progress(token)

    def called(self, call: str, arguments: Any = None, result: Any = None) -> None:
        """Say which call was made, and what came of it (see `Agent.called`)."""
        self._agent.called(call, arguments, result)

    def signal(self, kind: str, severity: float, text: str = "", **facts: Any) -> None:
        """Tell the supervisor about something (see `Agent.signal`)."""
        self._agent.signal(kind, severity, text, **facts)

    def recovered(self, kind: str, text: str = "") -> None:
        """Take a signal back (see `Agent.recovered`)."""
        self._agent.recovered(kind, text)

    def measured(self, what: str, value: float) -> None:
        """Say what was measured (see `Agent.measured`)."""
        self._agent.measured(what, value)

    def record(self, fact: Any) -> None:
        """Add a fact to the journal (see `Agent.record`)."""
        self._agent.record(fact)


class _Worker(Agent[Work]):
    state = Work()

    def __init__(self, fn: Callable[..., Awaitable[Any]]) -> None:
        self.fn = fn
        self.takes_job = bool(_required(fn))

    async def call(self) -> Any:
        result = await (self.fn(Job(self)) if self.takes_job else self.fn())
        self.state = evolve(self.state, runs=self.state.runs + 1)
        return result


class Periodic(_Worker):
    """Calls the function every `period` seconds, on a grid that does not drift."""

    def __init__(self, fn: Callable[..., Awaitable[Any]], period: float, spread: float = 0.0) -> None:
        super().__init__(fn)
        self.period = period
        self.spread = spread

    @every("period", spread="spread")
    async def tick(self) -> None:
        await self.call()


class Dated(_Worker):
    """Calls the function at the times of a timetable."""

    def __init__(self, fn: Callable[..., Awaitable[Any]], times: Timetable) -> None:
        super().__init__(fn)
        self.times = times

    @at("times")
    async def tick(self) -> None:
        await self.call()


class Once(_Worker):
    """Calls the function once as a body; its return finishes the agent."""

    async def run(self) -> Any:
        return await self.call()


def _name(fn: object) -> str:
    """What the function is called, also under `functools.partial`."""
    while isinstance(fn, functools.partial):
        fn = cast("functools.partial[Any]", fn).func
    return getattr(fn, "__name__", None) or repr(fn)


def _required(fn: Callable[..., Any]) -> list[inspect.Parameter]:
    """What a call has to give."""
    return [
        parameter
        for parameter in inspect.signature(fn).parameters.values()
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]
