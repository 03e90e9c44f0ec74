"""Outcomes that are counted on in place, while one report after another says that letting a child live did not help."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from .alike import TOLD_APART, counts_as
from .curve import UNSEEN, Ease, faded, mapped, seen
from .outcomes import FADED, NO_CASES, TRUST_MAPPED, Cell, Outcomes, cells_of, learn_failed, placed
from .symptom import Kind, Symptom

__all__ = ["Counting"]

_MOST: Final = 64
"""Outcomes that are counted in place; then it begins anew, so that few have to be counted again for one of before."""
_ACTION: Final = "resume"
_SYMPTOM: Final = Symptom.REPORTED
_KIND, _OF, _START = placed(_ACTION, Kind.REPORTED, _SYMPTOM)


class Counting:
    """What `learn_failed` makes of outcomes in which a child was let live at a report, without a value for each.

    The outcomes of any moment are made when somebody asks: those of now from the counts, those of before by learning
    again from where it began.
    """

    __slots__ = (
        "_again",
        "_at",
        "_begun",
        "_cells",
        "_curve",
        "_ease",
        "_ease_at",
        "_half_life",
        "_lately",
        "_lessons",
        "_new",
        "_now",
    )

    def __init__(self, outcomes: Outcomes) -> None:
        self._begun = self._now = outcomes
        self._lessons: list[tuple[float, float, float, int]] = []
        self._new: list[tuple[float, bool]] = []
        """The outcomes that `_now` has not."""
        self._again = outcomes, 0
        """What was learned again last, and from how many of the lessons."""
        self._half_life, self._at, self._curve = outcomes.half_life, outcomes.at, outcomes.curve
        self._cells: dict[Cell, tuple[float, float, float]] = {}
        """Cases, how many of them ended well, and as of when: where that is not as in `_now`."""
        self._lately: dict[int, float] = dict(outcomes.lately)
        eased = outcomes.eases.get(_OF)
        self._ease: Ease = UNSEEN if eased is None else eased.ease
        self._ease_at: float = self._at if eased is None else eased.at

    @property
    def full(self) -> bool:
        """Whether it is time to begin anew with the outcomes of now."""
        return len(self._lessons) >= _MOST

    @property
    def count(self) -> int:
        """How many lessons there were."""
        return len(self._lessons)

    def failed(self, confidence: float, model: float, at: float, failed: int) -> None:
        """One more was stated to help with this confidence, by the belief alone with that of the `model`, and did not,
        at the wall time `at` and after `failed` attempts of its incident that failed before."""
        self._lessons.append((confidence, model, at, failed))
        self._new.append((confidence, False))
        since, half_life, cells, curve, ease = self._at, self._half_life, self._cells, self._curve, self._ease
        share = 1.0
        if at > since:
            share = 0.5 ** ((at - since) / half_life)
            curve = faded(curve, share)
        else:
            at = since
        for key in _cells_of(model):
            cases, good, counted = cells.get(key) or self._before(key)
            if counted < at:
                left = share if counted == since else 0.5 ** ((at - counted) / half_life)
                cases, good = cases * left, good * left
                if cases <= FADED:
                    cases = good = 0.0
            cells[key] = cases + 1, good, at
        if self._ease_at < at:
            left = share if self._ease_at == since else 0.5 ** ((at - self._ease_at) / half_life)
            ease = ease[0] * left, ease[1] * left
        counts = counts_as(self._lately, failed, at)
        self._curve, self._ease = seen(curve, model, False, failed, start=_START, ease=ease, counts=counts)
        if failed < TOLD_APART:
            self._lately[failed] = at
        self._at = self._ease_at = at

    def numbers(self, model: float, failed: int) -> tuple[float, float]:
        """`Outcomes.numbers` of letting a child live at a report now."""
        at, half_life, ease = self._at, self._half_life, self._ease
        key, _ = _cells_of(model)
        cases, good, counted = self._cells.get(key) or self._before(key)
        if counted < at:
            left = 0.5 ** ((at - counted) / half_life)
            cases, good = cases * left, good * left
            if cases <= FADED:
                cases = good = 0.0
        if self._ease_at < at:
            left = 0.5 ** ((at - self._ease_at) / half_life)
            ease = ease[0] * left, ease[1] * left
        value = mapped(self._curve, model, failed, start=_START, ease=ease)
        value = (TRUST_MAPPED * value + good) / (TRUST_MAPPED + cases)
        return round(value if value < 1.0 else 1.0, 4), round(model, 4)

    @property
    def outcomes(self) -> Outcomes:
        """Those of now."""
        if self._new:
            eases = {_OF: (self._ease, self._ease_at)}
            self._now = self._now.counted_on(self._at, self._cells, self._curve, eases, self._lately, self._new)
            self._new = []
        return self._now

    def as_of(self, count: int) -> Outcomes:
        """Those after so many lessons."""
        if count == len(self._lessons):
            return self.outcomes
        outcomes, known = self._again if self._again[1] <= count else (self._begun, 0)
        for confidence, model, at, failed in self._lessons[known:count]:
            outcomes = learn_failed(outcomes, _ACTION, Kind.REPORTED, confidence, model, at, failed, _SYMPTOM)
        self._again = outcomes, count
        return outcomes

    def _before(self, key: Cell) -> tuple[float, float, float]:
        tally = self._now.cells.get(key, NO_CASES)
        return tally.cases, tally.fixed, tally.at


@lru_cache(1024)
def _cells_of(model: float) -> tuple[Cell, Cell]:
    return cells_of(_ACTION, _KIND, model)
