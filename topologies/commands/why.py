"""`treewarden why`: what was decided about a slot, on what grounds, and what came of it."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Collection, Iterator
from heapq import merge
from itertools import chain, islice, takewhile
from operator import attrgetter
from typing import Any, Final

from attrs import asdict, evolve

from treewarden.agents.core.path import ROOT, Path
from treewarden.supervisor.core.event import (
    IncidentOpened,
    SlotMoved,
    SupervisorEnded,
    TreeClosed,
    TreeOpened,
    TreeReloaded,
)
from treewarden.supervisor.core.moves import Move, moves_of
from treewarden.supervisor.journal.port import START, Record, Seq
from treewarden.supervisor.journal.reading import JournalFile
from treewarden.supervisor.ops.event_text import path_of
from treewarden.supervisor.ops.telling import story_lines
from treewarden.supervisor.ops.wording import clean, plural
from treewarden.supervisor.views import grounds, incidents
from treewarden.supervisor.views.grounds import Ground, Grounds
from treewarden.supervisor.views.incidents import Incidents, Story
from treewarden.supervisor.views.pruned import pruned_of

from .exits import ExitCode
from .files import batches, first_since, pruned_line, refuse_unknown
from .stdout import Stdout

__all__ = ["why"]

_OF_ALL: Final = frozenset({"OutcomeObserved", "SupervisorEnded", "TreeClosed", "TreeOpened", "TreeReloaded"})
_BEGINNINGS: Final = frozenset({"IncidentOpened"})
_FAULTS: Final = frozenset({"FaultInjected"})
_AT_ONCE: Final = 1000
_FEWEST: Final = 10
"""Incidents that are read in any case."""
_KEPT: Final = 1000
"""Incidents that are held while the file is read: one that is still open needs its beginning."""


def why(arguments: Namespace) -> int:
    """Print the incidents of a slot, or of all below a supervisor, the newest last. Reads only.

    Raises `ConfigurationError` for a path that the journal does not know.
    """
    out = Stdout.here()
    told = Incidents(keep=max(_KEPT, arguments.last), lines=sys.maxsize if arguments.all else arguments.lines)
    rests = Grounds(keep=max(_KEPT, arguments.last))
    with JournalFile.open(arguments.file) as journal:
        gone, lives = pruned_line(journal), journal.describe_holder().startswith("owned by")
        pruned = pruned_of(journal.cut())
        refuse_unknown(journal, arguments.file, arguments.path)
        rests = evolve(rests, outcomes=pruned.outcomes)
        moves = [] if arguments.path == ROOT else _moves(journal, arguments.path)
        begin, older = _older(journal, arguments.path, max(_FEWEST, arguments.last))
        found = _records(journal, arguments.path, begin)
        is_tree = bool(pruned.status.processes)
        while records := list(islice(found, _AT_ONCE)):
            is_tree = is_tree or any(isinstance(record.event, TreeOpened) for record in records)
            told = incidents.fold(told, [record for record in records if _concerns(record, arguments.path, older)])
            rests = grounds.fold(rests, records)
    stories = list(told.stories.values())[-arguments.last :]
    if not lives and is_tree:  # nobody will see what comes of it; of an advice that may still be told
        stories = [evolve(story, cut=story.cut or story.open) for story in stories]
    earlier = len(older) + told.forgotten + len(told.stories) - len(stories)
    if arguments.json:
        objects = [_object(story, rests.last.get(story.id)) for story in stories]
        out.json({"file": arguments.file, "path": arguments.path, "earlier": earlier,
                  "pruned": bool(gone), "moved": [asdict(move) for move in moves], "incidents": objects})  # fmt: skip
        return ExitCode.ORDERLY
    out.lines([*gone, ""] if gone else [])
    if earlier:
        out.lines([f"({plural(earlier, 'earlier incident')} not shown; --last shows more)", ""])
    for position, story in enumerate(stories):
        out.lines([*([""] if position else []), *story_lines(story, out.width, out.paint, rests.last.get(story.id))])
    if not stories:
        out.lines([f"{arguments.path}: no incidents"])
    out.lines([_moved_line(move, arguments.file) for move in moves])
    return ExitCode.ORDERLY


def _older(journal: JournalFile, path: Path, last: int) -> tuple[Seq, frozenset[str]]:
    """After which event the last incidents of a slot and of what is below it began, and which ones before that."""
    opened = [
        record
        for records in batches(journal, kinds=_BEGINNINGS, within=None if path == ROOT else path)
        for record in records
    ]
    if len(opened) <= last:
        return START, frozenset()
    older = (record.event for record in opened[:-last])
    return opened[-last].seq - 1, frozenset(event.incident for event in older if isinstance(event, IncidentOpened))


def _moves(journal: JournalFile, path: Path) -> list[Move]:
    """By which what is told of a slot stands at two paths: that of a supervisor above it too."""
    kinds = {SlotMoved.__name__}
    found = moves_of((each.seq, each.event) for records in batches(journal, kinds=kinds) for each in records)
    return [each for each in found if path.is_within(each.old) or path.is_within(each.new)]


def _moved_line(move: Move, file: str) -> str:
    return clean(
        f"(event {move.seq} moved {move.old} to {move.new}: what was told before stands at {move.old}, as in "
        f"`treewarden why {file} {move.old}`)"
    )


def _records(journal: JournalFile, path: Path, begin: Seq) -> Iterator[Record]:
    """What is to be known about a slot and what is below it, in order, from an event on; of before that only faults
    that may have led to it, and of all others only what decisions came to."""
    whole, faults = None if path == ROOT else path, START
    if begin:
        faults = first_since(journal, journal.records(begin, 1)[0].at - incidents.RECENT)
    before = chain.from_iterable(batches(journal, faults, kinds=_FAULTS, within=whole))
    own = chain(
        takewhile(lambda record: record.seq <= begin, before),
        chain.from_iterable(batches(journal, begin, kinds=incidents.READS, within=whole)),
    )
    others = chain.from_iterable(batches(journal, kinds=_OF_ALL))
    last = START
    for record in merge(own, others, key=attrgetter("seq")):
        if record.seq != last:
            last = record.seq
            yield record


def _concerns(record: Record, path: Path, older: Collection[str]) -> bool:
    """Whether an event is about the path or what is below it, and not about an older incident; that of the whole tree,
    or of a part of it, is about everybody there."""
    event = record.event
    if isinstance(event, (TreeOpened, TreeClosed, TreeReloaded, SupervisorEnded)):
        return True
    return path_of(event).is_within(path) and getattr(event, "incident", "") not in older


def _object(story: Story, ground: Ground | None) -> dict[str, Any]:
    lines = [
        {"seq": line.seq, "at": line.at, "kind": type(line.event).__name__, "data": asdict(line.event)}
        for line in story.lines
    ]
    found = None if ground is None else grounds.as_data(ground)
    said = asdict(story, recurse=False, filter=lambda attribute, _: attribute.name not in ("told", "untold"))
    return {**said, "open": story.open, "lines": lines, "rests_on": found}
