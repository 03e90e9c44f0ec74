"""What is probably wrong, and how likely each action is to end it: a belief over causes."""

from __future__ import annotations

import math
from operator import mul
from typing import TYPE_CHECKING, Any, Final

from attrs import Attribute, field

from treewarden.agents.core.values import frozen

from .action import action_name
from .incident import Incident
from .incident_events import Outcome
from .likelihoods import CAUSES, SHIPPED, Cause, Likelihoods, started
from .symptom import Symptom

if TYPE_CHECKING:
    from .case import Case
    from .context import Context

__all__ = ["AGAIN", "PRIOR", "Belief", "Cause", "believe", "evidence", "p_fix", "p_of_letting_live"]

_REMEMBERED: Final = 512
"""Beliefs that are remembered at most; then it begins anew."""
AGAIN: Final = 0.7
"""How likely, against the belief's own number, an action is to help that has failed once."""


def _weights(_instance: Any, attribute: Attribute[Any], value: Any) -> None:
    if len(value) != len(CAUSES):
        raise ValueError(f"{attribute.name} holds {len(value)} numbers; there are {len(CAUSES)} causes")
    if not all(math.isfinite(weight) and weight >= 0 for weight in value) or not sum(value) > 0:
        raise ValueError(f"{attribute.name} is {value!r}; every weight must be 0 or more and finite, and one above 0")


@frozen
class Belief:
    """How probable each cause is. Weights need not add up to 1; what is read from them does."""

    weights: tuple[float, ...] = field(default=SHIPPED.common, validator=_weights)
    by: Likelihoods = field(default=SHIPPED, repr=False)
    """Whose numbers it is made of."""

    @property
    def causes(self) -> dict[Cause, float]:
        """P(cause), the most probable first."""
        total = sum(self.weights)
        ranked = sorted(zip(self.weights, CAUSES, strict=True), key=_weight, reverse=True)
        return {cause: weight / total for weight, cause in ranked}

    def seeing(self, *symptoms: Symptom, first: bool = False) -> Belief:
        """After these symptoms of one signal, and the absence of every other circumstance (naive Bayes).

        With `first` it is the first signal of its incident: what takes two failures to be seen is not missed then.
        """
        speaking = [self.by.speaks[symptom] for symptom in symptoms]
        quiet = self.by.quiet_at_first if first else self.by.quiet
        return Belief(_updated(self.weights, quiet, *speaking), self.by)

    def without_help_from(self, *actions: str, down: bool = False) -> Belief:
        """After these actions failed: `b(cause) *= 1 - P(fix | cause, action)` (Breese and Heckerman 1996)."""
        rows = [self.by.fails(action, down=down) for action in actions]
        return Belief(_updated(self.weights, *[row for row in rows if row is not None]), self.by)


PRIOR: Final = Belief()


def believe(context: Context | Case, incident: Incident, by: Likelihoods = SHIPPED) -> Belief:
    """The belief in these circumstances: the prior, what is seen, and what has not helped. Of a case as much
    of the context is read as its symptoms need.

    The same ones come again and again while a slot is in trouble, so what was made of them is remembered.
    """
    symptoms, lives, down = context.symptoms, incident.unhelpful, incident.unhelpful_down
    first = incident.signals == 1
    known, seen = by.beliefs, (symptoms, lives, down, first)
    belief: Belief | None = known.get(seen)
    if belief is None:
        belief = _believed(*seen, by)
        if len(known) >= _REMEMBERED:
            known.clear()
        known[seen] = belief
    return belief


def _believed(
    symptoms: tuple[Symptom, ...], lives: tuple[str, ...], down: tuple[str, ...], first: bool, by: Likelihoods
) -> Belief:
    belief = Belief(by.common, by).seeing(*symptoms, first=first)
    belief = belief.without_help_from(*lives) if lives else belief
    return belief.without_help_from(*down, down=True) if down else belief


def p_of_letting_live(incident: Incident, by: Likelihoods) -> float:
    """`p_fix` of letting it live, in an incident where a mild report shows nothing but itself. Remembered likewise."""
    lives, down = incident.unhelpful, incident.unhelpful_down
    known, seen = by.lettings_live, (lives, down, incident.signals == 1)
    p = known.get(seen)
    if p is None:
        belief = _believed((Symptom.REPORTED,), *seen, by)
        p = p_fix(belief, "resume", failed=incident.failures_of("resume"))
        if len(known) >= _REMEMBERED:
            known.clear()
        known[seen] = p
    return p


def evidence(cause: Cause, context: Context, incident: Incident, by: Likelihoods = SHIPPED) -> list[tuple[str, float]]:
    """What speaks for or against a cause, in nats: how much likelier each symptom, and each action that did not help,
    is if it is the cause than it is on the whole. What is absent is left out."""
    place, total = CAUSES.index(cause), sum(by.common)
    rows: list[tuple[str, tuple[float, ...]]] = [(str(symptom), by.row_of(symptom)) for symptom in context.symptoms]
    for attempt in incident.attempts:
        name = action_name(attempt.action)
        row = by.fails(name, down=started(attempt.kind))
        if attempt.outcome is Outcome.FAILED and row is not None:
            rows.append((f"{name} did not help", row))
    return [(what, math.log(max(row[place], 1e-9) * total / sum(map(mul, by.common, row)))) for what, row in rows]


def p_fix(belief: Belief, action: str, *, down: bool = False, failed: int = 0) -> float:
    """P(the action of this name ends this incident), by the belief alone. From 0 to 1.

    `failed` is how often it has been tried in this incident without success. What has not helped is less likely to
    help the next time than the belief says, for tries of one incident are not independent: each takes some of it away.
    """
    weights = belief.weights
    p = min(1.0, sum(map(mul, weights, belief.by.fixes_of(action, down=down))) / sum(weights))
    return p * AGAIN**failed


def _weight(item: tuple[float, Cause]) -> float:
    return item[0]


def _updated(weights: tuple[float, ...], *factors: tuple[float, ...]) -> tuple[float, ...]:
    """Multiplied and made to add up to 1. None falls below a billionth, however many attempts have failed: what looks
    impossible must be able to come back."""
    for factor in factors:
        weights = tuple(map(mul, weights, factor))
    total = sum(weights)
    return tuple([max(weight / total, 1e-9) for weight in weights])
