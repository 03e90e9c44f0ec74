"""What came of earlier decisions, folded from the journal, and what that makes of a stated confidence."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Final, TypeAlias

from attrs import Attribute, evolve, field

from treewarden.agents.core.values import frozen

from .event import Event, OutcomeObserved

__all__ = ["ENOUGH", "Bin", "Confidence", "Outcomes", "Tally", "as_data", "learn", "outcomes_of"]

ENOUGH: Final = 200
"""Outcomes that have to be observed before a confidence may be called calibrated; so many are judged at a time."""
_BANDS: Final = 3
_TRUST: Final = 10.0
"""How many observed cases weigh as much as the belief's own number."""
_TRUST_OTHERS: Final = 12.0
"""The same for cases of other actions and other trouble."""
_ANY: Final = "*"
_NO_LESSON: Final = ("recovered", "operator")
"""Signals after which nothing was left to be fixed, or a person decided: what follows says nothing about a number."""
_DAY: Final = 86400.0

_Cell: TypeAlias = tuple[str, str, int]


def _positive(_instance: Any, attribute: Attribute[Any], value: float) -> None:
    if not 0 < value < math.inf:
        raise ValueError(f"{attribute.name} is {value!r}; it must be a positive number of seconds")


@frozen
class Confidence:
    """P(an action closes an incident), as stated."""

    value: float
    model: float
    """What the belief alone says."""
    evidence: float = 0.0
    """Observed cases that the number rests on; they fade with time."""
    calibrated: bool = False


@frozen
class Tally:
    """Observed cases and how many of them ended well, both faded."""

    cases: float = 0.0
    fixed: float = 0.0


@frozen
class Bin:
    """Numbers from `low` to `high`, and how many of the observed cases ended well, both faded."""

    low: float
    high: float
    cases: float
    fixed: float

    @property
    def rate(self) -> float:
        """The share that ended well; 0 without any."""
        return self.fixed / self.cases if self.cases else 0.0


_NONE: Final = Tally()


@frozen(slots=False)
class Outcomes:
    """What decisions came to. A fold of the journal (`learn`), so it survives what the journal survives.

    Counts halve every `half_life` seconds, by the journal's wall time: never by the number of calls, so a busy tree
    does not forget faster than a quiet one.
    """

    half_life: float = field(default=30 * _DAY, validator=_positive)
    at: float = 0.0
    """The wall time as of which the counts are."""
    cells: Mapping[_Cell, Tally] = field(factory=dict[_Cell, Tally])
    """By action, kind of trouble, and the third that the belief's own number was in."""
    recent: tuple[tuple[float, bool], ...] = ()
    """The last `ENOUGH` outcomes: the confidence that was stated, and whether it was right."""

    @cached_property
    def brier_skill(self) -> float:
        """1 less the mean squared error over that of always stating the base rate: above 0 is better than that.

        0 where there is nothing to compare with: no outcomes, or all of them the same.
        """
        if not self.recent:
            return 0.0
        rate = sum(fixed for _, fixed in self.recent) / len(self.recent)
        if rate in (0.0, 1.0):
            return 0.0
        error = sum((stated - fixed) ** 2 for stated, fixed in self.recent) / len(self.recent)
        return 1.0 - error / (rate * (1.0 - rate))

    @property
    def calibrated(self) -> bool:
        """Whether stated confidences have earned to be believed: enough outcomes, and better than the base rate."""
        return len(self.recent) >= ENOUGH and self.brier_skill > 0.0

    def tally(self, action: str, kind: str) -> Tally:
        """All observed cases of this action against this kind of trouble."""
        found = [cell for (name, trouble, _), cell in self.cells.items() if (name, trouble) == (action, _head(kind))]
        return Tally(sum(cell.cases for cell in found), sum(cell.fixed for cell in found))

    def stated(self, model: float, action: str, kind: str, *, pooled: bool = False) -> Confidence:
        """The model's number, shrunk towards what was observed where it said about the same (beta-binomial).

        `evidence` counts the cases of this action against this kind of trouble. With `pooled` it is first shrunk
        towards what was observed of all other actions and kinds: right where one model states all of the numbers.
        """
        band = _band(model)
        cell = self.cells.get((action, _head(kind), band), _NONE)
        value = model
        everywhere = self.cells.get((_ANY, _ANY, band)) if pooled else None
        if everywhere is not None:
            fixed, cases = max(0.0, everywhere.fixed - cell.fixed), max(0.0, everywhere.cases - cell.cases)
            value = (_TRUST_OTHERS * value + fixed) / (_TRUST_OTHERS + cases)
        value = (_TRUST * value + cell.fixed) / (_TRUST + cell.cases)
        return Confidence(round(min(1.0, value), 4), round(model, 4), cell.cases, self.calibrated)

    def bin(self, model: float) -> Bin:
        """What was observed of all numbers of the belief's that were about as large as this one."""
        band = _band(model)
        tally = self.cells.get((_ANY, _ANY, band), _NONE)
        return Bin(band / _BANDS, (band + 1) / _BANDS, tally.cases, tally.fixed)

    def aged(self, at: float) -> Outcomes:
        """As of the wall time `at`; a clock that went back ages nothing."""
        if at <= self.at or not self.cells:
            return evolve(self, at=max(at, self.at))
        share = 0.5 ** ((at - self.at) / self.half_life)
        cells = {key: Tally(cell.cases * share, cell.fixed * share) for key, cell in self.cells.items()}
        return evolve(self, at=at, cells={key: cell for key, cell in cells.items() if cell.cases > 0.01})


def learn(outcomes: Outcomes, event: Event, at: float) -> Outcomes:
    """Fold one committed event, `at` its wall time. Unobserved outcomes, and all other events, teach nothing.

    A confidence that is no probability cannot come from this code; such an event is passed over.
    """
    if not isinstance(event, OutcomeObserved) or event.outcome not in ("fixed", "failed"):
        return outcomes
    if _head(event.kind) in _NO_LESSON:
        return outcomes
    if not (0.0 <= event.confidence <= 1.0 and 0.0 <= event.model <= 1.0 and math.isfinite(at)):
        return outcomes
    fixed = event.outcome == "fixed"
    now = outcomes.aged(at)
    band = _band(event.model)
    cells = dict(now.cells)
    for key in ((event.action, _head(event.kind), band), (_ANY, _ANY, band)):
        before = cells.get(key, _NONE)
        cells[key] = Tally(before.cases + 1, before.fixed + fixed)
    return evolve(
        now,
        cells=cells,
        recent=(*now.recent[-(ENOUGH - 1) :], (event.confidence, fixed)),
    )


def as_data(outcomes: Outcomes) -> dict[str, Any]:
    """As JSON can hold it, for `outcomes_of`."""
    cells = [[*key, tally.cases, tally.fixed] for key, tally in outcomes.cells.items()]
    return {"at": outcomes.at, "cells": cells, "recent": [list(each) for each in outcomes.recent]}


def outcomes_of(data: Mapping[str, Any]) -> Outcomes:
    """What `as_data` was given, as far as `data` holds it."""
    return Outcomes(
        at=float(data.get("at", 0.0)),
        cells={(action, kind, band): Tally(cases, fixed) for action, kind, band, cases, fixed in data.get("cells", ())},
        recent=tuple((float(stated), bool(fixed)) for stated, fixed in data.get("recent", ())),
    )


def _head(kind: str) -> str:
    """`reported:slow` counts as `reported`: the reporters' own words are without number."""
    return kind.partition(":")[0]


def _band(model: float) -> int:
    return min(_BANDS - 1, int(model * _BANDS))
