"""What an agent asks of the world outside, tried again within limits before that is a failure."""

from __future__ import annotations

import math
import random
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar, cast

import trio

from .core.exit import alone
from .core.said import is_number, shown
from .errors import ConfigurationError, Ignore, NotDone, Stash, Stop, TreewardenError
from .limited import rate_limit_of

__all__ = ["retry"]

T = TypeVar("T")
_OURS: Final = (TreewardenError, Stop, Ignore, Stash, NotDone)
"""What is said in an agent, and to it: none of it passes by itself, and an ask that is made again is another one."""


async def retry(
    call: Callable[[], Awaitable[T]],
    *,
    within: float,
    times: int = 4,
    on: type[Exception] | tuple[type[Exception], ...] = OSError,
    first: float = 0.1,
    factor: float = 4.0,
    most: float = 10.0,
) -> T:
    """What `call` returns, tried `times` times in all. Each try has `within` seconds.

    Tried again is what takes longer than that (`trio.TooSlowError`) and what raises one of `on`; the last of them is
    raised as it is. A rate limit (`RateLimited`, or a response with status 429) goes out at once, and so does whatever
    else is raised: the supervisor is there for these. So do `Stop`, `NotDone` and the errors of this library, unless
    `on` names them, or a base of theirs that is of this library: `AskTimeout` is an `OSError`, too. Between two tries
    it waits `first` seconds, then `factor` times as long each time, `most` at most, each time up to half of it less or
    more by chance.

    Cancelled: at once, in a try or between two. Raises `ConfigurationError` for limits that cannot work and
    for what cannot be called.

    Not promised: that a try which was too slow did nothing outside. What must not be done twice is an effect
    (`Agent.effect`), whose call may use this where doing it again under its key does no harm. Nor that the agent
    counts as alive meanwhile: its `progress_within`, if it has one, is longer than all of this.
    """
    if not callable(call):
        raise ConfigurationError(
            f"{shown(call)} cannot be called; give an async function of nothing, and not its result"
        )
    kinds = _checked(on, within=within, times=times, first=first, factor=factor, most=most)
    pause = first
    for left in reversed(range(times)):
        try:
            with trio.fail_after(within):
                return await call()
        except Exception as error:
            cause = alone(error)
            kind = type(cause)
            named = tuple(each for each in kinds if issubclass(each, _OURS)) if issubclass(kind, _OURS) else kinds
            if not left or not issubclass(kind, named) or rate_limit_of(cause) is not None:
                raise
        await trio.sleep(min(pause, most) * random.uniform(0.5, 1.5))
        pause = min(pause * factor, most)
    raise AssertionError


def _checked(on: object, *, times: object, **numbers: object) -> tuple[type[Exception], ...]:
    """The types that are tried again."""
    if type(times) is not int or times < 1:
        raise ConfigurationError(f"retry: times is {shown(times)}; give a whole number, 1 or more")
    for name, value in numbers.items():
        least = 1 if name == "factor" else 0
        if not is_number(value) or not least <= value < math.inf or (name == "within" and not value):
            wanted = (
                "1 or more" if least else "a positive number of seconds" if name == "within" else "seconds, 0 or more"
            )
            raise ConfigurationError(f"retry: {name} is {shown(value)}; give {wanted}")
    kinds = cast("tuple[object, ...]", on if isinstance(on, tuple) else (on,))
    for kind in kinds:
        if not _is_failure(kind):
            raise ConfigurationError(
                f"retry: {shown(kind)} in on is no class of exceptions; give those that pass by themselves"
            )
    return cast("tuple[type[Exception], ...]", (*kinds, trio.TooSlowError))


def _is_failure(kind: object) -> bool:
    """It is a class of exceptions, and none that ends a task or a process."""
    return isinstance(kind, type) and issubclass(kind, Exception)
