"""What the last decision of each incident rested on: the observed cases behind its number, and what would change it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from attrs import evolve, field, frozen

from ..core.event import Decided, OutcomeObserved
from ..core.outcomes import Bin, Outcomes, learn
from ..core.sway import Turn, question_of, turns
from .committed import Committed

__all__ = ["Ground", "Grounds", "as_data", "fold", "ground_lines"]


@frozen
class Ground:
    """Of one decision."""

    seq: int
    decided: Decided
    at: float
    """Wall seconds."""
    outcomes: Outcomes
    """All that had been observed by then."""
    failed: Mapping[str, int]
    """How often each action had been tried in vain in its incident."""
    first: bool = False
    """It was the first decision of its incident."""

    @property
    def bin(self) -> Bin:
        """Of the belief's own number, as of then."""
        return self.outcomes.aged(self.at).bin(self.decided.model)

    @property
    def turns(self) -> tuple[Turn, ...]:
        """The smallest changes under which another action would have won; computed, which takes some milliseconds."""
        actions = {self.decided.action, *(other.action for other in self.decided.rejected)}
        question = question_of(self.decided, self.failed, down="restart" in actions, first=self.first)
        return () if question is None else turns(question)


@frozen
class Grounds:
    """The last decision of each of the latest incidents, at most `keep` of them."""

    keep: int = 1000
    outcomes: Outcomes = Outcomes()
    last: Mapping[str, Ground] = field(factory=dict[str, Ground])
    """By incident."""
    failed: Mapping[str, Mapping[str, int]] = field(factory=dict[str, Mapping[str, int]])


def fold(grounds: Grounds, records: Iterable[Committed]) -> Grounds:
    """`grounds` with further events; all of a journal's, for a number rests on what happened anywhere."""
    outcomes, last, failed = grounds.outcomes, dict(grounds.last), dict(grounds.failed)
    for record in records:
        event = record.event
        if isinstance(event, Decided):
            first = last.pop(event.incident, None) is None
            tried = failed.get(event.incident, {})
            last[event.incident] = Ground(record.seq, event, record.at, outcomes, tried, first)
        elif isinstance(event, OutcomeObserved):
            outcomes = learn(outcomes, event, record.at)
            if event.outcome == "failed":
                tried = failed.get(event.incident, {})
                failed[event.incident] = {**tried, event.action: tried.get(event.action, 0) + 1}
        while len(last) > grounds.keep:
            gone = next(iter(last))
            del last[gone]
            failed.pop(gone, None)
    return evolve(grounds, outcomes=outcomes, last=last, failed=failed)


def ground_lines(ground: Ground) -> list[tuple[str, str]]:
    """What there is to say of it, as labels and texts."""
    found = ground.bin
    between = f"of numbers from {found.low:.2f} to {found.high:.2f} before calibration"
    count = f"{found.cases:.3g}"
    counted = f"{count} {'case' if count == '1' else 'cases'}, {found.rate:.2f} of them fixed"
    cases = counted if found.cases >= 0.5 else "no case observed"
    said = [("bin", f"{between}: {cases}")]
    labels = ("otherwise", "", "")
    return said + [(label, _turn(turn)) for label, turn in zip(labels, ground.turns, strict=False)]


def as_data(ground: Ground) -> dict[str, Any]:
    """For JSON."""
    found = ground.bin
    return {
        "seq": ground.seq,
        "bin": {"low": found.low, "high": found.high, "cases": found.cases, "rate": found.rate},
        "would_change": [
            {"kind": turn.kind, "name": turn.name, "was": turn.was, "now": turn.now, "action": turn.action}
            for turn in ground.turns
        ],
    }


def _turn(turn: Turn) -> str:
    match turn.kind:
        case "symptom":
            return f"{turn.name} {'not there' if turn.was else 'there too'} -> {turn.action}"
        case "cost":
            return f"{turn.name} costing {turn.now:.3g} s and not {turn.was:.3g} s -> {turn.action}"
        case _:
            return f"{turn.name} {turn.now:.2f} and not {turn.was:.2f} -> {turn.action}"
