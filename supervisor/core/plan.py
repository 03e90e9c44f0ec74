"""plan(): the cheapest way out, three actions deep, by what each costs and how likely it is to help."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import mul
from types import MappingProxyType
from typing import Final

from treewarden.agents.core.values import frozen

from .confidence import AGAIN, Belief, p_fix

__all__ = ["COSTS", "DEPTH", "Step", "plan"]

DEPTH: Final = 3
"""Actions that are looked ahead; what is left after them is a person's."""
_BREADTH: Final = 3
"""How many of the promising ones are looked at below the first."""
_PERSON: Final = "hold"
_REMEMBERED: Final = 512
"""Plans that are remembered at most; then it begins anew."""
NOTHING_FAILED: Final[Mapping[str, int]] = MappingProxyType({})

COSTS: Final[Mapping[str, float]] = MappingProxyType(
    {
        "resume": 10.0,
        "restart": 18.0,
        "recycle": 18.0,
        "throttle": 30.0,
        "break": 35.0,
        "set_aside": 60.0,
        "roll_back": 85.0,
        "fall_back": 165.0,
        "hold": 1400.0,
        "escalate": 1500.0,
    }
)
"""Seconds of a service being down that an action is worth: its time, the work that it loses, whom it wakes."""


@frozen
class Step:
    """One action that may come first, and what follows if it does not help."""

    action: str
    p: float
    """P(it ends the incident)."""
    cost: float
    """Expected seconds until the end of the incident, if the plan begins with it."""
    then: tuple[str, ...] = ()
    """What comes after it, as long as nothing helps."""


def plan(
    belief: Belief,
    actions: Sequence[str],
    costs: Mapping[str, float] = COSTS,
    *,
    failed: Mapping[str, int] = NOTHING_FAILED,
    down: bool = True,
    depth: int = DEPTH,
) -> tuple[Step, ...]:
    """Every action as a first step, the cheapest plan first.

    The expected cost of a step is its own cost, and that of the cheapest continuation for the share of cases in which
    it does not help; the belief is updated by that failure (troubleshooting after Breese and Heckerman 1996). After
    `depth` steps a person is asked. `failed` says how often each action has been tried in vain, `down` that the child
    has ended. The numbers are the belief's own: calibration changes what is stated, not what is done.

    Not promised: the optimum. Below the first step only the actions with the least cost for each unit of probability
    are followed. What was worked out is remembered: the same circumstances come again and again.
    """
    known = belief.by.plans
    tried = tuple([failed.get(action, 0) for action in actions])
    asked = (
        belief.weights,
        tuple(actions),
        tried,
        down,
        depth,
        costs[_PERSON],
        tuple([costs[each] for each in actions]),
    )
    steps: tuple[Step, ...] | None = known.get(asked)
    if steps is None:
        if len(known) >= _REMEMBERED:
            known.clear()
        steps = known[asked] = _planned(belief, actions, costs, failed, down, depth)
    return steps


def _planned(
    belief: Belief,
    actions: Sequence[str],
    costs: Mapping[str, float],
    failed: Mapping[str, int],
    down: bool,
    depth: int,
) -> tuple[Step, ...]:
    rows = {action: _after(belief.by.fixes_of(action, down=down), failed.get(action, 0)) for action in actions}
    steps: list[Step] = []
    for action, row in rows.items():
        p = p_fix(belief, action, down=down, failed=failed.get(action, 0))
        again = {**rows, action: _after(row, 1)}
        rest, then = _cheapest(_failed(belief.weights, row), again, costs, depth - 1)
        if action in (_PERSON, "escalate"):
            rest, then = 0.0, ()
        steps.append(Step(action, p, costs[action] + (1.0 - p) * rest, then))
    return tuple(sorted(steps, key=_cost))


def _after(row: tuple[float, ...], failed: int) -> tuple[float, ...]:
    return tuple([p * AGAIN**failed for p in row]) if failed else row


def _cheapest(
    weights: tuple[float, ...], rows: Mapping[str, tuple[float, ...]], costs: Mapping[str, float], depth: int
) -> tuple[float, tuple[str, ...]]:
    """The least expected cost from here, and the actions that lead there."""
    best, way = costs[_PERSON], (_PERSON,)
    if depth <= 0:
        return best, way
    total = sum(weights)
    ranked = [(sum(map(mul, weights, row)) / total, action) for action, row in rows.items() if action != _PERSON]
    ranked.sort(key=lambda each: costs[each[1]] / max(each[0], 1e-9))
    for p, action in ranked[:_BREADTH]:
        own = costs[action]
        if own >= best:
            continue
        again = {**rows, action: _after(rows[action], 1)}
        rest, then = _cheapest(_failed(weights, rows[action]), again, costs, depth - 1)
        cost = own + (1.0 - p) * rest
        if cost < best:
            best, way = cost, (action, *then)
    return best, way


def _failed(weights: tuple[float, ...], row: tuple[float, ...]) -> tuple[float, ...]:
    """What is believed after an action did not help."""
    left = tuple([weight * (1.0 - p) for weight, p in zip(weights, row, strict=True)])
    total = sum(left)
    return tuple([each / total for each in left]) if total > 0 else weights


def _cost(step: Step) -> float:
    return step.cost
