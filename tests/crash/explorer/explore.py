"""Enumerates every moment of some workloads at which the power can fail, and samples what it can leave there."""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from typing import Final

from attrs import define, field, frozen

from .adapter import Connection
from .checks import Found, Kind, Violation, judge, look
from .images import Assumed, Choice, Names, Point, choices, image, points
from .lives import Foreseen, Lives, go_on, live
from .orders import orders
from .payments import payments
from .reopening import Reopened, reopen
from .scribe import Workload, workloads
from .vfs import Vfs
from .workload import Recording, record
from .world import Outside, World

__all__ = ["Explorer", "Outcome", "Sighting"]

_REOPEN_EVERY: Final = 100
"""States; and the first one of each site."""
_LISTED: Final = 20


@frozen
class Sighting:
    """A violation, and where it was seen."""

    where: str
    violation: Violation

    def __str__(self) -> str:
        return f"{self.where}: {self.violation}"


@define
class Outcome:
    """What was explored so far."""

    states: int = 0
    violations: int = 0
    sites: int = 0
    """Moments at which the power was cut, under one assumption about the disk or another."""
    reopened: int = 0
    kinds: Counter[Kind] = field(factory=Counter[Kind])
    """How many violations of each kind."""
    seen: list[Sighting] = field(factory=list[Sighting])
    """The first violations."""
    trace: str = ""
    """The same for the same states with the same findings."""


@define(eq=False)
class _Site:
    """One moment of one recording, under one assumption about the disk."""

    recording: Recording
    assumed: Assumed
    point: Point
    left: Iterator[Choice]
    visits: int = 0

    @property
    def where(self) -> str:
        drops = ", drops" if self.assumed.drops else ""
        return f"{self.recording.workload.name} [{self.assumed.names}{drops}] at {self.point.index}"


class Explorer:
    """Records `cases`, or the workloads of the seed, and explores what the power can leave of them.

    The same arguments give the same states in the same order. `wrong` connects the journal that is explored, `journal`
    is that of trees; the files that they leave are always read by the right one.
    """

    def __init__(
        self,
        vfs: Vfs,
        seed: int,
        *,
        wrong: type[Connection] = Connection,
        lies: Callable[[str], bool] | None = None,
        assumed: Assumed | None = None,
        cases: Sequence[Workload] | None = None,
        journal: type[Foreseen] = Foreseen,
    ) -> None:
        self._vfs = vfs
        self._chance = random.Random(f"reopen {seed}")
        self._trace = blake2b(digest_size=8)
        self.outcome = Outcome()
        self.recordings: list[Recording] = []
        sites: list[_Site] = []
        for workload in [*workloads(seed), *payments(seed), *orders(seed)] if cases is None else cases:
            if isinstance(workload, Lives):
                recording = live(workload, vfs, seed=seed, connection=wrong, lies=lies, journal=journal)
            else:
                recording = record(workload, vfs, seed=seed, connection=wrong, lies=lies)
            self.recordings.append(recording)
            self._note(recording.log)
            for problem in recording.problems:
                self._sight(workload.name, Violation(Kind.ANSWER, problem))
            for case in _cases(workload) if assumed is None else [assumed]:
                for point in points(recording.log, case):
                    chance = random.Random(f"{seed} {workload.name} {case} {point.index}")
                    sites.append(_Site(recording, case, point, choices(point, chance)))
        self._chance.shuffle(sites)
        self._sites = deque(sites)
        self._unseen = len(sites)

    def run(self, states: int, step: Callable[[Outcome], bool] = lambda outcome: False) -> Outcome:
        """Explore until there are `states`, no more are left, or `step` says that it is enough.

        Each site is visited once before any is visited again.
        """
        outcome, sites = self.outcome, self._sites
        while sites and outcome.states < states and not step(outcome):
            site = sites.popleft()
            choice = next(site.left, None)
            if choice is not None:
                sites.append(site)
                site.visits += 1
                if site.visits == 1:
                    self._unseen -= 1
                    outcome.sites += 1
                self._visit(site, choice, states)
        outcome.trace = self._trace.hexdigest()
        return outcome

    def _visit(self, site: _Site, choice: Choice, states: int) -> None:
        files = image(site.point, choice)
        found = look(self._vfs, files)
        number = self._judge(site.where, found, site.point, site.recording)
        self._note((site.where, choice, number))
        if number is None or isinstance(found, Violation):
            return
        if site.visits > 1 and self._chance.randrange(_REOPEN_EVERY):
            return
        self.outcome.reopened += 1
        again = self._reopen(files, site, found.epoch, site.recording.worlds[number])
        if isinstance(again, Violation):
            self._sight(site.where, again)
        elif self.outcome.states + self._unseen < states:
            self._again(site, files, again)

    def _reopen(self, files: dict[str, bytes], site: _Site, epoch: int, world: World) -> Reopened | Violation:
        workload, outside = site.recording.workload, site.point.expected.outside
        if isinstance(workload, Lives):
            return go_on(self._vfs, files, workload, epoch, world, outside or Outside())
        return reopen(self._vfs, files, workload, epoch, world)

    def _again(self, site: _Site, files: dict[str, bytes], again: Reopened) -> None:
        """The power fails a second time, while the next owner works."""
        where = f"{site.where}, then the next owner"
        recording = Recording(site.recording.workload, again.log, again.worlds, ())
        point = self._chance.choice(list(points(again.log, site.assumed, files)))
        choice = next(choices(point, self._chance))
        found = look(self._vfs, image(point, choice))
        self._note((where, point.index, choice, self._judge(f"{where} at {point.index}", found, point, recording)))

    def _judge(self, where: str, found: Found | Violation, point: Point, recording: Recording) -> int | None:
        self.outcome.states += 1
        workload, outside = recording.workload, point.expected.outside
        if isinstance(found, Found) and isinstance(workload, Lives) and outside is not None:
            for fault in workload.of.faults(found.tables, outside):
                self._sight(where, fault)
        judged = found if isinstance(found, Violation) else judge(found, point.expected, recording.worlds)
        if isinstance(judged, Violation):
            self._sight(where, judged)
            return None
        return judged

    def _sight(self, where: str, violation: Violation) -> None:
        self.outcome.violations += 1
        self.outcome.kinds[violation.kind] += 1
        if len(self.outcome.seen) < _LISTED:
            self.outcome.seen.append(Sighting(where, violation))

    def _note(self, what: object) -> None:
        self._trace.update(repr(what).encode())


def _cases(workload: Workload) -> Sequence[Assumed]:
    cases = [Assumed(names) for names in Names]
    if workload.fault is not None:
        cases.append(Assumed(drops=True))
    return cases
