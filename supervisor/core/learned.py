"""Likelihoods that are learned from labelled incidents only: counts, with what treewarden comes with as their prior."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Final, TypeAlias, cast

from attrs import evolve, field

from treewarden.agents.core.values import frozen

from .event import IncidentLabelled
from .likelihoods import CAUSES, SHIPPED, Cause, Likelihoods, Row, started
from .symptom import Symptom

__all__ = ["Counts", "Lesson", "Try", "lesson_of"]

_COMMON: Final = 20.0
"""How many labelled incidents weigh as much as the shipped number: of how common a cause is,"""
_SHOWS: Final = 10.0
"""of what it shows as and comes with,"""
_FIXES: Final = 8.0
"""and of what ends it."""
_LEAST: Final = 0.01
_MOST: Final = 0.99

_Key: TypeAlias = tuple[str, Cause]


@frozen
class Try:
    """An action that was tried against a cause that is known."""

    action: str
    down: bool
    """The child had ended."""
    fixed: bool


@frozen
class Lesson:
    """What one labelled incident teaches."""

    cause: Cause
    seen: tuple[tuple[Symptom, ...], ...]
    """What each of its decisions saw; at least one."""
    tried: tuple[Try, ...]
    rehearsed: bool


def lesson_of(event: IncidentLabelled) -> Lesson | None:
    """What a label teaches; None where it names a cause that this code does not know, or says nothing of symptoms."""
    if event.cause not in _CAUSES:
        return None
    known = (tuple(Symptom(name) for name in seen if name in _SYMPTOMS) for seen in event.symptoms)
    tried = (Try(each.action, started(each.kind), each.fixed) for each in event.tried if each.action in SHIPPED.fixes)
    seen = tuple(symptoms for symptoms in known if any(symptom in SHIPPED.shows for symptom in symptoms))
    return Lesson(Cause(event.cause), seen, tuple(tried), event.rehearsed) if seen else None


_CAUSES: Final = frozenset(map(str, Cause))
_SYMPTOMS: Final = frozenset(map(str, Symptom))


@frozen(slots=False)
class Counts:
    """What labelled incidents have shown. An incident weighs 1, however many decisions were made in it."""

    causes: Mapping[Cause, float] = field(factory=dict[Cause, float])
    """Incidents of the tree's own: which faults a chaos run plans says nothing about what happens."""
    incidents: Mapping[Cause, float] = field(factory=dict[Cause, float])
    """All."""
    seen: Mapping[_Key, float] = field(factory=dict[_Key, float])
    tries: Mapping[tuple[str, bool, Cause], float] = field(factory=dict[tuple[str, bool, Cause], float])
    fixed: Mapping[tuple[str, bool, Cause], float] = field(factory=dict[tuple[str, bool, Cause], float])

    def taught(self, lesson: Lesson) -> Counts:
        """With one more lesson."""
        cause, share = lesson.cause, 1.0 / len(lesson.seen)
        seen, tries, fixed = dict(self.seen), dict(self.tries), dict(self.fixed)
        for symptoms in lesson.seen:
            for symptom in symptoms:
                seen[symptom, cause] = seen.get((symptom, cause), 0.0) + share
        for each in lesson.tried:
            key = (each.action, each.down and each.action in SHIPPED.starts, cause)
            tries[key] = tries.get(key, 0.0) + 1.0
            fixed[key] = fixed.get(key, 0.0) + each.fixed
        causes = self.causes if lesson.rehearsed else _one_more(self.causes, cause)
        return evolve(
            self, causes=causes, incidents=_one_more(self.incidents, cause), seen=seen, tries=tries, fixed=fixed
        )

    @cached_property
    def likelihoods(self) -> Likelihoods:
        """The shipped numbers moved towards what was counted: posterior means, Dirichlet for what an incident shows
        exactly one of, Beta for the rest."""
        if not self.incidents:
            return SHIPPED
        shipped, places = SHIPPED, range(len(CAUSES))
        total, labels = sum(shipped.common), sum(self.causes.values())
        common = [
            (_COMMON * shipped.common[place] / total + self.causes.get(CAUSES[place], 0.0)) / (_COMMON + labels)
            for place in places
        ]
        return Likelihoods(
            _row(common),
            {symptom: self._seen(row, symptom) for symptom, row in shipped.shows.items()},
            {symptom: self._seen(row, symptom) for symptom, row in shipped.comes_with.items()},
            {symptom: self._seen(row, symptom) for symptom, row in shipped.measured.items()},
            {action: self._ended(row, action, down=False) for action, row in shipped.fixes.items()},
            {action: self._ended(row, action, down=True) for action, row in shipped.starts.items()},
        )

    def _seen(self, row: Row, symptom: Symptom) -> Row:
        return _row([
            (_SHOWS * p + self.seen.get((symptom, cause), 0.0)) / (_SHOWS + self.incidents.get(cause, 0.0))
            for p, cause in zip(row, CAUSES, strict=True)
        ])  # fmt: skip

    def _ended(self, row: Row, action: str, *, down: bool) -> Row:
        keys = [(action, down, cause) for cause in CAUSES]
        return _row([
            (_FIXES * p + self.fixed.get(key, 0.0)) / (_FIXES + self.tries.get(key, 0.0))
            for p, key in zip(row, keys, strict=True)
        ])  # fmt: skip


def _row(values: list[float]) -> Row:
    """As it may stand in a table: nothing is impossible, and nothing certain."""
    return cast("Row", tuple([min(_MOST, max(_LEAST, value)) for value in values]))


def _one_more(counts: Mapping[Cause, float], cause: Cause) -> Mapping[Cause, float]:
    return {**counts, cause: counts.get(cause, 0.0) + 1.0}
