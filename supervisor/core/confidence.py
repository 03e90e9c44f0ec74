"""What is probably wrong, and how likely each action is to end it: a belief over causes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import StrEnum
from operator import mul
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from attrs import Attribute, field, frozen

from .action import action_name
from .incident import Incident, Outcome
from .symptom import Symptom

if TYPE_CHECKING:
    from .context import Context

__all__ = ["FIXES", "PRIOR", "Belief", "Cause", "believe", "evidence", "fixes", "modest", "p_fix"]


class Cause(StrEnum):
    """What may be wrong. What is seen directly (a budget spent, a tool loop) is no cause but a symptom."""

    TRANSIENT = "transient"
    OVERLOAD = "overload"
    BAD_STATE = "bad_state"
    BAD_VERSION = "bad_version"
    DEPENDENCY_DOWN = "dependency_down"
    LEAK = "leak"
    HANG = "hang"
    RATE_LIMITED = "rate_limited"
    POISON_MESSAGE = "poison_message"


_Row: TypeAlias = tuple[float, float, float, float, float, float, float, float, float]
_CAUSES: Final = tuple(Cause)

# The tables below are a prior written by hand, not measurements of any site. They come from the constants of the first
# simulator of this project (nine causes, their typical symptoms, what repairs them): shares of failures and chances of
# repair, moved towards the middle, because that simulator's stated numbers came out too high above 0.6; nothing is
# below 0.02, so that no symptom alone rules a cause out. Columns are the causes in the order of `Cause`.

# How common each cause is.
_COMMON: Final[_Row] = (0.32, 0.11, 0.09, 0.07, 0.12, 0.07, 0.09, 0.08, 0.05)

# How often each cause shows as this kind of trouble; a signal shows exactly one.
_SHOWS: Final[Mapping[Symptom, _Row]] = {
    #                      trans  over   state  vers   dep    leak   hang   rate   poison
    Symptom.CRASH:         (0.28, 0.10, 0.28, 0.28, 0.10, 0.22, 0.03, 0.12, 0.33),
    Symptom.CODE_ERROR:    (0.03, 0.03, 0.22, 0.45, 0.02, 0.02, 0.02, 0.02, 0.35),
    Symptom.BAD_STATE:     (0.03, 0.02, 0.40, 0.12, 0.03, 0.02, 0.02, 0.02, 0.25),
    Symptom.CONNECTION:    (0.30, 0.10, 0.02, 0.03, 0.52, 0.03, 0.02, 0.10, 0.02),
    Symptom.TIMEOUT:       (0.24, 0.38, 0.02, 0.05, 0.28, 0.04, 0.22, 0.05, 0.02),
    Symptom.OUT_OF_MEMORY: (0.03, 0.06, 0.02, 0.03, 0.02, 0.55, 0.02, 0.02, 0.03),
    Symptom.RATE_LIMITED:  (0.02, 0.06, 0.02, 0.02, 0.03, 0.02, 0.02, 0.70, 0.02),
    Symptom.OVERLOADED:    (0.05, 0.35, 0.02, 0.02, 0.08, 0.05, 0.10, 0.05, 0.02),
    Symptom.STALLED:       (0.05, 0.10, 0.03, 0.04, 0.08, 0.12, 0.60, 0.03, 0.04),
    Symptom.KILLED:        (0.50, 0.02, 0.02, 0.02, 0.02, 0.06, 0.05, 0.02, 0.02),
    Symptom.ENDED:         (0.20, 0.02, 0.06, 0.10, 0.04, 0.02, 0.02, 0.02, 0.04),
    Symptom.GAVE_UP:       (0.05, 0.10, 0.25, 0.25, 0.30, 0.03, 0.05, 0.10, 0.10),
    Symptom.REPORTED:      (0.15, 0.25, 0.04, 0.10, 0.35, 0.04, 0.04, 0.10, 0.03),
}  # fmt: skip

# How often each cause comes with this circumstance. One that is absent speaks as well. The first two go together
# more often than independent ones would, so both are kept mild.
_COMES_WITH: Final[Mapping[Symptom, _Row]] = {
    #                         trans  over   state  vers   dep    leak   hang   rate   poison
    Symptom.REFAIL_FAST:     (0.12, 0.30, 0.70, 0.70, 0.50, 0.10, 0.12, 0.45, 0.70),
    Symptom.NOTHING_SETTLED: (0.08, 0.20, 0.60, 0.60, 0.40, 0.08, 0.12, 0.30, 0.55),
    Symptom.SAME_MESSAGE:    (0.05, 0.10, 0.25, 0.30, 0.25, 0.06, 0.10, 0.15, 0.75),
    Symptom.SIBLINGS_ALIKE:  (0.04, 0.35, 0.06, 0.50, 0.75, 0.05, 0.05, 0.60, 0.05),
    Symptom.CODE_CHANGED:    (0.10, 0.10, 0.15, 0.75, 0.08, 0.12, 0.12, 0.08, 0.10),
    Symptom.START_FAILED:    (0.08, 0.08, 0.25, 0.35, 0.30, 0.04, 0.05, 0.10, 0.03),
}  # fmt: skip

# As above, but seen only where somebody measures: that they are absent says nothing.
_MEASURED: Final[Mapping[Symptom, _Row]] = {
    #                         trans  over   state  vers   dep    leak   hang   rate   poison
    Symptom.MEMORY_GROWS:    (0.09, 0.28, 0.09, 0.09, 0.09, 0.75, 0.09, 0.09, 0.09),
    Symptom.QUEUE_GROWS:     (0.12, 0.75, 0.12, 0.12, 0.45, 0.12, 0.45, 0.30, 0.12),
}  # fmt: skip

# P(an action ends the incident | cause). `hold` asks a person, who is slow and nearly always right; `escalate` starts
# everything below the supervisor anew, and in the end asks a person as well.
FIXES: Final[Mapping[str, _Row]] = {
    #             trans  over   state  vers   dep    leak   hang   rate   poison
    "resume":    (0.60, 0.30, 0.05, 0.03, 0.30, 0.05, 0.05, 0.30, 0.05),
    "restart":   (0.92, 0.12, 0.05, 0.04, 0.12, 0.90, 0.88, 0.10, 0.05),
    "roll_back": (0.88, 0.08, 0.80, 0.05, 0.08, 0.85, 0.65, 0.05, 0.06),
    "throttle":  (0.30, 0.82, 0.03, 0.03, 0.30, 0.05, 0.05, 0.86, 0.04),
    "break":     (0.40, 0.40, 0.03, 0.06, 0.85, 0.06, 0.06, 0.60, 0.03),
    "set_aside": (0.85, 0.06, 0.06, 0.05, 0.06, 0.10, 0.15, 0.04, 0.88),
    "recycle":   (0.90, 0.12, 0.05, 0.04, 0.12, 0.90, 0.88, 0.10, 0.05),
    "fall_back": (0.90, 0.10, 0.10, 0.88, 0.10, 0.55, 0.70, 0.08, 0.25),
    "hold":      (0.95, 0.85, 0.92, 0.92, 0.85, 0.90, 0.92, 0.85, 0.92),
    "stop":      (1.00, 1.00, 1.00, 1.00, 1.00, 1.00, 1.00, 1.00, 1.00),
    "escalate":  (0.90, 0.25, 0.15, 0.10, 0.20, 0.90, 0.88, 0.20, 0.12),
}  # fmt: skip


# On a child that has ended these two start a new life as well, later or with less to do, so they repair as a restart.
_STARTS: Final[Mapping[str, _Row]] = {
    #             trans  over   state  vers   dep    leak   hang   rate   poison
    "throttle":  (0.90, 0.80, 0.05, 0.04, 0.20, 0.88, 0.86, 0.80, 0.05),
    "break":     (0.90, 0.25, 0.05, 0.04, 0.85, 0.88, 0.86, 0.75, 0.05),
}  # fmt: skip
_ENDS: Final = ("crash", "start_failed", "killed", "finished", "stopped", "gave_up")


LEAST: Final = 0.1
MOST: Final = 0.8
"""What was impossible by the belief came true in one of ten cases, and what was certain failed in one of five, when
policies were raced (seeds 0 to 9)."""
AGAIN: Final = 0.7
"""How likely, against the belief's own number, an action is to help that has failed once."""


def fixes(action: str, *, down: bool) -> tuple[float, ...]:
    """P(an action of this name ends the incident | cause), by cause; for a child that has ended, or one that lives."""
    return _STARTS.get(action, FIXES[action]) if down else FIXES[action]


def _weights(_instance: Any, attribute: Attribute[Any], value: Any) -> None:
    if len(value) != len(_CAUSES):
        raise ValueError(f"{attribute.name} holds {len(value)} numbers; there are {len(_CAUSES)} causes")
    if not all(math.isfinite(weight) and weight >= 0 for weight in value) or not sum(value) > 0:
        raise ValueError(f"{attribute.name} is {value!r}; every weight must be 0 or more and finite, and one above 0")


@frozen
class Belief:
    """How probable each cause is. Weights need not add up to 1; what is read from them does."""

    weights: tuple[float, ...] = field(default=_COMMON, validator=_weights)

    @property
    def causes(self) -> dict[Cause, float]:
        """P(cause), the most probable first."""
        total = sum(self.weights)
        ranked = sorted(zip(self.weights, _CAUSES, strict=True), key=_weight, reverse=True)
        return {cause: weight / total for weight, cause in ranked}

    def seeing(self, *symptoms: Symptom) -> Belief:
        """After these symptoms of one signal, and the absence of every other circumstance (naive Bayes)."""
        speaking = [_SPEAKS[symptom] for symptom in symptoms]
        return Belief(_updated(self.weights, _QUIET, *speaking))

    def without_help_from(self, *actions: str, down: bool = False) -> Belief:
        """After these actions failed: `b(cause) *= 1 - P(fix | cause, action)` (Breese and Heckerman 1996)."""
        failed = _FAILS_DOWN if down else _FAILS
        return Belief(_updated(self.weights, *[failed[action] for action in actions if action in failed]))


PRIOR: Final = Belief()


def believe(context: Context, incident: Incident) -> Belief:
    """The belief in these circumstances: the prior, what is seen, and what has not helped."""
    belief = PRIOR.seeing(*context.symptoms)
    for down in (False, True):
        failed = [
            action_name(attempt.action)
            for attempt in incident.attempts
            if attempt.outcome is Outcome.FAILED and (attempt.kind in _ENDS) is down
        ]
        belief = belief.without_help_from(*failed, down=down) if failed else belief
    return belief


def evidence(cause: Cause, context: Context, incident: Incident) -> list[tuple[str, float]]:
    """What speaks for or against a cause, in nats: how much likelier each symptom, and each action that did not help,
    is if it is the cause than it is on the whole. What is absent is left out."""
    place, total = _CAUSES.index(cause), sum(PRIOR.weights)
    rows = [(str(symptom), _speaking(symptom)) for symptom in context.symptoms]
    for attempt in incident.attempts:
        name = action_name(attempt.action)
        failed = _FAILS_DOWN if attempt.kind in _ENDS else _FAILS
        if attempt.outcome is Outcome.FAILED and name in failed:
            rows.append((f"{name} did not help", failed[name]))
    return [(what, math.log(max(row[place], 1e-9) * total / sum(map(mul, PRIOR.weights, row)))) for what, row in rows]


def _speaking(symptom: Symptom) -> _Row | tuple[float, ...]:
    return _SHOWS.get(symptom) or _MEASURED.get(symptom) or _COMES_WITH[symptom]


def p_fix(belief: Belief, action: str, *, down: bool = False, failed: int = 0) -> float:
    """P(the action of this name ends this incident), by the belief alone. From 0 to 1.

    `failed` is how often it has been tried in this incident without success. What has not helped is less likely to
    help the next time than the belief says, for tries of one incident are not independent: each takes some of it away.
    """
    weights = belief.weights
    p = min(1.0, sum(map(mul, weights, fixes(action, down=down))) / sum(weights))
    return p * AGAIN**failed


def modest(p: float) -> float:
    """A number of the belief's as it may be stated: from `LEAST` to `MOST`."""
    return LEAST + (MOST - LEAST) * p


def _weight(item: tuple[float, Cause]) -> float:
    return item[0]


def _updated(weights: tuple[float, ...], *factors: tuple[float, ...]) -> tuple[float, ...]:
    """Multiplied and made to add up to 1. None falls below a billionth, however many attempts have failed: what looks
    impossible must be able to come back."""
    for factor in factors:
        weights = tuple(map(mul, weights, factor))
    total = sum(weights)
    return tuple([max(weight / total, 1e-9) for weight in weights])


_QUIET: Final = tuple(math.prod(1.0 - row[i] for row in _COMES_WITH.values()) for i in range(len(_CAUSES)))
_SPEAKS: Final[Mapping[Symptom, tuple[float, ...]]] = {
    **_SHOWS,
    **_MEASURED,
    **{symptom: tuple(p / (1.0 - p) for p in row) for symptom, row in _COMES_WITH.items()},
}
_FAILS: Final[Mapping[str, tuple[float, ...]]] = {
    name: tuple(1.0 - p for p in row) for name, row in FIXES.items() if name not in ("stop", "hold", "escalate")
}
_FAILS_DOWN: Final = {**_FAILS, **{name: tuple(1.0 - p for p in row) for name, row in _STARTS.items()}}
