"""A campaign beside two others under the same seeds: one without faults, and a naive runner under the same faults.

The naive runner is what is written in an afternoon: each agent by itself, what fails is tried again at once with the
same budget of restarts and deliveries, and all that it knows is in its memory. It is made of the same slots and
handlers, with everything that treewarden adds switched off: groups and their order, policies with an opinion, waits
between attempts, limits on hangs, and the journal, of which nothing outlives its process. In return the faults of a
disk do not touch it, for it has none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from statistics import median
from typing import Any, Final

from attrs import define, evolve, field

from treewarden.supervisor.core.policies import otp
from treewarden.supervisor.core.spec import NO_BACKOFF, ChildSpec, Restore, Spec, Strategy, SupervisorSpec

from ..core.blueprint import Blueprint
from ..core.intervals import said
from .run import Body, Run, Setting, run_world
from .world import Arm

__all__ = ["NAIVE", "Arms", "naive"]

_KEPT: Final = 20
"""Seeds that are named in a list."""


def naive(blueprint: Blueprint) -> Blueprint:
    """The same slots without supervision worth the name."""
    return _plain(evolve(blueprint, policy=otp()))


NAIVE: Final = Arm(naive, forgets=True)


def _plain(spec: SupervisorSpec) -> SupervisorSpec:
    strategy = spec.strategy if spec.strategy is Strategy.DYNAMIC else Strategy.ONE_FOR_ONE
    policy = otp() if spec.policy is not None else None
    return evolve(spec, strategy=strategy, policy=policy, children=tuple(_alone(child) for child in spec.children))


def _alone(spec: Spec) -> Spec:
    if isinstance(spec, SupervisorSpec):
        return _plain(spec)
    assert isinstance(spec, ChildSpec)
    return evolve(
        spec, backoff=NO_BACKOFF, progress_within=None, overload=None, restore=Restore.INITIAL, variants={}, uses=()
    )


@define(eq=False)
class Arms:
    """The three, seed by seed."""

    body: Body
    setting: Setting
    supervised: dict[int, Run] = field(factory=dict[int, Run])
    calm: dict[int, Run] = field(factory=dict[int, Run])
    naive: dict[int, Run] = field(factory=dict[int, Run])

    def add(self, run: Run) -> None:
        """A run of the campaign: the other two under its seed, the naive one with the same faults at the same times."""
        self.supervised[run.seed] = _small(run)
        self.calm[run.seed] = _small(run_world(self.body, run.seed, self.setting, injections=()))
        planned = run.injections
        self.naive[run.seed] = _small(run_world(self.body, run.seed, self.setting, injections=planned, arm=NAIVE))

    def data(self) -> dict[str, Any]:
        """Everything that a report says about it."""
        seeds = list(self.supervised)
        both = [seed for seed in seeds if not self.supervised[seed].failed and not self.naive[seed].failed]
        sooner = [seed for seed in both if self.naive[seed].seconds < self.supervised[seed].seconds]
        less = [seed for seed in both if self.naive[seed].records < self.supervised[seed].records]
        saved = self.naive_wins
        return {
            "arms": [
                _row("supervised", self.supervised.values()),
                _row("without faults", self.calm.values()),
                _row("naive runner", self.naive.values()),
            ],
            "naive_wins": {
                "held where the supervised tree failed": _of(saved, len(seeds)),
                "ended sooner, where both held": _of(sooner, len(both)),
                "took fewer steps, where both held": _of(less, len(both)),
            },
            "naive_losses": _of(
                [s for s in seeds if self.naive[s].failed and not self.supervised[s].failed], len(seeds)
            ),
            "naive_failures": _names(self.naive.values()),
        }

    @property
    def naive_wins(self) -> list[int]:
        """Seeds under which the naive runner held and the supervised tree did not."""
        return [seed for seed, run in self.supervised.items() if run.failed and not self.naive[seed].failed]

    @property
    def sentences(self) -> list[str]:
        """A line for each arm, and one for what the naive runner did better."""
        data = self.data()
        lines = [
            f"{row['arm']}: {row['failed']} failed; median {row['median_seconds']:g} s, {row['median_records']:,} steps"
            for row in data["arms"]
        ]
        wins = "; ".join(f"{name}: {each['count']} of {each['of']}" for name, each in data["naive_wins"].items())
        return [*lines, f"the naive runner {wins}"]


def _small(run: Run) -> Run:
    """What is compared of it."""
    return evolve(run, marks=(), last=(), details="", points={})


def _row(name: str, given: Iterable[Run]) -> dict[str, Any]:
    runs = list(given)
    held = [run for run in runs if not run.failed]
    return {
        "arm": name,
        "runs": len(runs),
        "failed": said(len(runs) - len(held), len(runs)),
        "median_seconds": round(median([run.seconds for run in runs]), 3) if runs else 0.0,
        "median_records": int(median([run.records for run in runs])) if runs else 0,
        "faults": sum(sum(run.faults.values()) for run in runs),
    }


def _of(seeds: list[int], total: int) -> dict[str, Any]:
    return {"count": len(seeds), "of": total, "seeds": seeds[:_KEPT]}


def _names(runs: Iterable[Run]) -> Mapping[str, int]:
    """How often each promise was broken first."""
    found: dict[str, int] = {}
    for run in runs:
        if run.failed:
            name = run.failures[0].partition(":")[0]
            found[name] = found.get(name, 0) + 1
    return found
