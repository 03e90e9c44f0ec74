"""belief(): a policy that believes in causes, and takes the plan with the lowest expected cost."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from attrs import field

from treewarden.agents.core.said import is_number, shown
from treewarden.agents.core.values import frozen

from .action import (
    Action,
    Break,
    FallBack,
    Hold,
    Perform,
    Recycle,
    Restart,
    Resume,
    RollBack,
    SetAside,
    Throttle,
    action_name,
    scope_of,
)
from .case import Case
from .confidence import evidence
from .decision import backoff_of
from .guards import Declined, Option, forbids, retry_after
from .history import delay
from .ladder import QUIET, SLOWER, Ladder
from .outcomes import Outcomes
from .plan import COSTS, Step, plan
from .symptom import Kind, message_in

__all__ = ["JUDGED_FROM", "Believer", "belief", "discredited"]

JUDGED_FROM: Final = 30
"""Observed outcomes from which on a record that is no better than the base rate takes the decision away."""

_DOWN: Final = ("restart", "roll_back", "set_aside", "fall_back", "throttle", "break", "hold")
_ALIVE: Final = ("resume", "throttle", "break", "recycle", "roll_back", "fall_back", "hold")
_STALLED: Final = ("restart", "roll_back", "fall_back", "hold")
_LIMITED: Final = ("throttle", "break", "hold")
_CANDIDATES: Final[Mapping[Kind, tuple[str, ...]]] = {
    Kind.RATE_LIMITED: _LIMITED,
    Kind.STALLED: _STALLED,
    Kind.OVERLOADED: _ALIVE,
    Kind.REPORTED: _ALIVE,
}
_LEFT_ALONE: Final = frozenset({
    Kind.KILLED, Kind.FINISHED, Kind.STOPPED, Kind.RECOVERED, Kind.OPERATOR, Kind.UNANSWERED,
})  # fmt: skip
"""Ends that say nothing about a cause: the ladder answers them."""


def discredited(outcomes: Outcomes) -> bool:
    """Whether what was stated lately has been no better than always stating the base rate."""
    return len(outcomes.recent) >= JUDGED_FROM and outcomes.brier_skill <= 0.0


@frozen
class Believer:
    """Names the likely causes, and for each action P(it ends the incident) and the expected cost of beginning with it.

    Where its last outcomes show no skill the ladder decides, and so it does for ends that say nothing about a cause.
    """

    costs: Mapping[str, float] = COSTS
    ladder: Ladder = field(factory=Ladder)
    name: str = "belief"
    counts_alike: bool = True
    escalates: bool = True
    stable_after: float | None = None

    def propose(self, case: Case) -> tuple[Option, ...]:
        if self._leaves(case):
            return self.ladder.propose(case)
        first, *rest = self._steps(case)
        cause, p = next(iter(case.belief.causes.items()))
        speaks = ", ".join(
            f"{what} {nats:+.1f}" for what, nats in evidence(cause, case.context, case.incident, case.belief.by)
        )
        text = f"probably {cause} ({p:.2f}): {speaks} nats; {_price(first)}"
        return (_option(case, first, text), *[_option(case, step, _price(step)) for step in rest])

    def declined(self, case: Case) -> tuple[Declined, ...]:
        if self._leaves(case):
            return self.ladder.declined(case)
        return ()

    def _leaves(self, case: Case) -> bool:
        return case.context.kind in _LEFT_ALONE or discredited(case.outcomes)

    def _steps(self, case: Case) -> tuple[Step, ...]:
        kind = case.context.kind
        known = _CANDIDATES.get(kind, _DOWN if case.down else _ALIVE)
        own = [name for name in case.actions if name in self.costs]
        possible = [name for name in (*known, *own) if not forbids(case, _action(case, name))]

        failed = {name: case.incident.failures_of(name) for name in possible}
        return plan(case.belief, possible, self.costs, failed=failed, down=case.down)


def _price(step: Step) -> str:
    return f"expected cost {step.cost:.0f} s"


def _option(case: Case, step: Step, reason: str) -> Option:
    return Option(_action(case, step.action), "expected cost", reason, ", then ".join(step.then))


def _action(case: Case, name: str) -> Action:
    """The action of this name in this case, with its backoff."""
    incident = case.incident
    wait = delay(backoff_of(case.spec), incident.failed + 1, case.spread)
    match name:
        case "resume":
            return Resume()
        case "restart":
            return Restart(scope_of(case.strategy), wait)
        case "recycle":
            return Recycle()
        case "roll_back":
            return RollBack(incident.rolled_back + 1, wait)
        case "set_aside":
            return SetAside(message_in(case.signal) or "", wait)
        case "throttle":
            slower = delay(SLOWER, incident.tried("throttle") + 1, case.spread)
            return Throttle(retry_after(case) or slower)
        case "break":
            return Break(case.context.suspect, delay(QUIET, incident.tried("break") + 1, case.spread))
        case "fall_back":
            return FallBack(case.variant, wait)
        case _ if name != "hold":
            return Perform(name, wait if case.down else 0.0)
        case _:
            tried = ", ".join(dict.fromkeys(action_name(attempt.action) for attempt in incident.attempts))
            return Hold(f"{case.signal.path}: {tried or 'nothing'} did not help. Start it again?")


def belief(costs: Mapping[str, float] = COSTS) -> Believer:
    """The policy that weighs causes. `costs` are seconds of a service being down that each action is worth; an action
    that is registered under a name is considered if it has a cost: `belief({**COSTS, "cache_warmup": 20})`.

    Raises `ValueError` for costs that leave an action out or are no amounts.
    """
    for action in {**COSTS, **costs}:
        cost = costs.get(action)
        if not is_number(cost) or not 0 <= cost < math.inf:
            raise ValueError(f"costs[{action!r}] is {shown(cost)}; give seconds, 0 or more and finite")
    return Believer(costs)
