"""`treewarden why`: what was decided about a slot, on what grounds, and what came of it."""

from __future__ import annotations

from argparse import Namespace
from typing import Any, Final

from attrs import asdict, evolve

from treewarden.agents.core.path import ROOT, Path
from treewarden.supervisor.core.event import TreeClosed, TreeOpened
from treewarden.supervisor.journal.port import Record
from treewarden.supervisor.journal.reading import JournalFile
from treewarden.supervisor.ops.event_text import path_of
from treewarden.supervisor.ops.telling import story_lines
from treewarden.supervisor.ops.wording import plural
from treewarden.supervisor.views import grounds, incidents, tree_status
from treewarden.supervisor.views.grounds import Ground, Grounds
from treewarden.supervisor.views.incidents import Incidents, Story
from treewarden.supervisor.views.pruned import pruned_of

from .exits import ExitCode
from .files import batches, pruned_line, unknown_slot
from .stdout import Stdout

__all__ = ["why"]

_KEPT: Final = 1000
"""Incidents that are held while the file is read: one that is still open needs its beginning."""


def why(arguments: Namespace) -> int:
    """Print the incidents of a slot, or of all below a supervisor, the newest last. Reads only.

    Raises `ConfigurationError` for a path that the journal does not know.
    """
    out = Stdout.here()
    told, known = Incidents(keep=max(_KEPT, arguments.last)), {ROOT}
    rests = Grounds(keep=max(_KEPT, arguments.last))
    with JournalFile.open(arguments.file) as journal:
        gone, lives = pruned_line(journal), journal.describe_holder().startswith("owned by")
        pruned = pruned_of(journal.cut())
        known.update(pruned.status.slots)
        rests = evolve(rests, outcomes=pruned.outcomes)
        for records in batches(journal, kinds=incidents.READS | tree_status.READS):
            known.update(path_of(record.event) for record in records)
            told = incidents.fold(told, [record for record in records if _concerns(record, arguments.path)])
            rests = grounds.fold(rests, records)
    if not any(path.is_within(arguments.path) for path in known):
        raise unknown_slot(arguments.file, arguments.path, known)
    stories = list(told.stories.values())[-arguments.last :]
    if not lives:  # nobody will see what comes of it
        stories = [evolve(story, cut=story.cut or story.open) for story in stories]
    earlier = told.forgotten + len(told.stories) - len(stories)
    if arguments.json:
        objects = [_object(story, rests.last.get(story.id)) for story in stories]
        out.json({"file": arguments.file, "path": arguments.path, "earlier": earlier,
                  "pruned": bool(gone), "incidents": objects})  # fmt: skip
        return ExitCode.ORDERLY
    out.lines([*gone, ""] if gone else [])
    if earlier:
        out.lines([f"({plural(earlier, 'earlier incident')} not shown; --last shows more)", ""])
    for position, story in enumerate(stories):
        out.lines([*([""] if position else []), *story_lines(story, out.width, out.paint, rests.last.get(story.id))])
    if not stories:
        out.lines([f"{arguments.path}: no incidents"])
    return ExitCode.ORDERLY


def _concerns(record: Record, path: Path) -> bool:
    """Whether an event is about the path or what is below it; that of the whole tree is about everybody."""
    return isinstance(record.event, (TreeOpened, TreeClosed)) or path_of(record.event).is_within(path)


def _object(story: Story, ground: Ground | None) -> dict[str, Any]:
    lines = [
        {"seq": line.seq, "at": line.at, "kind": type(line.event).__name__, "data": asdict(line.event)}
        for line in story.lines
    ]
    found = None if ground is None else grounds.as_data(ground)
    said = asdict(story, recurse=False, filter=lambda attribute, _: attribute.name not in ("told", "untold"))
    return {**said, "open": story.open, "lines": lines, "rests_on": found}
