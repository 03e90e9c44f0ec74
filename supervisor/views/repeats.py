"""An incident's lines as they are told: what was reported again, and let live again, is one line that counts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, TypeAlias

from attrs import evolve

from treewarden.agents.core.path import Path
from treewarden.agents.core.values import frozen

from ..core.event import Decided, Event, OutcomeObserved, SignalNoted

__all__ = ["Repeats", "StoryLine", "Told", "followed_by"]

_LET_LIVE: Final = "resume"


@frozen
class StoryLine:
    """One event of an incident."""

    seq: int
    at: float
    event: Event


@frozen(kw_only=True)
class Repeats:
    """Reports of one kind that came again, and that were answered as the first one was: it was let live."""

    seq: int
    """Of the last decision; of the last report, if nothing was decided."""
    path: Path
    kind: str
    count: int
    """How often it came again; the first one is not counted."""
    first: float
    """When it came again first, in wall seconds."""
    last: float
    mildest: float
    """Severities."""
    worst: float
    text: str
    """Of the last report."""
    decided: Decided | None
    """The last decision; None where reports joined an incident in which something else was under way."""
    stated: float
    """The confidence of the first decision."""


Told: TypeAlias = StoryLine | Repeats
_Key: TypeAlias = tuple[str, str, str]


def followed_by(told: Sequence[Told], line: StoryLine) -> tuple[Told, ...]:
    """`told` with one more event.

    A report that was let live again joins the line that counts, and so does the outcome of letting it live before; the
    first one, and whatever else was decided, stay as they are. A count ends with the first line of another sort, so
    what is told stays in order.
    """
    event = line.event
    if isinstance(event, Decided):
        return _let_live_again(told, line, event) or (*told, line)
    return (*_reported_again(told), line)


def _let_live_again(told: Sequence[Told], line: StoryLine, event: Decided) -> tuple[Told, ...]:
    """With a decision that repeats an earlier one; nothing if it does not."""
    noted = told[-1] if told else None
    if event.action != _LET_LIVE or not isinstance(noted, StoryLine) or not isinstance(noted.event, SignalNoted):
        return ()
    before = told[:-1]
    if before and _is_vain(before[-1]):
        before = before[:-1]
    key = (noted.event.kind, event.rule, event.policy)
    for place, found in _stretch(before):
        if isinstance(found, StoryLine):
            if isinstance(found.event, Decided) and _key_at(before, place) == key:
                return (*before, _begun(noted, noted.event, line, event))
        elif found.decided is not None and (found.kind, found.decided.rule, found.decided.policy) == key:
            return (*before[:place], _one_more(found, noted, noted.event, line, event), *before[place + 1 :])
    return ()


def _reported_again(told: Sequence[Told]) -> Sequence[Told]:
    """With a last report about which nothing was decided, if it repeats an earlier one, joined to that."""
    noted = told[-1] if told else None
    if not isinstance(noted, StoryLine) or not isinstance(noted.event, SignalNoted):
        return told
    before = told[:-1]
    for place, found in _stretch(before):
        if isinstance(found, StoryLine):
            if isinstance(found.event, SignalNoted) and found.event.kind == noted.event.kind:
                decided = before[place + 1] if place + 1 < len(before) else None
                if not isinstance(decided, StoryLine) or not isinstance(decided.event, Decided):
                    return (*before, _begun(noted, noted.event, noted, None))
        elif found.decided is None and found.kind == noted.event.kind:
            return (*before[:place], _one_more(found, noted, noted.event, noted, None), *before[place + 1 :])
    return told


def _stretch(told: Sequence[Told]) -> Iterator[tuple[int, Told]]:
    """The last lines in which nothing but reports came and were let live, the latest first, with their places."""
    for place in range(len(told) - 1, -1, -1):
        found = told[place]
        if isinstance(found, StoryLine) and not isinstance(found.event, SignalNoted):
            mild = isinstance(found.event, Decided) and found.event.action == _LET_LIVE
            if not mild and not _is_vain(found):
                return
        yield place, found


def _is_vain(line: Told) -> bool:
    """The outcome of letting something live that came again."""
    if not isinstance(line, StoryLine) or not isinstance(line.event, OutcomeObserved):
        return False
    return (line.event.action, line.event.outcome) == (_LET_LIVE, "failed")


def _key_at(told: Sequence[Told], place: int) -> _Key | None:
    """What the decision there answered, and how."""
    decided, noted = told[place], told[place - 1] if place else None
    assert isinstance(decided, StoryLine)
    assert isinstance(decided.event, Decided)
    if not isinstance(noted, StoryLine) or not isinstance(noted.event, SignalNoted):
        return None
    return (noted.event.kind, decided.event.rule, decided.event.policy)


def _begun(noted: StoryLine, signal: SignalNoted, last: StoryLine, decided: Decided | None) -> Repeats:
    return Repeats(
        seq=last.seq,
        path=signal.path,
        kind=signal.kind,
        count=1,
        first=noted.at,
        last=noted.at,
        mildest=signal.severity,
        worst=signal.severity,
        text=signal.text,
        decided=decided,
        stated=0.0 if decided is None else decided.confidence,
    )


def _one_more(
    known: Repeats, noted: StoryLine, signal: SignalNoted, last: StoryLine, decided: Decided | None
) -> Repeats:
    return evolve(
        known,
        seq=last.seq,
        count=known.count + 1,
        last=noted.at,
        mildest=min(known.mildest, signal.severity),
        worst=max(known.worst, signal.severity),
        text=signal.text,
        decided=decided,
    )
