"""A crash at every place where one can come, one place for each run: at each yield, commit and effect."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from attrs import define, field

from ..collector import collecting_rarely
from ..core.draws import Draws
from ..core.faults import Injection, Trigger
from ..core.intervals import said
from .campaign import Finding, find
from .run import Body, Run, Setting, run_world

__all__ = ["Sweep", "sweep"]

_STRIKES = {"yield": "kill", "commit": "crash", "committed": "crash", "effect": "crash"}
"""What happens at a point: an agent that gives way is killed, at a boundary the process dies. It also dies where an
agent gives way that cannot be killed alone, as its tree begins or it is being stopped already."""


@define(eq=False)
class Sweep:
    """What a sweep has come to."""

    points: Counter[str] = field(factory=Counter[str])
    """Places in the run without faults, by kind."""
    reached: Counter[str] = field(factory=Counter[str])
    """Those at which somebody died; at the others nobody was left to."""
    missed: dict[str, list[int]] = field(factory=dict[str, list[int]])
    """Those at which nobody did, by kind: the `n`-th of the run."""
    pairs: int = 0
    """Pairs of places that were tried."""
    both: int = 0
    """Those at both of whose places somebody died."""
    of_pairs: int = 0
    """How many pairs there are."""
    runs: int = 0
    findings: list[Finding] = field(factory=list[Finding])

    def data(self) -> dict[str, Any]:
        """Everything that a report says about it."""
        return {
            "places": {
                kind: {"reached": self.reached[kind], "of": total, "missed": self.missed.get(kind, [])}
                for kind, total in self.points.items()
            },
            "pairs": {"reached": self.both, "tried": self.pairs, "of": self.of_pairs},
            "runs": self.runs,
            "failed": said(len(self.findings), self.runs),
            "ended_early": self.runs < sum(self.points.values()),
        }

    @property
    def sentence(self) -> str:
        """`reached / total` for each kind of place."""
        counts = ", ".join(f"{kind} {self.reached[kind]} / {total}" for kind, total in self.points.items())
        pairs = f"; pairs {self.both} / {self.pairs}, of {self.of_pairs:,} that there are" if self.pairs else ""
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
        struck = sum(run.faults.values())
        if len(injections) > 1:
            total.pairs += 1
            total.both += struck > 1
        elif struck:
            total.reached[trigger.point] += 1
        else:
            total.missed.setdefault(trigger.point, []).append(trigger.n)
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
    total.of_pairs = len(places) * (len(places) - 1) // 2
    draws = Draws(seed, "pairs")
    for _ in range(pairs if total.of_pairs else 0):
        one = draws.below(len(places))
        other = (one + 1 + draws.below(len(places) - 1)) % len(places)
        yield (_at(*places[one]), _at(*places[other]))


def _at(kind: str, n: int) -> Injection:
    return Injection(_STRIKES[kind], "*", 0.0, knobs={"down": 0.5}, trigger=Trigger(kind, n))
