"""trio's order of tasks under a seed: the only module that names what trio keeps private.

trio shuffles each batch of runnable tasks with a generator of its own, after sorting it when a switch says so
(https://github.com/python-trio/trio/issues/2675). Both names are looked for when they are used: where one is missing,
runs still work, and are marked as not replayable.
"""

from __future__ import annotations

import functools
import importlib
import itertools
import math
import random
import time
from collections.abc import Callable, Generator, MutableSequence, Sequence
from contextlib import contextmanager
from heapq import heappop, heappush
from typing import Any, Final

import trio.testing
from attrs import define, field

__all__ = [
    "Workers",
    "lean_instruments",
    "missing_names",
    "ordered_by",
    "simulated_clock",
    "sleep",
    "sleep_until",
    "worker_threads_told",
]

_LOOP: Final = "trio._core._run"
_SWITCH: Final = "_ALLOW_DETERMINISTIC_SCHEDULING"
_CHANCE: Final = "_r"
_INSTRUMENTS: Final = "trio._core._instrumentation"
_THREADS: Final = "trio._core._thread_cache"
_CACHE: Final = "THREAD_CACHE"
_PATIENCE: Final = 10.0
"""Seconds, of the computer's, that a worker thread may hold the clock."""
_LOOK_EVERY: Final = 0.0005
_NUMBERS: Final = itertools.count()
_FOR_EVER: Final = 999_999_999.0
"""Seconds that a wait takes at a clock that stands."""


def missing_names() -> tuple[str, ...]:
    """What this trio does not have, and a seed needs."""
    wanted = ((_LOOP, _SWITCH), (_LOOP, _CHANCE), (_THREADS, _CACHE))
    return tuple(f"{module}.{name}" for module, name in wanted if not hasattr(_module(module), name))


@contextmanager
def ordered_by(
    seed: int, told: Callable[[Sequence[trio.lowlevel.Task]], object] = lambda batch: None
) -> Generator[None]:
    """trio's next run schedules tasks in an order that depends on `seed` alone. Not to be nested.

    `told` gets each batch of tasks before their steps; the last of them comes first. That is cheaper than an
    instrument, which trio calls through a table for each step.
    """
    loop = _module(_LOOP)
    if not (hasattr(loop, _SWITCH) and hasattr(loop, _CHANCE)):
        yield
        return
    before = getattr(loop, _SWITCH), getattr(loop, _CHANCE)
    setattr(loop, _SWITCH, True)
    setattr(loop, _CHANCE, _Order(seed, told))
    try:
        yield
    finally:
        setattr(loop, _SWITCH, before[0])
        setattr(loop, _CHANCE, before[1])


class _Order(random.Random):
    """The same draws, without the way to them where nothing is drawn: most batches are one task."""

    def __init__(self, seed: int, told: Callable[[Sequence[Any]], object]) -> None:
        super().__init__(seed)
        self._told = told

    def shuffle(self, x: MutableSequence[Any]) -> None:
        if len(x) > 1:
            super().shuffle(x)
        if x:
            self._told(x)


def lean_instruments() -> None:
    """Let the loop that runs ask for its instruments in a dict, and not in a class that looks like one: it asks five
    times for each step, and there are hardly any. Does nothing where trio has other private names."""
    module, runs = _module(_INSTRUMENTS), getattr(_module(_LOOP), "GLOBAL_RUN_CONTEXT", None)
    own: Any = getattr(module, "Instruments", None)
    runner: Any = getattr(runs, "runner", None)
    if own is None or type(getattr(runner, "instruments", None)) is not own:
        return
    runner.instruments = _lean(own)(runner.instruments.data)


@functools.cache
def _lean(own: Any) -> Any:
    """A dict with the methods of trio's instruments, which keep what they know in `data`."""
    methods = {name: getattr(own, name) for name in ("add_instrument", "remove_instrument", "call")}
    return type("Instruments", (dict,), {**methods, "data": property(lambda self: self)})


class Workers:
    """The calls that are in worker threads at present: time stands still for whoever waits for them."""

    def __init__(self, now: Callable[[], float] = time.monotonic, wait: Callable[[float], object] = time.sleep) -> None:
        self.out: set[object] = set()  # of one item for each: threads that take theirs out need no lock
        self._now = now
        self._wait = wait
        self._since = 0.0

    def hold(self) -> bool:
        """Whether one is out, and has not been for too long; waits a little for it if so. Blocks."""
        if not self.out:
            self._since = 0.0
            return False
        now = self._now()
        self._since = self._since or now
        if now - self._since > _PATIENCE:
            return False
        self._wait(_LOOK_EVERY)
        return True


def simulated_clock(workers: Workers | None = None, *, jumps: bool = True) -> trio.testing.MockClock:
    """A clock that stands still while anybody can go on, and otherwise jumps to what comes next.

    trio's own computes the time out of the computer's each time that it is asked, and asks the whole loop how it is
    before each jump; this one knows that it stands. It does not jump while one of `workers` is out: for 10 s of real
    time at most, so that a thread which never comes back holds up nobody for ever. And it has a row of alarms, for
    `sleep_until`. Without `jumps` by anybody else, trees sleep by that, too: an alarm that is jumped over rings when
    nobody can go on, and trio's deadlines at once. Where trio has other private names, it is trio's own.
    """
    clock: Any = trio.testing.MockClock(autojump_threshold=0)
    runs: Any = getattr(_module(_LOOP), "GLOBAL_RUN_CONTEXT", None)
    if runs is None or not (hasattr(clock, "_autojump") and hasattr(clock, "_virtual_base")):
        return clock
    alarms: list[_Alarm] = []

    def current_time() -> float:
        return clock._virtual_base

    def deadline_to_sleep_time(deadline: float) -> float:
        return 0.0 if deadline <= clock._virtual_base else _FOR_EVER

    def autojump() -> None:
        if workers is not None and workers.hold():
            return
        deadlines = runs.runner.deadlines
        while alarms and alarms[0].task is None:
            heappop(alarms)
        to = min(deadlines.next_deadline(), alarms[0].at if alarms else math.inf)
        if clock._virtual_base < to < math.inf:
            clock._virtual_base = to
        deadlines.expire(clock._virtual_base)
        while alarms and alarms[0].at <= clock._virtual_base:
            task = heappop(alarms).task
            if task is not None:
                trio.lowlevel.reschedule(task)

    clock.current_time, clock.deadline_to_sleep_time = current_time, deadline_to_sleep_time
    clock._autojump, clock.alarms = autojump, alarms
    if not jumps:
        clock.sleep_until = sleep_until
    return clock


@define(order=True)
class _Alarm:
    at: float
    number: int
    task: trio.lowlevel.Task | None = field(order=False)


async def sleep_until(at: float) -> None:
    """As `trio.sleep_until`. Under `simulated_clock` it takes a fifth of that: nothing is cancelled to end it."""
    clock: Any = trio.lowlevel.current_clock()
    alarms: list[_Alarm] | None = getattr(clock, "alarms", None)
    if alarms is None or not clock.current_time() < at < math.inf:
        await trio.sleep_until(at)
        return
    alarm = _Alarm(at, next(_NUMBERS), trio.lowlevel.current_task())

    def wake_no_more(_: object) -> trio.lowlevel.Abort:
        alarm.task = None
        return trio.lowlevel.Abort.SUCCEEDED

    heappush(alarms, alarm)
    await trio.lowlevel.wait_task_rescheduled(wake_no_more)


async def sleep(seconds: float) -> None:
    """As `trio.sleep`, with `sleep_until`."""
    await sleep_until(trio.current_time() + seconds)


@contextmanager
def worker_threads_told(tell: Callable[[str], None], workers: Workers) -> Generator[None]:
    """Call `tell` with the name of whatever trio hands to a worker thread meanwhile, also to one that exists, and count
    in `workers` what is there."""
    module = _module(_THREADS)
    cache: Any = getattr(module, _CACHE, None)
    if cache is None:
        yield
        return

    class Telling:
        def start_thread_soon(self, fn: Callable[[], Any], deliver: Any, name: str | None = None) -> None:
            tell(name or getattr(fn, "__qualname__", "a function"))
            call = object()
            workers.out.add(call)

            def back(result: Any) -> None:
                try:
                    deliver(result)
                finally:
                    workers.out.discard(call)

            cache.start_thread_soon(fn, back, name)

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
