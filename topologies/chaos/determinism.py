"""trio's order of tasks under a seed: the only module that names what trio keeps private.

trio shuffles each batch of runnable tasks with a generator of its own, after sorting it when a switch says so
(https://github.com/python-trio/trio/issues/2675). Both names are looked for when they are used: where one is missing,
runs still work, and are marked as not replayable.
"""

from __future__ import annotations

import importlib
import random
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, Final

__all__ = ["missing_names", "ordered_by", "worker_threads_told"]

_LOOP: Final = "trio._core._run"
_SWITCH: Final = "_ALLOW_DETERMINISTIC_SCHEDULING"
_CHANCE: Final = "_r"
_THREADS: Final = "trio._core._thread_cache"
_CACHE: Final = "THREAD_CACHE"


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
    setattr(loop, _CHANCE, random.Random(seed))
    try:
        yield
    finally:
        setattr(loop, _SWITCH, before[0])
        setattr(loop, _CHANCE, before[1])


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
