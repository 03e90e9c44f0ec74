"""`treewarden tree`: the tree of a journal, of a live process or a dead one."""

from __future__ import annotations

import time
from argparse import Namespace
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import asdict, frozen

from treewarden.agents.core.path import ROOT, Path
from treewarden.agents.errors import ConfigurationError
from treewarden.supervisor.core.challenger import Challenger, teach_all
from treewarden.supervisor.core.explain import standing
from treewarden.supervisor.journal.port import Seq
from treewarden.supervisor.journal.reading import JournalFile
from treewarden.supervisor.open_waits import parked_in
from treewarden.supervisor.ops.status_rows import Kept, file_counts, file_table
from treewarden.supervisor.ops.wording import clean, local, plural
from treewarden.supervisor.views.tree_status import SlotView, TreeStatus

from .exits import ExitCode
from .exposition import exposition
from .files import status_of, unknown_slot
from .stdout import Stdout

__all__ = ["tree"]


@frozen
class _Found:
    """What a file says."""

    status: TreeStatus
    rows: Sequence[tuple[int, SlotView]]
    """The slots that were asked for, each with its depth in the tree."""
    kept: Mapping[Path, Kept]
    ownership: str
    owned: bool
    head: Seq
    at: float | None
    """Wall seconds of the last event."""
    challenger: Challenger


def tree(arguments: Namespace) -> int:
    """Print the tree, or a slot and what is below it, as of the last committed event. Reads only.

    Raises `ConfigurationError` for a path at which there is no slot.
    """
    out = Stdout.here()
    with JournalFile.open(arguments.file) as journal:
        found = _find(journal, arguments.file, arguments.path)
    if arguments.json:
        out.json(_object(arguments.file, found))
    elif arguments.prometheus:
        out.write(exposition(_object(arguments.file, found)))
    else:
        out.lines(_lines(arguments.file, found, out))
    return ExitCode.ORDERLY


def _find(journal: JournalFile, file: str, within: Path) -> _Found:
    status = status_of(journal)
    rows = tuple((depth, slot) for depth, slot in status.depth_first() if slot.path.is_within(within))
    if not rows and within != ROOT:
        if any(path.is_within(within) for path in journal.paths(answers=False)):
            raise ConfigurationError(
                f"{file}: {within} is in this tree no more; `treewarden why {file} {within}` tells what was decided"
            )
        raise unknown_slot(file, within, {ROOT, *status.slots})
    waiting = {each.path: each for each in journal.mailboxes()}
    parked = parked_in(journal.effects(), time.time()) if waiting else Counter[Path]()
    settled = journal.settled()
    kept = {
        path: Kept(
            settled=settled.get(path),
            mailbox=0 if (found := waiting.get(path)) is None else max(0, found.messages - parked[path] - found.events),
            parked=parked[path],
            events=0 if found is None else found.events,
            due=min((at for name, at in journal.timers(path).items() if name.isidentifier()), default=None),
        )
        for path in (slot.path for _, slot in rows)
    }
    ownership, head = journal.describe_holder(), journal.head.seq
    last = journal.records(head - 1, 1)
    taught = teach_all(Challenger(), [record.event for record in journal.labels()])
    at = last[0].at if last else None
    return _Found(status, rows, kept, ownership, ownership.startswith("owned by"), head, at, taught)


def _lines(file: str, found: _Found, out: Stdout) -> list[str]:
    status = found.status
    now = time.time() if found.owned or found.at is None else found.at
    lives = f"opened {plural(status.processes, 'time')}"
    if status.crashes:
        lives += f", {plural(status.crashes, 'time')} after a process that did not close it"
    as_of = f"as of event {found.head}" + (f", {local(found.at)}" if found.at is not None else "")
    heads = [
        out.paint(clean(f"{file}: {found.ownership}"), "strong"),
        clean(f"{as_of}; {lives}" + (f"; ended: {status.ending}" if status.closed_at is not None else "")),
    ]
    if status.chaos:
        heads.append(out.paint(clean(f"chaos: {status.chaos}"), "warn"))
    taught = found.challenger
    if taught.labels:
        heads.append(standing(taught.labels, taught.wager.value, decides=taught.decides))
    if not found.rows:
        return [*heads, "no tree has begun in it yet"]
    nobody, top = Kept(), found.rows[0][0]
    rows = [(depth - top, slot, found.kept.get(slot.path, nobody)) for depth, slot in found.rows]
    table = file_table(rows, now, owned=found.owned, width=out.width, paint=out.paint)
    return [*heads, "", *table, "", file_counts((slot for _, slot in found.rows), owned=found.owned)]


def _object(file: str, found: _Found) -> dict[str, Any]:
    status = found.status
    return {
        "file": file,
        "running": found.owned,
        "ownership": found.ownership,
        "head": found.head,
        "at": found.at,
        "epoch": status.epoch,
        "holder": status.holder,
        "processes": status.processes,
        "crashes": status.crashes,
        "opened_at": status.opened_at,
        "closed_at": status.closed_at,
        "ending": status.ending,
        "failed": status.failed,
        "chaos": status.chaos,
        "challenger": {
            "labels": found.challenger.labels,
            "scored": found.challenger.scored,
            "decides": found.challenger.decides,
            "switched": found.challenger.switched,
            "e_value": found.challenger.wager.value,
        },
        "slots": [
            {**asdict(slot, recurse=False), **asdict(found.kept.get(slot.path, Kept())), "depth": depth}
            for depth, slot in found.rows
        ],
    }
