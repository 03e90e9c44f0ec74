"""How things are measured: runs that take turns, CPU time, and a note of what else the machine did meanwhile.

Every run is on its own and gives one `Measured`; contenders take turns within each repetition, so that a machine that
is slow for a while is slow for all of them. In-process cases are timed in CPU seconds of the process (all its threads),
which other processes hardly change; peers, which have threads and processes, by the clock on the wall.
"""

from __future__ import annotations

import gc
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from enum import StrEnum
from typing import Any, Final, TypeAlias

import attrs
import trio
from attrs import define, frozen
from machine import busy_seconds, own_seconds

__all__ = [
    "Case",
    "Contender",
    "Measured",
    "Run",
    "RunFailed",
    "Series",
    "Stopwatch",
    "Unit",
    "afresh",
    "in_process",
    "measured_in",
    "once",
    "take_turns",
]

_LONGEST_RUN: Final = 900.0
"""Seconds that one run may take."""


class RunFailed(Exception):
    """A run in another process gave no result; the text says why."""


class Unit(StrEnum):
    """What a row is measured in."""

    PER_SECOND = "/s"
    MICROSECONDS = "µs"
    MILLISECONDS = "ms"
    BYTES = "B"

    @property
    def more_is_better(self) -> bool:
        return self is Unit.PER_SECOND


@frozen
class Measured:
    """One run of one case."""

    count: int
    """How many pieces of work were done, as those counted who did them."""
    cpu: float
    """CPU seconds of the process for all of them."""
    wall: float
    value: float | None = None
    """The result where it is not a time per piece: bytes, a latency."""
    note: str = ""

    def number(self, unit: Unit, *, by_wall: bool) -> float:
        """The result in the row's unit."""
        if self.value is not None:
            return self.value
        seconds = self.wall if by_wall else self.cpu
        return self.count / seconds if unit is Unit.PER_SECOND else seconds / self.count * 1e6


class Stopwatch:
    """CPU and wall seconds of the part that counts."""

    cpu = 0.0
    wall = 0.0

    def of(self, count: int, *, value: float | None = None, note: str = "") -> Measured:
        """What was measured, for `count` pieces of work."""
        return Measured(count, self.cpu, self.wall, value, note)


@frozen
class Run:
    """What a case is told: how much to do, and what to put round the part that counts (a profiler)."""

    size: int
    around: Callable[[], AbstractContextManager[object]] = nullcontext

    @contextmanager
    def measured(self) -> Generator[Stopwatch]:
        """Time the block. Garbage from before is collected first; the collector stays on, as in a real program."""
        watch = Stopwatch()
        gc.collect()
        with self.around():
            cpu, wall = time.process_time(), time.perf_counter()
            yield watch
            watch.cpu, watch.wall = time.process_time() - cpu, time.perf_counter() - wall


Case: TypeAlias = Callable[[Run], Awaitable[Measured]]


@frozen
class Contender:
    """One column of a row: who it is, and how one run of it is made."""

    name: str
    sample: Callable[[], Measured]
    by_wall: bool = False


@define
class Series:
    """All runs of one contender in one row."""

    name: str
    unit: Unit
    by_wall: bool = False
    runs: list[Measured] = attrs.field(factory=list[Measured])
    others: list[float] = attrs.field(factory=list[float])
    """Cores that other processes used, per run; empty where the system does not say."""
    error: str = ""
    """Why there is no number."""

    @property
    def values(self) -> list[float]:
        return [run.number(self.unit, by_wall=self.by_wall) for run in self.runs]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def spread(self) -> tuple[float, float]:
        return min(self.values), max(self.values)

    @property
    def note(self) -> str:
        """What the run in the middle had to add."""
        if not self.runs:
            return ""
        return sorted(self.runs, key=lambda run: run.number(self.unit, by_wall=self.by_wall))[len(self.runs) // 2].note


def take_turns(unit: Unit, contenders: Sequence[Contender], repeats: int, tick: Callable[[str], None]) -> list[Series]:
    """Run every contender `repeats` times, one after the other within each repetition, every second time backwards.

    One that fails has no number, and the others go on.
    """
    found = {each.name: Series(each.name, unit, each.by_wall) for each in contenders}
    for repetition in range(repeats):
        for each in contenders if repetition % 2 == 0 else reversed(contenders):
            series = found[each.name]
            if series.error:
                continue
            tick(f"{each.name} {repetition + 1}/{repeats}")
            busy, own, wall = busy_seconds(), own_seconds(), time.perf_counter()
            try:
                run = each.sample()
            except Exception as error:
                series.error = f"{type(error).__name__}: {error}".splitlines()[0]
                series.runs.clear()
                continue
            series.runs.append(run)
            busy_now, spent = busy_seconds(), own_seconds() - own
            if busy is not None and busy_now is not None:
                series.others.append(max(0.0, busy_now - busy - spent) / (time.perf_counter() - wall))
    return list(found.values())


# -- where a run happens


async def once(case: Case, run: Run, within: float = _LONGEST_RUN) -> Measured:
    """One run, which fails if it takes longer than `within` seconds: what it waits for got lost."""
    with trio.fail_after(within):
        return await case(run)


def in_process(case: Case, size: int) -> Measured:
    """One run in this process."""
    return trio.run(once, case, Run(size))


def afresh(arguments: Sequence[str], *, interpreter: str = sys.executable, within: float = _LONGEST_RUN) -> Measured:
    """One run in a process of its own, whose last line of output is a `Measured` as JSON. Raises `RunFailed`."""
    try:
        ended = subprocess.run(
            [interpreter, *arguments], capture_output=True, text=True, timeout=within, check=False, close_fds=True
        )
    except subprocess.TimeoutExpired:
        raise RunFailed(f"no result within {within:g} s") from None
    except OSError as error:
        raise RunFailed(f"{interpreter}: {error.strerror}") from None
    return measured_in(ended.stdout, f"exit code {ended.returncode}: {_last_line(ended.stderr)}")


def measured_in(output: str, otherwise: str = "no result") -> Measured:
    """The `Measured` in the last line of `output`. Raises `RunFailed` with `otherwise` if there is none."""
    try:
        raw: Any = json.loads(_last_line(output))
        return Measured(**raw)
    except (ValueError, TypeError):
        raise RunFailed(otherwise) from None


def _last_line(text: str) -> str:
    return next((line for line in reversed(text.splitlines()) if line.strip()), "")
