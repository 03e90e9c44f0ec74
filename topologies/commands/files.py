"""What the command reads of a journal's file."""

from __future__ import annotations

import difflib
import os
from collections.abc import Collection, Iterator, Sequence

from treewarden.agents.core.path import ROOT, Path
from treewarden.agents.errors import ConfigurationError
from treewarden.supervisor.journal.port import START, Record, Seq
from treewarden.supervisor.journal.reading import JournalFile
from treewarden.supervisor.ops.event_text import path_of
from treewarden.supervisor.ops.wording import local
from treewarden.supervisor.views.pruned import pruned_of
from treewarden.supervisor.views.tree_status import READS, TreeStatus, fold

__all__ = [
    "alone_in",
    "batches",
    "first_since",
    "head_of",
    "pruned_line",
    "refuse_unknown",
    "status_of",
    "unknown_slot",
    "within",
]

_BATCH = 1000


def head_of(file: str | os.PathLike[str]) -> Seq:
    """The last event of a file; 0 if there is none. A file that is none of ours is left to who wants to own it."""
    if not os.path.isfile(file) or os.path.getsize(file) == 0:  # `Path` raises for some names
        return START
    with JournalFile.open(file) as journal:
        return journal.head.seq


def batches(
    journal: JournalFile, after: Seq = START, kinds: Collection[str] | None = None, within: Path | None = None
) -> Iterator[Sequence[Record]]:
    """All events after `after`, in parts; of a slot and what is below it only, and of some kinds, if asked for."""
    path = None if within is None else alone_in(journal, within)
    while records := journal.records(after, _BATCH, path=path, kinds=kinds, within=within):
        yield records
        after = records[-1].seq


def alone_in(journal: JournalFile, within: Path) -> Path | None:
    """The only slot at or below a path that events are about, if it is one: of that there is an index."""
    below = [] if within == ROOT else [each for each in journal.paths() if each.is_within(within)]
    return below[0] if len(below) == 1 else None


def within(records: Sequence[Record], path: Path | None) -> Sequence[Record]:
    """Those about a slot or what is below it."""
    return records if path is None else [record for record in records if path_of(record.event).is_within(path)]


def refuse_unknown(journal: JournalFile, file: str, path: Path) -> None:
    """Raises `ConfigurationError` for a path at which no slot ever was."""
    known = {ROOT, *journal.paths(answers=False), *journal.settled(), *pruned_of(journal.cut()).status.slots}
    if any(each.is_within(path) for each in known):
        return
    known |= status_of(journal).slots.keys()  # of what was moved there nothing may have been told yet
    if not any(each.is_within(path) for each in known):
        raise unknown_slot(file, path, known)


def unknown_slot(file: str, path: Path, known: Collection[Path]) -> ConfigurationError:
    """What is said of a slot that no event is about."""
    folded = {str(each).casefold(): each for each in known}
    found = difflib.get_close_matches(str(path).casefold(), folded, n=5, cutoff=0.6)
    near = [folded[each] for each in found]
    near += sorted(each for each in known if each.name == path.name and each not in near)[:5]
    listed = f"did you mean {' or '.join(near)}?" if near else f"`treewarden tree {file}` shows all slots"
    return ConfigurationError(f"{file}: no slot {path} was ever in this tree; {listed}")


def first_since(journal: JournalFile, at: float) -> Seq:
    """The number of the last event before `at` (wall seconds), by halving: clocks go forward, nearly always."""
    low, high = START, journal.head.seq
    while low < high:
        middle = (low + high) // 2
        found = journal.records(middle, 1)
        if found and found[0].at < at:
            low = found[0].seq
        else:
            high = middle
    return low


def pruned_line(journal: JournalFile) -> list[str]:
    """That events are gone, and how far, in a line; none if all are there."""
    cut = journal.cut()
    if cut is None or not cut.through:
        return []
    return [f"(events up to {cut.through}, until {local(cut.until)}, were pruned: what they told is not here)"]


def status_of(journal: JournalFile) -> TreeStatus:
    """The tree as of the last committed event. What agents recorded says nothing about it and is not read."""
    cut = journal.cut()
    status = pruned_of(cut).status
    for records in batches(journal, START if cut is None else cut.through, kinds=READS):
        status = fold(status, records)
    return status
