"""What an earlier process has left open about a slot: a question to a person, a rollback that was decided."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from treewarden.agents.core.exit import Failure
from treewarden.agents.core.path import Path
from treewarden.agents.errors import TreewardenError

from .child import BY_HAND, BY_HAND_DOWN, NOTHING, Child
from .common import Common
from .core.event import ChildStarted, Decided, IncidentClosed, QuestionAnswered, QuestionAsked, RolledBack
from .core.exits import cannot_read
from .core.measures import gauge_of
from .core.signal import OperatorAsked, RestartFailed, Signal, Unanswered
from .core.spec import ChildSpec
from .core.symptom import label_of
from .recovery import needs_restoring, restore_slot
from .settling import SlotStore

if TYPE_CHECKING:
    from .journal.port import Record

__all__ = ["answered", "asked", "fill_held", "rollback_left", "take_up"]

_REPORTED: Final = "reported:"
_KINDS: Final = frozenset({"ChildStarted", "Decided", "IncidentClosed", "RolledBack"})
_LOOKED_AT: Final = 100_000
"""Events at the end of the journal among which a rollback is looked for that was decided and not done."""


def asked(child: Child, signal: Signal, question: str, incident: str, common: Common) -> QuestionAsked | None:
    """The fact that a person is asked, for the journal. None where the next process finds out by itself that it has to
    ask: nobody starts on what cannot be read."""
    if isinstance(signal, RestartFailed) and cannot_read(signal.failure):
        return None
    since, over = common.clock.wall(), NOTHING
    if isinstance(signal, Unanswered):
        since, over = signal.since, frozenset(signal.over if child.question is None else child.question.over)
    elif isinstance(signal, OperatorAsked) and isinstance(child.spec, ChildSpec):
        over = {BY_HAND}
    elif isinstance(signal, OperatorAsked) and child.current is None:
        over = {BY_HAND_DOWN}
    elif child.current is not None:
        over = child.held_over | {label_of(signal)}
    child.question = QuestionAsked(
        slot=child.path, question=question, incident=incident, since=since, over=tuple(sorted(over))
    )
    return child.question


def answered(child: Child, how: str, common: Common) -> None:
    """Nothing is asked about this child any more."""
    if child.question is not None:
        child.question = None
        common.note(QuestionAnswered(slot=child.path, how=how))


def take_up(child: Child, question: QuestionAsked, common: Common) -> Unanswered:
    """What is to be told of a question from an earlier process, or an earlier life of its supervisor. One who lives is
    held from the beginning, and what was reported about it stands until it is said to be over."""
    over = tuple(each for each in question.over if each != BY_HAND_DOWN)
    child.question = question
    child.note = f"held: {question.question}"
    child.overloaded = "overloaded" in question.over
    if isinstance(child.spec, ChildSpec):
        over = tuple(each for each in over if each != BY_HAND)
        measured = NOTHING.union(*[gauge_of(limit, child.path).kinds for limit in child.spec.limits])
        child.exceeded = measured & {label.removeprefix(_REPORTED) for label in question.over}
    return Unanswered(
        path=child.path,
        at=common.clock.now(),
        question=question.question,
        since=question.since,
        ago=max(0.0, common.clock.wall() - question.since),
        over=over,
    )


async def fill_held(child: Child, common: Common) -> None:
    """Put what waits on disk for a child that is not started into its mailbox: it has room for so many less. Of what
    cannot be read nothing is put there, and whoever lets it go on hears of that."""
    slot = child.slot
    if slot is not None and needs_restoring(slot, common):
        with suppress(Exception):  # also of an upcast of the user's
            await restore_slot(slot, common, began=False)


async def rollback_left(child: Child, failure: Failure, common: Common) -> RestartFailed | None:
    """That this child did not start, if an earlier process had decided to take its state back, and died before."""
    slot = child.slot
    if slot is None or not isinstance(slot.store, SlotStore) or cannot_read(failure):
        return None
    journal = common.journal
    cursor, decided, before = max(0, journal.head - _LOOKED_AT), None, None
    try:
        while records := await journal.read(cursor, kinds=_KINDS):
            cursor = records[-1].seq
            for record in records:
                decided, before = _followed(child.path, record, decided, before)
    except TreewardenError:  # there is something that cannot be read: then nobody knows
        return None
    if decided is None:
        return None
    steps = decided.details.get("steps")
    steps = steps if isinstance(steps, int) and steps > 0 else 1
    if before is not None and before.checkpoint is not None:  # further back than that one, whatever came after it
        kept = await journal.checkpoint(before.checkpoint)
        child.bad_from, steps = (None if kept is None else (kept.about.settled, journal.head)), 1
    elif before is not None:
        child.bad_from = 0, journal.head
    return RestartFailed(path=child.path, at=common.clock.now(), failure=failure, undone=steps)


def _followed(
    path: Path, record: Record, decided: Decided | None, before: RolledBack | None
) -> tuple[Decided | None, RolledBack | None]:
    """The rollback that is decided and not done after this event, and the one before it in the same incident."""
    match record.event:
        case Decided(path=subject, action="roll_back", incident=incident) as event if subject == path:
            same = before is not None and before.diagnosis is not None and before.diagnosis.incident == incident
            return event, before if same else None
        case RolledBack(path=subject) as event if subject == path:
            return None, event
        case Decided(path=subject) | ChildStarted(path=subject) | IncidentClosed(path=subject) if subject == path:
            return None, before
        case _:
            return decided, before
