"""`@chaos`: an async test of a world as a test that pytest runs under many seeds."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Never, Protocol, cast

from treewarden.agents.core.said import is_count, is_number, shown
from treewarden.agents.errors import ConfigurationError

from ..core.faults import Fault
from .run import Body, Setting
from .world import World

__all__ = ["Arena", "chaos"]


class Arena(Protocol):
    """What the fixture `world` gives to the wrapper that `chaos` makes."""

    def run(self, body: Body, setting: Setting, seeds: int) -> None:
        """Run the test under so many seeds. Raises what makes pytest's test fail."""
        ...


def chaos(
    *bare: Never, seeds: int = 50, faults: Sequence[Fault] = (), within: float = 30.0
) -> Callable[[Callable[..., Awaitable[object]]], Callable[..., None]]:
    """Run an `async def test(world, ...)` once for each seed, each time in a world of its own.

    In each run `faults` come for `within` seconds of the world's time, as the seed decides. Other fixtures are made
    once, for all of the seeds. Raises `ConfigurationError` for what cannot be such a test.
    """
    if bare:
        name = getattr(bare[0], "__qualname__", None) or shown(bare[0])
        raise ConfigurationError(f"{name}: chaos takes its options by name; write `@chaos(seeds=50, faults=[kill()])`")
    if not is_count(seeds):
        raise ConfigurationError(f"seeds is {shown(seeds)}; give a whole number, 1 or more")
    if not is_number(within) or not 0 < within < 1e6:
        raise ConfigurationError(f"within is {shown(within)}; give a positive number of seconds")
    setting = Setting(faults=_faults(faults), within=within)

    def mark(test: Callable[..., Awaitable[object]]) -> Callable[..., None]:
        name = getattr(test, "__qualname__", repr(test))
        if not inspect.iscoroutinefunction(test):
            raise ConfigurationError(f"{name}: a test of a world is an async function; write `async def {name}(world)`")
        if "world" not in inspect.signature(test).parameters:
            raise ConfigurationError(f"{name}: a test of a world takes it as `world`")

        @functools.wraps(test)
        def many(*args: Any, world: Arena, **fixtures: Any) -> None:
            @functools.wraps(test)
            async def once(inside: World) -> None:
                await test(*args, world=inside, **fixtures)

            world.run(once, setting, seeds)

        many.setting = setting  # type: ignore[attr-defined]  # for commands that run the same test
        return many

    return mark


def _faults(given: object) -> tuple[Fault, ...]:
    if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
        raise ConfigurationError(f"faults is {shown(given)}; give a list of faults, as [kill(rate=1.0)]")
    found = tuple(cast("Iterable[object]", given))
    for fault in found:
        if not isinstance(fault, Fault):
            raise ConfigurationError(
                f"faults has {shown(fault)} in it; give what kill(), crash(...) and the others return"
            )
    return cast("tuple[Fault, ...]", found)
