"""What the races of one policy in one world come to, in numbers that can be compared."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean
from typing import Final

from attrs import field, frozen

from ..core.intervals import of_mean
from .race import Outcome, Race

__all__ = ["BINS", "Bin", "Difference", "Latency", "Score", "bins", "score"]

BINS: Final = 10


@frozen
class Bin:
    """The outcomes whose stated confidence was in one tenth."""

    stated: float
    """Their mean."""
    fixed: float
    """How many of them, as a share, were right."""
    count: int


@frozen
class Difference:
    """How much dearer an incident is than under another policy, with the interval that holds it in 95 of 100 cases."""

    to: str
    mean: float
    ci: tuple[float, float] | None
    """None with one seed."""


@frozen
class Latency:
    """How long a decision took, in milliseconds of this machine."""

    p50: float
    p99: float
    count: int


@frozen(kw_only=True)
class Score:
    """One row: a policy in a world."""

    policy: str
    incidents: int
    availability: float
    mttr: float
    mttr_p95: float
    wasted_restarts: float
    """For 100 incidents, as the next two: restarts that ended nothing."""
    pages: float
    wrong_rollbacks: float
    """Of a state that was good, or of a version that was."""
    cost: float
    cost_ci: tuple[float, float] | None
    versus: Difference | None
    outcomes: int
    brier_skill: float
    ece: float
    ece_debiased: float
    violations: int
    latency: Latency | None = None
    reliability: tuple[Bin, ...] = field(default=(), repr=False)


def score(policy: str, races: Sequence[Race], against: tuple[str, Sequence[Race]] | None = None) -> Score:
    """The numbers of one policy over all seeds; `against` are the races of another one under the same seeds."""
    incidents = [incident for race in races for incident in race.incidents]
    outcomes = [outcome for race in races for outcome in race.outcomes]
    hundred = 100.0 / len(incidents)
    costs = [_cost(race) for race in races]
    down = sorted(incident.down for incident in incidents)
    missing = sum(incident.down + incident.debt for incident in incidents)
    found = bins(outcomes)
    versus = None
    if against is not None:
        name, others = against
        gaps = [_cost(mine) - _cost(theirs) for mine, theirs in zip(races, others, strict=True)]
        versus = Difference(name, fmean(gaps), of_mean(gaps))
    return Score(
        policy=policy,
        incidents=len(incidents),
        availability=1.0 - missing / sum(race.seconds for race in races),
        mttr=fmean(down),
        mttr_p95=down[min(len(down) - 1, math.ceil(0.95 * len(down)) - 1)],
        wasted_restarts=hundred * sum(each.wasted for each in incidents),
        pages=hundred * sum(each.pages for each in incidents),
        wrong_rollbacks=hundred * sum(each.wrong_rollbacks for each in incidents),
        cost=fmean(each.cost for each in incidents),
        cost_ci=of_mean(costs),
        versus=versus,
        outcomes=len(outcomes),
        brier_skill=_skill(outcomes),
        ece=sum(each.count * abs(each.stated - each.fixed) for each in found) / max(1, len(outcomes)),
        ece_debiased=_debiased(found, len(outcomes)),
        violations=sum(race.violations for race in races),
        latency=_latency([took for race in races for took in race.latencies]),
        reliability=found,
    )


def bins(outcomes: Sequence[Outcome]) -> tuple[Bin, ...]:
    """The outcomes by tenths of what was stated; empty tenths are left out."""
    parts: dict[int, list[Outcome]] = {}
    for outcome in outcomes:
        parts.setdefault(min(BINS - 1, int(outcome.stated * BINS)), []).append(outcome)
    return tuple(
        Bin(fmean(each.stated for each in part), fmean(each.fixed for each in part), len(part))
        for _, part in sorted(parts.items())
    )


def _cost(race: Race) -> float:
    return fmean(incident.cost for incident in race.incidents)


def _skill(outcomes: Sequence[Outcome]) -> float:
    """1 less the Brier score over that of always stating the base rate."""
    if not outcomes:
        return 0.0
    rate = fmean(outcome.fixed for outcome in outcomes)
    if rate in (0.0, 1.0):
        return 0.0
    return 1.0 - fmean((outcome.stated - outcome.fixed) ** 2 for outcome in outcomes) / (rate * (1.0 - rate))


def _debiased(found: Sequence[Bin], total: int) -> float:
    """The root of the squared calibration error, less what chance alone makes of it (Kumar, Liang and Ma 2019).

    The plain error is above 0 for any finite sample of a perfectly calibrated source, most for small bins.
    """
    squared = sum(
        each.count / total * ((each.stated - each.fixed) ** 2 - each.fixed * (1.0 - each.fixed) / (each.count - 1))
        for each in found
        if each.count > 1
    )
    return math.sqrt(max(0.0, squared))


def _latency(seconds: Sequence[float]) -> Latency | None:
    if not seconds:
        return None
    ranked = sorted(seconds)
    return Latency(1000.0 * ranked[len(ranked) // 2], 1000.0 * ranked[math.ceil(0.99 * len(ranked)) - 1], len(ranked))
