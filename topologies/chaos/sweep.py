"""A crash at every place where one can come, one place for each run: at each yield, commit and effect."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

from attrs import define, field

from ..core.draws import Draws
from ..core.faults import Injection, Trigger
from .campaign import Finding, find
from .run import Body, Run, Setting, collecting_rarely, run_world

__all__ = ["Sweep", "sweep"]

_STRIKES = {"yield": "kill", "commit": "crash", "committed": "crash", "effect": "crash"}
"""What happens at a point: an agent that gives way is killed, at a boundary the process dies."""


@define(eq=False)
class Sweep:
    """What a sweep has come to."""

    points: Counter[str] = field(factory=Counter[str])
    """Places in the run without faults, by kind."""
    reached: Counter[str] = field(factory=Counter[str])
    """Those at which somebody died; at the others nobody was left to."""
    pairs: int = 0
    runs: int = 0
    findings: list[Finding] = field(factory=list[Finding])

    @property
    def sentence(self) -> str:
        """`reached / total` for each kind of place."""
        counts = ", ".join(f"{kind} {self.reached[kind]} / {total}" for kind, total in self.points.items())
        pairs = f"; {self.pairs} pairs" if self.pairs else ""
        return f"reached {counts}{pairs}; {len(self.findings)} failed"


def sweep(
    body: Body,
    *,
    test: str,
    seed: int = 1,
    within: float = 1.0,
    pairs: int = 0,
    every: int = 1,
    stop_after: int = 1,
    done: Callable[[Run], None] = lambda run: None,
) -> Sweep:
    """Run `body` once without faults, then once for each place that it passed (or each `every`-th), then for pairs.

    `pairs` is how many of the pairs are tried, chosen by the seed: there are too many for all.
    """
    with collecting_rarely():
        return _swept(Sweep(), body, test, seed, Setting(within=within), pairs, every, stop_after, done)


def _swept(
    total: Sweep,
    body: Body,
    test: str,
    seed: int,
    setting: Setting,
    pairs: int,
    every: int,
    stop_after: int,
    done: Callable[[Run], None],
) -> Sweep:
    first = run_world(body, seed, setting)
    total.points.update({kind: first.points.get(kind, 0) for kind in _STRIKES})
    done(first)
    if first.failed:
        total.findings.append(find(body, first, test=test))
        return total
    for injections in _plans(total, seed, pairs, every):
        run = run_world(body, seed, setting, injections=injections)
        total.runs += 1
        trigger = injections[0].trigger
        assert trigger is not None
        if len(injections) > 1:
            total.pairs += 1
        elif sum(run.faults.values()):
            total.reached[trigger.point] += 1
        done(run)
        if run.failed:
            total.findings.append(find(body, run, test=test))
            if len(total.findings) >= stop_after:
                break
    return total


def _plans(total: Sweep, seed: int, pairs: int, every: int) -> Iterator[tuple[Injection, ...]]:
    places = [(kind, n) for kind, count in total.points.items() for n in range(1, count + 1, every)]
    for kind, n in places:
        yield (_at(kind, n),)
    draws = Draws(seed, "pairs")
    for _ in range(pairs if places else 0):
        one, other = places[draws.below(len(places))], places[draws.below(len(places))]
        yield (_at(*one), _at(*other))


def _at(kind: str, n: int) -> Injection:
    knobs = {"down": 0.5} if _STRIKES[kind] == "crash" else {}
    return Injection(_STRIKES[kind], "*", 0.0, knobs=knobs, trigger=Trigger(kind, n))
