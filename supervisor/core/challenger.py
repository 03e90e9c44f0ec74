"""The challenger: what labels have taught, running silently beside the shipped numbers until it out-predicts them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Final

from attrs import evolve, field

from treewarden.agents.core.values import frozen

from .confidence import Belief
from .event import IncidentLabelled
from .learned import Counts, Lesson, lesson_of
from .likelihoods import CAUSES, SHIPPED, Likelihoods
from .wager import Wager

__all__ = ["ALPHA", "Challenger", "gain", "score", "teach", "teach_all"]

ALPHA: Final = 1 / 20
"""How likely the gate opens at most for numbers that predict no better than the shipped ones."""
_LEAST: Final = 1 / 20
"""No prediction is scored as less likely than this: one surprise shall not outweigh all else."""


@frozen(slots=False)
class Challenger:
    """A fold of the labels in a journal (`teach`), so it survives what the journal survives.

    Each labelled incident of the tree's own is predicted before it is learned from, by the shipped numbers and by those
    learned until then. The learned ones decide once the wager on their log-scores has reached `1 / ALPHA`; from then on
    the opposite is bet on, and they are silent again when that has reached it. Labels of chaos runs teach and are not
    scored: what was planned to go wrong is no proof of what does.
    """

    counts: Counts = field(factory=Counts)
    decides: bool = False
    wager: Wager = Wager()
    """On the learned numbers while they are silent, on the shipped ones while those are."""
    scored: int = 0
    """Labels on which the two were compared."""
    switched: int = 0
    """How often the gate has opened or closed."""
    lessons: Mapping[str, Lesson] = field(factory=dict[str, Lesson], repr=False)
    """By incident, in the order in which they were first labelled."""

    @property
    def labels(self) -> int:
        return len(self.lessons)

    @property
    def likelihoods(self) -> Likelihoods:
        """The numbers that decide."""
        return self.counts.likelihoods if self.decides else SHIPPED

    @property
    def other(self) -> Challenger:
        """As if the gate were the other way."""
        return evolve(self, decides=not self.decides)


def teach(challenger: Challenger, event: IncidentLabelled) -> Challenger:
    """Fold one committed label. One that corrects an earlier one is told as if it had stood there from the beginning,
    so everything that came of the wrong one is taken back. A label that teaches nothing changes nothing."""
    lesson = lesson_of(event)
    if lesson is None:
        return challenger
    if event.incident not in challenger.lessons:
        lessons = {**challenger.lessons, event.incident: lesson}
        return evolve(_taught(challenger, lesson), lessons=lessons)
    lessons = {**challenger.lessons, event.incident: lesson}
    again = Challenger()
    for each in lessons.values():
        again = _taught(again, each)
    return evolve(again, lessons=lessons)


def teach_all(challenger: Challenger, events: Iterable[object]) -> Challenger:
    """Fold the labels among events."""
    for event in events:
        if isinstance(event, IncidentLabelled):
            challenger = teach(challenger, event)
    return challenger


def _taught(before: Challenger, lesson: Lesson) -> Challenger:
    counts = before.counts.taught(lesson)
    if lesson.rehearsed:
        return evolve(before, counts=counts)
    won = gain(before.counts.likelihoods, SHIPPED, lesson)
    wager = before.wager.after(-won if before.decides else won)
    if wager.value < 1 / ALPHA:
        return evolve(before, counts=counts, wager=wager, scored=before.scored + 1)
    return evolve(
        before,
        counts=counts,
        decides=not before.decides,
        wager=Wager(),
        scored=before.scored + 1,
        switched=before.switched + 1,
    )


def gain(one: Likelihoods, other: Likelihoods, lesson: Lesson) -> float:
    """How much better `one` has predicted an incident, as a share of the most that is possible: from -1 to 1."""
    return (score(one, lesson) - score(other, lesson)) / -math.log(_LEAST)


def score(by: Likelihoods, lesson: Lesson) -> float:
    """The log-score of an incident, in nats: of its cause, given what each decision saw, and of what became of each
    action, given the cause; the two count alike. From `log(1 / 20)` to 0."""
    place = CAUSES.index(lesson.cause)
    beliefs = [Belief(by.common, by).seeing(*seen, first=nth == 0) for nth, seen in enumerate(lesson.seen)]
    causes = [_log(_share(belief.weights, place)) for belief in beliefs]
    ends = [(by.fixes_of(each.action, down=each.down)[place], each.fixed) for each in lesson.tried]
    outcomes = [_log(p if fixed else 1.0 - p) for p, fixed in ends]
    parts = [sum(each) / len(each) for each in (causes, outcomes) if each]
    return sum(parts) / len(parts)


def _share(weights: tuple[float, ...], place: int) -> float:
    return weights[place] / sum(weights)


def _log(p: float) -> float:
    return math.log(max(p, _LEAST))
