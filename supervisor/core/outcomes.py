"""What came of earlier decisions, folded from the journal, and what that makes of a stated confidence."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, TypeAlias

from attrs import Attribute, evolve, field

from treewarden.agents.core.said import LARGEST, shown
from treewarden.agents.core.values import filled, frozen

from .alike import TOLD_APART, Lately, counts_as
from .curve import NOTHING, UNSEEN, Curve, Ease, faded, mapped, seen
from .event import Event, OutcomeObserved
from .head_start import head_start
from .latest import Latest

__all__ = [
    "BANDS",
    "ENOUGH",
    "Bin",
    "Confidence",
    "Eased",
    "Outcomes",
    "Tally",
    "learn",
    "learn_failed",
]

ENOUGH: Final = 200
"""Outcomes that have to be observed before a confidence may be called calibrated; so many are judged at a time."""
BANDS: Final = 3
"""Parts of the numbers from 0 to 1 in which cases are counted for themselves."""
_BINS: Final = 10
_TRUST: Final = 10.0
"""How many observed cases of an action against a kind of trouble weigh as much as a number that somebody wrote down,"""
TRUST_MAPPED: Final = 400.0
"""and as one that all cases have had their say about."""
_ANY: Final = ("*", "")
_NO_LESSON: Final = ("recovered", "operator")
"""Signals after which nothing was left to be fixed, or a person decided: what follows says nothing about a number."""
_DAY: Final = 86400.0
FADED: Final = 0.01
"""Cases of which no more is left count as none."""
_ONE: Final = 2**52
"""A confidence of 1 as a whole number, so that squared errors can be added and taken away without rounding."""

Cell: TypeAlias = tuple[str, str, int]


def _positive(_instance: Any, attribute: Attribute[Any], value: float) -> None:
    if not 0 < value <= LARGEST:
        raise ValueError(f"{attribute.name} is {shown(value)}; it must be a positive number of seconds")


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
    at: float = field(default=0.0, eq=False, repr=False)
    """As of when: they are not written anew whenever some time has passed."""


@frozen
class Eased:
    """How much easier one kind of attempt has been than the belief and the curve say."""

    ease: Ease = UNSEEN
    at: float = field(default=0.0, eq=False, repr=False)
    """As of when."""

    def as_of(self, at: float, half_life: float) -> Eased:
        """Faded; as it is if that was earlier."""
        if self.at >= at:
            return self
        share = 0.5 ** ((at - self.at) / half_life)
        precision, pull = self.ease
        return Eased((precision * share, pull * share), at)


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


_tally: Final = filled(Tally)
_eased: Final = filled(Eased)
NO_CASES: Final = Tally()
_AS_ANY: Final = Eased()
_NONE_YET: Final = Latest[tuple[float, bool]](ENOUGH)


def _latest(given: Iterable[tuple[float, bool]]) -> Latest[tuple[float, bool]]:
    return given if isinstance(given, Latest) else Latest(ENOUGH, list(given))


@frozen
class Outcomes:
    """What decisions came to. A fold of the journal (`learn`), so it survives what the journal survives.

    Counts halve every `half_life` seconds, by the journal's wall time: never by the number of calls, so a busy tree
    does not forget faster than a quiet one.
    """

    half_life: float = field(default=30 * _DAY, validator=_positive)
    at: float = 0.0
    """The wall time as of which the counts are."""
    cells: Mapping[Cell, Tally] = field(factory=dict[Cell, Tally])
    """By action, kind of trouble, and the third that the belief's own number was in; and of all by the tenth."""
    curve: Curve = NOTHING
    """What numbers of the belief's have come to, of whatever action."""
    eases: Mapping[tuple[str, str], Eased] = field(factory=dict[tuple[str, str], Eased])
    """By action and the symptom that the trouble shows as: how much easier than that it has been."""
    lately: Lately = field(factory=dict[int, float])
    """When the last outcome was of an attempt after so many failures."""
    recent: Latest[tuple[float, bool]] = field(default=_NONE_YET, converter=_latest)
    """The last `ENOUGH` outcomes: the confidence that was stated, and whether it was right."""
    _sums: tuple[int, int] | None = field(default=None, eq=False, repr=False)

    @property
    def brier_skill(self) -> float:
        """1 less the mean squared error over that of always stating the base rate: above 0 is better than that.

        0 where there is nothing to compare with: no outcomes, or all of them the same.
        """
        count = len(self.recent)
        fixed, error = self._added_up()
        if fixed in (0, count):
            return 0.0
        rate = fixed / count
        return 1.0 - error / _ONE**2 / count / (rate * (1.0 - rate))

    def _added_up(self) -> tuple[int, int]:
        """How many of `recent` were fixed, and their squared errors together, of `_ONE` squared."""
        sums = self._sums
        if sums is None:
            recent = tuple(self.recent)
            sums = sum(fixed for _, fixed in recent), sum(map(_squared, recent))
            object.__setattr__(self, "_sums", sums)
        return sums

    @property
    def calibrated(self) -> bool:
        """Whether stated confidences have earned to be believed: enough outcomes, and better than the base rate."""
        return len(self.recent) >= ENOUGH and self.brier_skill > 0.0

    def tally(self, action: str, kind: str) -> Tally:
        """All observed cases of this action against this kind of trouble."""
        found = [self._now(key) for key in self.cells if key[:2] == (action, _head(kind))]
        return Tally(sum(cell.cases for cell in found), sum(cell.fixed for cell in found))

    def stated(
        self, model: float, action: str, kind: str, *, pooled: bool = False, failed: int = 0, symptom: str = ""
    ) -> Confidence:
        """The model's number, shrunk towards what was observed where it said about the same (beta-binomial).

        `evidence` counts the cases of this action against this kind of trouble. With `pooled` it is first mapped to
        what such numbers have come to, after `failed` attempts of the incident: those of whatever action, and those of
        this action where the trouble has shown as this `symptom`. Right where one model states all of the numbers.
        """
        cell = self._now((action, _head(kind), _third(model)))
        value, model = self.numbers(model, action, kind, pooled=pooled, failed=failed, symptom=symptom)
        return Confidence(value, model, cell.cases, self.calibrated)

    def numbers(
        self, model: float, action: str, kind: str, *, pooled: bool = False, failed: int = 0, symptom: str = ""
    ) -> tuple[float, float]:
        """What `stated` says, without what it rests on: the number, and the model's own."""
        head, of, start = placed(action, kind, symptom)
        cell = self.cells.get(key := (action, head, _third(model)), NO_CASES)
        if cell.at < self.at:
            cell = self._now(key)
        value, trust = model, _TRUST
        if pooled:
            eased = self.eases.get(of, _AS_ANY)
            if eased.at < self.at:
                eased = eased.as_of(self.at, self.half_life)
            value, trust = mapped(self.curve, model, failed, start=start, ease=eased.ease), TRUST_MAPPED
        value = (trust * value + cell.fixed) / (trust + cell.cases)
        return round(value if value < 1.0 else 1.0, 4), round(model, 4)

    def bin(self, model: float) -> Bin:
        """What was observed of all numbers of the belief's that were about as large as this one."""
        place = _tenth(model)
        tally = self._now((*_ANY, place))
        return Bin(place / _BINS, (place + 1) / _BINS, tally.cases, tally.fixed)

    def aged(self, at: float) -> Outcomes:
        """As of the wall time `at`; a clock that went back ages nothing."""
        at = max(at, self.at)
        cells = {key: self._as_of(at, key) for key in self.cells}
        known = {key: cell for key, cell in cells.items() if cell.cases}
        eases = {key: eased.as_of(at, self.half_life) for key, eased in self.eases.items()}
        left = {key: eased for key, eased in eases.items() if eased.ease[0] > FADED}
        return evolve(self, at=at, cells=known, curve=self._curve(at), eases=left)

    def with_case(
        self,
        keys: Iterable[Cell],
        model: float,
        outcome: tuple[float, bool],
        at: float,
        *,
        failed: int = 0,
        of: tuple[str, str],
        start: float = 0.0,
    ) -> Outcomes:
        """With one more outcome at the wall time `at`, which counts in these cells; `model` was the model's number, and
        the attempt was `of` this kind, with this head start."""
        since, half_life, cells, fixed = self.at, self.half_life, dict(self.cells), outcome[1]
        at = at if at > since else since
        share = 1.0 if at == since else 0.5 ** ((at - since) / half_life)
        for key in keys:
            before = cells.get(key, NO_CASES)
            cases, good = before.cases, before.fixed
            if before.at < at:  # as in `_as_of`
                left = share if before.at == since else 0.5 ** ((at - before.at) / half_life)
                cases, good = cases * left, good * left
                if cases <= FADED:
                    cases = good = 0.0
            cells[key] = _tally(cases + 1, good + fixed, at)
        (right, error), recent = self._sums or self._added_up(), self.recent
        right, error = right + fixed, error + _squared(outcome)
        if len(recent) == ENOUGH:
            first = recent.first
            right, error = right - first[1], error - _squared(first)
        curve = self.curve if at == since else faded(self.curve, share)
        eases = dict(self.eases)
        known = eases.get(of)
        if known is None:
            ease = UNSEEN
        elif known.at == since:  # as in `Eased.as_of`
            precision, pull = known.ease
            ease = (precision * share, pull * share)
        else:
            ease = known.as_of(at, half_life).ease
        lately = self.lately
        counts = counts_as(lately, failed, at)
        curve, ease = seen(curve, model, fixed, failed, start=start, ease=ease, counts=counts)
        eases[of] = _eased(ease, at)
        if failed < TOLD_APART:
            lately = {**lately, failed: at}
        return _outcomes(half_life, at, cells, curve, eases, lately, recent.followed_by(outcome), (right, error))

    def counted_on(
        self,
        at: float,
        cells: Mapping[Cell, tuple[float, float, float]],
        curve: Curve,
        eases: Mapping[tuple[str, str], tuple[Ease, float]],
        lately: Lately,
        outcomes: Sequence[tuple[float, bool]],
    ) -> Outcomes:
        """With these outcomes, of which somebody else has kept count: what the cells and eases that they change have
        come to, the curve, and when the last ones were."""
        (right, error), recent = self._sums or self._added_up(), self.recent.followed_by_all(outcomes)
        gone = list(self.recent)[: max(0, len(self.recent) + len(outcomes) - ENOUGH)]
        gone += outcomes[: max(0, len(outcomes) - ENOUGH)]
        right += sum([fixed for _, fixed in outcomes]) - sum([fixed for _, fixed in gone])
        error += sum(map(_squared, outcomes)) - sum(map(_squared, gone))
        return _outcomes(
            self.half_life,
            at,
            {**self.cells, **{key: Tally(*counts) for key, counts in cells.items()}},
            curve,
            {**self.eases, **{key: Eased(*eased) for key, eased in eases.items()}},
            {**self.lately, **lately},
            recent,
            (right, error),
        )

    def _curve(self, at: float) -> Curve:
        return self.curve if at == self.at else faded(self.curve, 0.5 ** ((at - self.at) / self.half_life))

    def _now(self, key: Cell) -> Tally:
        return self._as_of(self.at, key)

    def _as_of(self, at: float, key: Cell) -> Tally:
        cell = self.cells.get(key, NO_CASES)
        if cell.at >= at:
            return cell
        share = 0.5 ** ((at - cell.at) / self.half_life)
        cases = cell.cases * share
        return Tally(cases, cell.fixed * share, at) if cases > FADED else NO_CASES


_outcomes: Final = filled(Outcomes)


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
    symptom = event.symptom
    return _with(outcomes, event.action, event.kind, fixed, event.confidence, event.model, at, event.failed, symptom)


def learn_failed(
    outcomes: Outcomes,
    action: str,
    kind: str,
    confidence: float,
    model: float,
    at: float,
    failed: int = 0,
    symptom: str = "",
) -> Outcomes:
    """`learn` that an attempt failed, before there is an event of it: with numbers that were stated here, about
    what was not over, after `failed` attempts that failed before."""
    return _with(outcomes, action, kind, False, confidence, model, at, failed, symptom)


def _with(
    outcomes: Outcomes,
    action: str,
    kind: str,
    fixed: bool,
    confidence: float,
    model: float,
    at: float,
    failed: int,
    symptom: str,
) -> Outcomes:
    head, of, start = placed(action, kind, symptom)
    keys = cells_of(action, head, model)
    return outcomes.with_case(keys, model, (confidence, fixed), at, failed=failed, of=of, start=start)


@lru_cache(1024)
def placed(action: str, kind: str, symptom: str) -> tuple[str, tuple[str, str], float]:
    """Where an attempt counts: the head of its kind, the key of its ease, and with which head start it begins."""
    head = _head(kind)
    of = (action, symptom or head)
    return head, of, head_start(*of, head)


def cells_of(action: str, head: str, model: float) -> tuple[Cell, Cell]:
    """The cells in which it counts, by the number that the belief had stated."""
    return (action, head, _third(model)), (*_ANY, _tenth(model))


def _squared(outcome: tuple[float, bool]) -> int:
    stated, fixed = outcome
    off = int(stated * _ONE) - _ONE if fixed else int(stated * _ONE)
    return off * off


def _head(kind: str) -> str:
    """`reported:slow` counts as `reported`: the reporters' own words are without number."""
    return kind.partition(":")[0]


def _third(model: float) -> int:
    return int(model * BANDS) if model < 1.0 else BANDS - 1


def _tenth(model: float) -> int:
    return int(model * _BINS) if model < 1.0 else _BINS - 1
