"""One test under many seeds: until one fails, and then the least of that run that still fails."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from attrs import define, evolve, field, frozen

from treewarden.agents.core.said import plural

from ..collector import collecting_rarely
from ..core.intervals import said
from ..core.shrinking import Reduced, shrink
from .replaying import Replay, code_of
from .run import Body, Run, Setting, run_world
from .set_order import set_order

__all__ = ["Campaign", "Finding", "find", "rerun", "run_seeds"]


@frozen(kw_only=True)
class Finding:
    """A run that failed, made small."""

    run: Run
    replay: Replay
    planned: int
    """How many faults the seed had planned."""
    attempts: int = 0
    """Runs that making it small took."""
    steady: bool = True
    """Running it again came to the same trace; if not, something outside of the seed decides too."""
    by_set_order: bool = False
    """In a process with another order of sets it came to another trace."""

    @property
    def replayable(self) -> bool:
        return self.steady and self.run.replayable


@define(eq=False)
class Campaign:
    """What many runs came to, added up."""

    runs: int = 0
    records: int = 0
    seconds: float = 0.0
    """Of the worlds' time."""
    faults: Counter[str] = field(factory=Counter[str])
    points: Counter[str] = field(factory=Counter[str])
    reached: dict[str, int] = field(factory=dict[str, int])
    """In how many runs each `sometimes` was reached."""
    escapes: dict[str, None] = field(factory=dict[str, None])
    readings: dict[str, None] = field(factory=dict[str, None])
    findings: list[Finding] = field(factory=list[Finding])

    def add(self, run: Run) -> None:
        """One more run."""
        self.runs += 1
        self.records += run.records
        self.seconds += run.seconds
        self.faults.update(run.faults)
        self.points.update(run.points)
        for name, hit in run.reached.items():
            self.reached[name] = self.reached.get(name, 0) + hit
        self.escapes.update(dict.fromkeys(run.escapes))
        self.readings.update(dict.fromkeys(run.readings))

    @property
    def never(self) -> tuple[str, ...]:
        """What should have happened in one run at least, and happened in none."""
        return tuple(name for name, hits in self.reached.items() if not hits)

    @property
    def sentence(self) -> str:
        failed = len({finding.run.seed for finding in self.findings})
        return f"{said(failed, self.runs)} failed; {plural(sum(self.faults.values()), 'fault')} struck"


def run_seeds(
    body: Body,
    setting: Setting,
    seeds: Iterable[int],
    *,
    test: str,
    stop_after: int = 1,
    done: Callable[[Run], None] = lambda run: None,
) -> Campaign:
    """Run `body` under each seed, until `stop_after` have failed; `done` is told of every run.

    The first one is watchful, and so is one more of each that fails: that is where one learns what decides besides.
    """
    total = Campaign()
    with collecting_rarely():
        for seed in seeds:
            run = run_world(body, seed, setting, watchful=not total.runs)
            total.add(run)
            done(run)
            if run.failed:
                total.findings.append(find(body, run, test=test))
                if len(total.findings) >= stop_after:
                    break
    return total


def rerun(body: Body, replay: Replay) -> Run:
    """Run what a replay string says."""
    setting = Setting(within=replay.within)
    return run_world(body, replay.seed, setting, injections=replay.injections, scale=replay.scale)


def find(body: Body, run: Run, *, test: str, most: int = 120) -> Finding:
    """Make a failing run small; a run fails likewise if what was found first has the same name."""
    setting = Setting(within=run.within)
    again = run_world(body, run.seed, setting, injections=run.injections, scale=run.scale, watchful=True)
    run = evolve(run, escapes=tuple(dict.fromkeys((*run.escapes, *again.escapes))), readings=again.readings)
    start = Reduced(run.injections, run.scale)
    code = code_of(body)

    def replay_of(small: Run) -> Replay:
        return Replay(
            test=test, seed=small.seed, within=small.within, scale=small.scale, injections=small.injections, code=code,
            digest=small.digest, order=set_order(),
        )  # fmt: skip

    if again.digest != run.digest or not run.replayable:
        steady = again.digest == run.digest
        return Finding(run=run, replay=replay_of(run), planned=len(run.injections), steady=steady)
    smallest = run

    def fails(candidate: Reduced) -> bool:
        nonlocal smallest
        tried = run_world(body, run.seed, setting, injections=candidate.injections, scale=candidate.scale)
        alike = tried.failed and _name(tried) == _name(run)
        if alike:
            smallest = tried
        return alike

    reduced = shrink(start, fails, most=most)
    smallest = evolve(smallest, injections=reduced.injections, readings=run.readings)
    return Finding(run=smallest, replay=replay_of(smallest), planned=len(run.injections), attempts=reduced.attempts)


def _name(run: Run) -> str:
    return run.failures[0].partition(":")[0]
