"""Races, one after the other or several at once in processes: in the same order, with the same results."""

from __future__ import annotations

import json
import os
import signal
import threading
import traceback
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final, NoReturn, TextIO

from attrs import asdict, frozen

from treewarden.agents.errors import TreewardenError

from .contenders import Contender
from .race import Incident, Outcome, Race, run_race
from .world import World

__all__ = ["Job", "RaceLost", "cores", "races", "worth"]

_WORTH: Final = 8
"""Races that are worth a process of their own."""


class RaceLost(TreewardenError):
    """A process that ran a race was ended from outside, or the race failed in it."""


@frozen
class Job:
    """One race that is to be run."""

    world: World
    seed: int
    contender: Contender
    timer: Callable[[], float] | None = None

    def run(self) -> Race:
        return run_race(self.world, self.seed, self.contender, timer=self.timer)


def cores() -> int:
    """How many this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


def worth(processes: int, count: int) -> int:
    """How many of `processes` are worth starting for so many races; 1 where a process cannot be forked safely."""
    if not hasattr(os, "fork") or threading.active_count() > 1:
        return 1
    return max(1, min(processes, count // _WORTH))


def races(jobs: Sequence[Job], processes: int) -> Generator[Race]:
    """Run the jobs and yield what came of them, in their order. Blocks; close it to run no more of them.

    With more than one process each is a fork of this one and runs every so-manieth job. It hears no Ctrl-C, which is
    for this one to answer, and ends at its next race when nobody reads any more. Raises what a race raises; from a
    process, and where one was ended from outside, `RaceLost`.
    """
    if processes <= 1:
        yield from (job.run() for job in jobs)
        return
    running: list[_Forked] = []
    try:
        for place in range(processes):
            with _nobody_interrupts():  # between a fork and the note of it
                running.append(_Forked.begun(jobs[place::processes], running))
        for number, job in enumerate(jobs):
            yield running[number % processes].next(job)
    finally:
        for each in running:
            each.end()


@frozen
class _Forked:
    """A process that runs races, and where it writes what came of them."""

    pid: int
    said: TextIO

    @classmethod
    def begun(cls, jobs: Sequence[Job], others: Sequence[_Forked]) -> _Forked:
        reads, writes = os.pipe()
        pid = os.fork()
        if not pid:
            os.close(reads)
            for other in others:
                other.said.close()
            _run(jobs, writes)
        os.close(writes)
        return cls(pid, open(reads, encoding="utf-8"))

    def next(self, job: Job) -> Race:
        line = self.said.readline()
        where = f"the race of {job.contender.name} in {job.world.name} under seed {job.seed}"
        if not line.endswith("\n"):
            raise RaceLost(f"{where}: its process was ended from outside; run it again, perhaps with --jobs 1")
        told = json.loads(line)
        if "failed" in told:
            raise RaceLost(f"{where} failed:\n{told['failed']}")
        return _race(told)

    def end(self) -> None:
        self.said.close()
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


@contextmanager
def _nobody_interrupts() -> Generator[None]:
    """Put Ctrl-C off."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _run(jobs: Sequence[Job], writes: int) -> NoReturn:
    """The life of a forked process."""
    code = 1
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        with open(writes, "w", encoding="utf-8") as told:
            for job in jobs:
                told.write(json.dumps(_told(job)) + "\n")
                told.flush()
        code = 0
    except BrokenPipeError:
        pass  # nobody reads it any more
    finally:
        os._exit(code)


def _told(job: Job) -> dict[str, Any]:
    try:
        return asdict(job.run())
    except Exception:
        return {"failed": traceback.format_exc()}


def _race(told: dict[str, Any]) -> Race:
    return Race(
        incidents=tuple(_incident(each) for each in told["incidents"]),
        outcomes=tuple(Outcome(**each) for each in told["outcomes"]),
        seconds=told["seconds"],
        violations=told["violations"],
        latencies=tuple(told["latencies"]),
    )


def _incident(told: dict[str, Any]) -> Incident:
    actions: list[str] = told.pop("actions")
    return Incident(**told, actions=tuple(actions))
