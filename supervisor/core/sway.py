"""What would change a decision: the smallest change of a symptom, cost or belief under which another action wins."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from operator import mul
from typing import Final

from attrs import evolve, field, frozen

from .confidence import Belief
from .event import Decided
from .likelihoods import CAUSES, LATER, SHIPPED, Cause, Likelihoods
from .plan import COSTS, NOTHING_FAILED, plan
from .symptom import Symptom

__all__ = ["Question", "Turn", "question_of", "turned", "turns"]

_RULE: Final = "expected cost"
_STEPS: Final = 16
"""Equal steps in which a belief is looked through for the first change, which is then halved down to."""
_HALVINGS: Final = 20
_DEAREST: Final = 4.0
"""How often the cost of asking a person an action may cost, for the search."""


@frozen
class Question:
    """What a policy that weighs causes was asked."""

    belief: Belief
    symptoms: tuple[Symptom, ...]
    actions: tuple[str, ...]
    """Those that no hard rule forbids."""
    failed: Mapping[str, int] = NOTHING_FAILED
    down: bool = True
    first: bool = False
    """It was the first of its incident."""
    costs: Mapping[str, float] = field(default=COSTS)

    def answer(self) -> str:
        """The action that wins."""
        return plan(self.belief, self.actions, self.costs, failed=self.failed, down=self.down)[0].action


@frozen
class Turn:
    """One change, and the action that wins then."""

    kind: str
    """`symptom`, `cost` or `belief`."""
    name: str
    """Of the symptom, the action that costs something, or the cause."""
    was: float
    """The cost or P(cause); for a symptom 1 if it was there."""
    now: float
    action: str
    size: float
    """Of the change: the share of the belief that it moves, or the logarithm of the factor of a cost."""


def question_of(
    decided: Decided,
    failed: Mapping[str, int] = NOTHING_FAILED,
    *,
    down: bool = True,
    first: bool = False,
    by: Likelihoods = SHIPPED,
) -> Question | None:
    """The question that a journaled decision answered; None where it was no weighing of causes, or not with the shipped
    costs: then nothing can be computed from the journal alone."""
    if decided.rule != _RULE or not decided.causes:
        return None
    names = (decided.action, *(other.action for other in decided.rejected))
    actions = tuple(name for name in names if name in by.fixes and name in COSTS)
    known = frozenset(map(str, Symptom))
    bare = (text.partition(" ")[0].partition(":")[0] for text in decided.symptoms)
    weights = tuple(max(1e-6, decided.causes.get(str(cause), 0.0)) for cause in CAUSES)
    symptoms = tuple(Symptom(name) for name in bare if name in known)
    asked = Question(Belief(weights, by), symptoms, actions, failed, down, first)
    return asked if decided.action in actions and asked.answer() == decided.action else None


def turned(question: Question, turn: Turn) -> Question:
    """The question after this change."""
    match turn.kind:
        case "symptom":
            return _flipped(question, Symptom(turn.name))
        case "cost":
            return evolve(question, costs={**question.costs, turn.name: turn.now})
        case _:
            return _moved(question, turn.name, turn.now)


def turns(question: Question) -> tuple[Turn, ...]:
    """The smallest change of each kind under which another action wins, where there is one: computed, each alone.

    A symptom that was not there is, or the other way; an action costs more, or another one less; one cause is more
    probable than was believed, at the expense of all others in proportion.
    """
    was = question.answer()
    found = (_symptoms(question, was), _costs(question, was), _beliefs(question, was))
    smallest = (min(each, key=_size, default=None) for each in found)
    return tuple(turn for turn in smallest if turn is not None)


def _size(turn: Turn) -> float:
    return turn.size


def _symptoms(question: Question, was: str) -> Iterator[Turn]:
    for symptom in (*question.belief.by.comes_with, *question.belief.by.measured):
        if question.first and symptom in LATER:
            continue
        other = _flipped(question, symptom)
        action = other.answer()
        if action != was:
            there = float(symptom in question.symptoms)
            yield Turn("symptom", str(symptom), there, 1.0 - there, action, _distance(question.belief, other.belief))


def _flipped(question: Question, symptom: Symptom) -> Question:
    """As if the symptom were there, or not; whatever failed since then said the same."""
    belief, there = question.belief, symptom in question.symptoms
    odds = belief.by.speaks[symptom]
    factor = tuple(1.0 / each for each in odds) if there else odds
    left = tuple(each for each in question.symptoms if each != symptom)
    weights = tuple(map(mul, belief.weights, factor))
    return evolve(
        question, belief=Belief(weights, belief.by), symptoms=left if there else (*question.symptoms, symptom)
    )


def _costs(question: Question, was: str) -> Iterator[Turn]:
    for action in question.actions:
        cost = question.costs[action]
        limit = _DEAREST * question.costs["hold"] if action == was else 0.0

        def changes(share: float, action: str = action, cost: float = cost, limit: float = limit) -> bool:
            return _costing(question, action, cost + share * (limit - cost)).answer() != was

        share = _first(changes, 1)
        if share is not None and cost > 0:
            now = cost + share * (limit - cost)
            size = abs(math.log(max(now, 1e-3) / cost))
            yield Turn("cost", action, cost, now, _costing(question, action, now).answer(), size)


def _costing(question: Question, action: str, cost: float) -> Question:
    return evolve(question, costs={**question.costs, action: cost})


def _beliefs(question: Question, was: str) -> Iterator[Turn]:
    causes = question.belief.causes
    for cause, p in causes.items():

        def changes(share: float, cause: str = cause, p: float = p) -> bool:
            return _moved(question, cause, p + share * (1.0 - p)).answer() != was

        share = _first(changes, _STEPS)
        if share is not None:
            now = p + share * (1.0 - p)
            yield Turn("belief", str(cause), p, now, _moved(question, cause, now).answer(), now - p)


def _moved(question: Question, cause: str, now: float) -> Question:
    """As if the cause had this probability, and the others what is left, in proportion."""
    belief = question.belief
    total = sum(belief.weights)
    p = belief.weights[CAUSES.index(Cause(cause))] / total
    left = (1.0 - now) / (1.0 - p) if p < 1.0 else 0.0
    shares = zip(CAUSES, belief.weights, strict=True)
    weights = [now if each == cause else left * weight / total for each, weight in shares]
    return evolve(question, belief=Belief(tuple(weights), belief.by))


def _first(changes: Callable[[float], bool], steps: int) -> float | None:
    """The smallest share, nearly, from which on something changes, by equal steps and then by halving."""
    for step in range(1, steps + 1):
        high = step / steps
        if changes(high):
            low = (step - 1) / steps
            for _ in range(_HALVINGS):
                middle = (low + high) / 2
                low, high = (low, middle) if changes(middle) else (middle, high)
            return high
    return None


def _distance(one: Belief, other: Belief) -> float:
    """The share of the probability that lies elsewhere (total variation)."""
    first, second = one.causes, other.causes
    return sum(abs(first[cause] - second[cause]) for cause in CAUSES) / 2
