"""What a process has to know of slots that were moved: what happened to them stands at the path before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from attrs import evolve

from treewarden.agents.core.path import ROOT, Path
from treewarden.agents.core.values import frozen

from .core.event import RolledBack, SlotMoved
from .core.moves import carried, move_of, rebased

if TYPE_CHECKING:
    from .common import Common
    from .core.event import EventsPruned
    from .core.lineage import Past
    from .journal.port import Journal, Record, Seq

__all__ = ["Stay", "carry_pasts", "heed", "past_told", "stays_of", "went_back_in"]


@frozen
class Stay:
    """Events of a slot stand at `path` from behind `after` up to `through`."""

    path: Path
    after: Seq
    through: Seq


def heed(common: Common, record: Record, left_by: dict[Path, str]) -> None:
    """Know by its new path what the events before have told of a slot, and under which code it was taken back."""
    move = move_of(record.seq, record.event)
    if move is None:
        return
    common.went_back = carried(common.went_back, move)
    common.diagnoses = carried(common.diagnoses, move)
    kept = carried(left_by, move)
    left_by.clear()
    left_by.update(kept)


async def carry_pasts(common: Common, through: Seq) -> None:
    """Know by its path of today what the record of a cut up to `through` tells of a slot. Looks through the events
    since of those slots, and of the supervisors above them, alone."""
    pasts: dict[str, Past] = {}
    went_back: dict[Path, list[tuple[Seq, RolledBack]]] = {}
    for slot, past in common.pasts.items():
        path = await _place_after(common.journal, Path(slot), through, common.journal.head)
        if path is not None:
            pasts[str(path)] = past
    for slot, told in common.went_back.items():
        path = await _place_after(common.journal, slot, through, common.read_from)  # `heed` is told of later moves
        if path is not None:
            went_back[path] = told
    common.pasts, common.went_back = pasts, went_back


async def _place_after(journal: Journal, path: Path, since: Seq, through: Seq) -> Path | None:
    """Where that is at event `through` which was at `path` at event `since`; None if somebody else has come there."""
    while True:
        first: Record | None = None
        for place in _way_to(path):
            for record in await journal.read_all(since, through, place, SlotMoved.__name__):
                first = record if first is None or record.seq < first.seq else first
        if first is None:
            return path
        event = first.event
        if not isinstance(event, SlotMoved) or event.path == event.new:
            return None
        path, since = rebased(path, event.old, event.new), first.seq


async def stays_of(journal: Journal, path: Path, oldest: Seq) -> Sequence[Stay]:
    """Where the events after `oldest` of the slot stand that is at `path` now, the newest first."""
    through, stays = journal.head, list[Stay]()
    while True:
        last: Record | None = None
        for place in _way_to(path):
            for record in await journal.read_all(oldest, through, place, SlotMoved.__name__):
                last = record if last is None or record.seq > last.seq else last
        stays.append(Stay(path, oldest if last is None else last.seq, through))
        move = None if last is None else move_of(last.seq, last.event)
        if move is None:  # it was there all the time, or began there after another one had left
            return stays
        path, through = rebased(path, move.new, move.old), move.seq - 1


async def went_back_in(journal: Journal, stays: Sequence[Stay], through: Seq) -> dict[Seq, RolledBack]:
    """What a slot has gone back to up to `through`, by its place in the journal, told of its path of today."""
    found: dict[Seq, RolledBack] = {}
    for stay in stays:
        for record in await journal.read_all(stay.after, min(stay.through, through), stay.path, RolledBack.__name__):
            if isinstance(record.event, RolledBack):
                found[record.seq] = evolve(record.event, path=stays[0].path)
    return found


def past_told(cut: EventsPruned, stays: Sequence[Stay]) -> Past | None:
    """What the record of a cut tells of the slot, which it has under the path of then."""
    from .views.pruned import pruned_of

    then = next((each.path for each in stays if each.after <= cut.through), stays[-1].path)
    return pruned_of(cut).pasts.get(str(then))


def _way_to(path: Path) -> list[Path]:
    """`path`, and all above it but the root."""
    way: list[Path] = []
    while path != ROOT:
        way.append(path)
        path = path.parent
    return way
