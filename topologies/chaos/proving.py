"""treewarden's own trees, all of them: many seeds, and a crash at every place."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from ..collector import collecting_rarely
from .campaign import Campaign, Finding, find
from .run import Run, run_world
from .subjects import SUBJECTS, hard
from .sweep import Sweep, sweep
from .telling import story

__all__ = ["SMALL", "own_runs", "prove"]

SMALL: Final = ("tree/one_for_one/message", "pool/shared/message")
"""The trees that are swept where time is short."""
_TELL_EVERY: Final = 10.0
_MOST: Final = 3
"""Failures of one sweep that are told of."""


def prove(seeds: int, swept: Sequence[str], say: Callable[[str], None], *, first: int = 0) -> bool:
    """Run `seeds` seeds, each with the next of the trees, then sweep those in `swept`. Returns whether all is well.

    `say` is told how far it is, how fast, and each failure with the command that shows it again.
    """
    progress = _Progress(say)
    with collecting_rarely():
        total = _seeds(seeds, first, progress)
        found = [total, *[_swept(name, progress) for name in swept]]
    return not any(each.findings for each in found) and not (total.never and seeds >= len(SUBJECTS))


def own_runs(seeds: int, first: int = 0) -> Iterator[tuple[int, str, Run]]:
    """Run each of so many seeds with the next of the trees: the seed, the tree's name, and what came of it."""
    names = list(SUBJECTS)
    for seed in range(first, first + seeds):
        name = names[seed % len(names)]
        yield seed, name, run_world(SUBJECTS[name].run, seed, hard())


def _seeds(seeds: int, first: int, progress: _Progress) -> Campaign:
    total = Campaign()
    for seed, name, run in own_runs(seeds, first):
        total.add(run)
        if run.failed:
            finding = find(SUBJECTS[name].run, run, test=f"own:{name}")
            total.findings.append(finding)
            progress.tell_failure(finding)
        progress.tell(f"seed {seed + 1 - first} of {seeds}", run)
    progress.say(
        f"seeds: {total.sentence}; {total.records:,} records, {total.records / progress.cpu:,.0f} a CPU second"
    )
    if total.never and seeds >= len(SUBJECTS):
        progress.say(f"never reached: {', '.join(total.never)}")
    return total


def _swept(name: str, progress: _Progress) -> Sweep:
    def done(run: Run) -> None:
        progress.tell(f"sweep of {name}", run)

    total: Sweep = sweep(SUBJECTS[name].run, test=f"own:{name}", stop_after=_MOST, done=done)
    for finding in total.findings:
        progress.tell_failure(finding)
    progress.say(f"sweep of {name}: {total.sentence}")
    return total


class _Progress:
    def __init__(self, say: Callable[[str], None]) -> None:
        self.say = say
        self._began = time.process_time()
        self._told = time.monotonic()
        self._runs = 0

    @property
    def cpu(self) -> float:
        """CPU seconds so far."""
        return max(1e-9, time.process_time() - self._began)

    def tell(self, where: str, run: Run) -> None:
        """A run is over."""
        self._runs += 1
        if time.monotonic() - self._told >= _TELL_EVERY:
            self._told = time.monotonic()
            self.say(f"  {where}: {self._runs} runs in {self.cpu:.0f} s of CPU")

    def tell_failure(self, finding: Finding) -> None:
        """A run has failed."""
        for line in story(finding, finding.replay.test, f"treewarden chaos replay {finding.replay}"):
            self.say(line)
