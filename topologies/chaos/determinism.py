"""trio's order of tasks under a seed: the only module that names what trio keeps private.

trio shuffles each batch of runnable tasks with a generator of its own, after sorting it when a switch says so
(https://github.com/python-trio/trio/issues/2675). Both names are looked for when they are used: where one is missing,
runs still work, and are marked as not replayable.
"""

from __future__ import annotations

import importlib
import math
import random
from collections.abc import Callable, Generator, MutableSequence
from contextlib import contextmanager
from typing import Any, Final

import trio.testing

__all__ = ["missing_names", "ordered_by", "simulated_clock", "worker_threads_told"]

_LOOP: Final = "trio._core._run"
_SWITCH: Final = "_ALLOW_DETERMINISTIC_SCHEDULING"
_CHANCE: Final = "_r"
_THREADS: Final = "trio._core._thread_cache"
_CACHE: Final = "THREAD_CACHE"
_FOR_EVER: Final = 999_999_999.0
"""Seconds that a wait takes at a clock that stands."""


def missing_names() -> tuple[str, ...]:
    """What this trio does not have, and a seed needs."""
    wanted = ((_LOOP, _SWITCH), (_LOOP, _CHANCE), (_THREADS, _CACHE))
    return tuple(f"{module}.{name}" for module, name in wanted if not hasattr(_module(module), name))


@contextmanager
def ordered_by(seed: int) -> Generator[None]:
    """trio's next run schedules tasks in an order that depends on `seed` alone. Not to be nested."""
    loop = _module(_LOOP)
    if not (hasattr(loop, _SWITCH) and hasattr(loop, _CHANCE)):
        yield
        return
    before = getattr(loop, _SWITCH), getattr(loop, _CHANCE)
    setattr(loop, _SWITCH, True)
    setattr(loop, _CHANCE, _Order(seed))
    try:
        yield
    finally:
        setattr(loop, _SWITCH, before[0])
        setattr(loop, _CHANCE, before[1])


class _Order(random.Random):
    """The same draws, without the way to them where nothing is drawn: most batches are one task."""

    def shuffle(self, x: MutableSequence[Any]) -> None:
        if len(x) > 1:
            super().shuffle(x)


def simulated_clock() -> trio.testing.MockClock:
    """A clock that stands still while anybody can go on, and otherwise jumps to what comes next.

    trio's own computes the time out of the computer's each time that it is asked, and asks the whole loop how it is
    before each jump; this one knows that it stands. Where trio has other private names, it is trio's own.
    """
    clock: Any = trio.testing.MockClock(autojump_threshold=0)
    runs: Any = getattr(_module(_LOOP), "GLOBAL_RUN_CONTEXT", None)
    if runs is None or not (hasattr(clock, "_autojump") and hasattr(clock, "_virtual_base")):
        return clock

    def current_time() -> float:
        return clock._virtual_base

    def deadline_to_sleep_time(deadline: float) -> float:
        return 0.0 if deadline <= clock._virtual_base else _FOR_EVER

    def autojump() -> None:
        jump = runs.runner.deadlines.next_deadline() - clock._virtual_base
        if 0 < jump < math.inf:
            clock._virtual_base += jump

    clock.current_time, clock.deadline_to_sleep_time = current_time, deadline_to_sleep_time
    clock._autojump = autojump
    return clock


@contextmanager
def worker_threads_told(tell: Callable[[str], None]) -> Generator[None]:
    """Call `tell` with the name of whatever trio hands to a worker thread meanwhile, also to one that exists."""
    module = _module(_THREADS)
    cache: Any = getattr(module, _CACHE, None)
    if cache is None:
        yield
        return

    class Telling:
        def start_thread_soon(self, fn: Callable[[], Any], deliver: Any, name: str | None = None) -> None:
            tell(name or getattr(fn, "__qualname__", "a function"))
            cache.start_thread_soon(fn, deliver, name)

    setattr(module, _CACHE, Telling())
    try:
        yield
    finally:
        setattr(module, _CACHE, cache)


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None
