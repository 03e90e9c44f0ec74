"""What one run of a durable case has shown, and the watch that takes its times."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

import trio
from attrs import frozen

from treewarden.topologies.collector import collecting_rarely

__all__ = ["Figures", "Watch"]

_LOOK_EVERY: Final = 0.001


@frozen
class Figures:
    """What one run has shown."""

    value: float
    """Pieces of work per second; bytes or milliseconds where the row is about these."""
    p99: float | None = None
    """Milliseconds within which 99 of 100 were acknowledged."""
    stall: float | None = None
    """The longest time, in milliseconds, for which the event loop let nobody else run."""
    held: float | None = None
    """The same in CPU time of its thread: without what other processes, and the writer's thread, took from it."""
    transactions: float | None = None
    """Per piece of work."""
    plain: float | None = None
    """The milliseconds of `p99` of plain sqlite3 under the same duty, right behind it."""


class Watch:
    """How long things take, and for how long nobody else could run."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self._stall = self._held = 0.0
        self._seconds = 0.0

    def timed(self) -> _Timed:
        return _Timed(self.times)

    @asynccontextmanager
    async def looking(self, every: float = _LOOK_EVERY) -> AsyncGenerator[None]:
        """Measure the block: its time, and by how much a sleep of `every` seconds beside it is late at most.

        What exists by then, the modules and the tree, is not looked through again by the garbage collector, and it
        looks at what is new as seldom as in a process of `treewarden run`.
        """
        gc.collect()
        gc.freeze()
        try:
            with collecting_rarely():
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._look, every)
                    begin = time.perf_counter()
                    yield
                    self._seconds = time.perf_counter() - begin
                    nursery.cancel_scope.cancel()
        finally:
            gc.unfreeze()

    async def _look(self, every: float) -> None:
        while True:
            begin, busy = time.perf_counter(), time.thread_time()
            await trio.sleep(every)
            self._stall = max(self._stall, time.perf_counter() - begin - every)
            self._held = max(self._held, time.thread_time() - busy)

    @property
    def p99(self) -> float:
        return statistics.quantiles(self.times, n=100)[98] * 1000 if len(self.times) > 1 else 0.0

    def figures(self, count: int, transactions: int, of: float | None = None) -> Figures:
        value = count / self._seconds if of is None else of
        return Figures(value, self.p99, self._stall * 1000, self._held * 1000, transactions / count)


class _Timed:
    def __init__(self, times: list[float]) -> None:
        self._times = times

    def __enter__(self) -> None:
        self._begin = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._times.append(time.perf_counter() - self._begin)
