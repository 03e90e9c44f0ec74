"""`treewarden label`: what an incident's cause was, for those who learn from it; of a live tree or a dead one."""

from __future__ import annotations

import difflib
import secrets
import time
from argparse import Namespace
from collections.abc import Mapping, Sequence
from typing import Any, Final

import trio

from treewarden.agents.core.exit import alone
from treewarden.agents.core.path import ROOT
from treewarden.agents.errors import ConfigurationError
from treewarden.supervisor.common import LoopClock
from treewarden.supervisor.core.command import Command
from treewarden.supervisor.core.event import Decided, IncidentLabelled, OutcomeObserved
from treewarden.supervisor.journal.port import Commit
from treewarden.supervisor.journal.reading import JournalFile
from treewarden.supervisor.journal.sending import Outcome, send
from treewarden.supervisor.ops.wording import clean, clip, columns, local, plural
from treewarden.supervisor.views import incidents
from treewarden.supervisor.views.incidents import Incidents, Story
from treewarden.supervisor.views.labels import label_of_story, problem, unlabelled

from ..labelling import as_data, read_lines, said_of
from ..open import journal_in
from .commanding import user
from .exits import ExitCode
from .files import batches
from .stdout import Stdout

__all__ = ["label"]

_KEPT: Final = 10_000
"""The newest incidents, which can be labelled."""


def label(arguments: Namespace) -> int:
    """Write what the cause was of one incident, or of all in a file of chaos runs; without either list the incidents
    that nobody has labelled.

    A running tree is asked to write it, a journal that nobody owns is written here. Raises `ConfigurationError` for an
    incident or a cause that there is not.
    """
    out = Stdout.here()
    with JournalFile.open(arguments.file) as journal:
        told = _told(journal)
        owned = journal.describe_holder().startswith("owned by")
    if arguments.lines is not None:
        if arguments.incident is not None:
            raise ConfigurationError("give an incident with its cause, or --from with a file of labels, not both")
        labels = read_lines(arguments.lines)
        if not labels:
            raise ConfigurationError(f"{arguments.lines} holds no label with a cause")
    elif arguments.incident is None:
        _list(arguments, unlabelled(told), out)
        return ExitCode.ORDERLY
    else:
        labels = (_chosen(arguments, told),)
    outcome = trio.run(_asked if owned else _written, arguments, labels)
    if arguments.json:
        listed = [as_data(each) for each in labels]
        out.json({"file": arguments.file, "state": outcome.state, "text": outcome.text, "labels": listed})
    else:
        out.lines([out.paint(clean(f"{outcome.state}: {outcome.text}"), "good" if _done(outcome) else "bad")])
    return ExitCode.ORDERLY if _done(outcome) else ExitCode.NOT_DONE


def _done(outcome: Outcome) -> bool:
    return outcome.state == "applied"


def _told(journal: JournalFile) -> Incidents:
    told = Incidents(keep=_KEPT)
    for records in batches(journal, kinds=incidents.READS):
        told = incidents.fold(told, records)
    return told


def _chosen(arguments: Namespace, told: Incidents) -> IncidentLabelled:
    story = told.stories.get(arguments.incident)
    if story is None:
        near = difflib.get_close_matches(str(arguments.incident), told.stories, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"`treewarden label {arguments.file}` lists them"
        raise ConfigurationError(f"{arguments.file}: there was no incident {arguments.incident!r}; {hint}")
    labelled = label_of_story(story, arguments.cause or "", arguments.by or user())
    wrong = problem(labelled)
    if arguments.cause is None:
        wrong = f"what was the cause of incident {story.id}? {wrong.partition('; ')[2]}"
    if wrong:
        raise ConfigurationError(wrong)
    if not labelled.symptoms:
        raise ConfigurationError(f"nothing was decided in incident {story.id}, so nothing is learned from it")
    return labelled


async def _asked(arguments: Namespace, labels: Sequence[IncidentLabelled]) -> Outcome:
    """By the owner of the file."""
    command = Command(
        what="label",
        path=ROOT,
        fields={"labels": [as_data(each) for each in labels]},
        by=arguments.by or user(),
        within=arguments.within,
    )
    return await send(arguments.file, command, secrets.token_hex(8), within=arguments.within + 1.0)


async def _written(arguments: Namespace, labels: Sequence[IncidentLabelled]) -> Outcome:
    """Into a file that nobody owns."""
    try:
        async with journal_in(arguments.file, LoopClock(time.time), visits=True) as journal:
            wall = time.time()
            await journal.commit(Commit(events=tuple((wall, each) for each in labels)))
    except BaseExceptionGroup as group:
        raise alone(group) from None
    return Outcome("", "applied", said_of(labels))


def _list(arguments: Namespace, stories: Sequence[Story], out: Stdout) -> None:
    if arguments.json:
        out.json({"file": arguments.file, "incidents": [_object(story) for story in stories]})
        return
    rows = [
        (story.id, str(story.path), local(story.opened_at), story.kind, _believed(story), _tried(story))
        for story in stories
    ]
    lines = [clip(clean(line), out.width) for line in columns(rows)]
    if lines:
        lines += ["", f"{plural(len(rows), 'incident')} without a label; treewarden label {arguments.file} "
                  f"{rows[-1][0]} CAUSE gives one"]  # fmt: skip
    out.lines(lines or ["every incident has its label"])


def _believed(story: Story) -> str:
    """What the last decision held for likely."""
    causes = _causes(story)
    cause = max(causes, key=lambda each: causes[each], default="")
    return f"{cause} {causes[cause]:.2f}?" if cause else ""


def _causes(story: Story) -> Mapping[str, float]:
    decisions = [line.event for line in story.lines if isinstance(line.event, Decided)]
    return decisions[-1].causes


def _tried(story: Story) -> str:
    outcomes = [line.event for line in story.lines if isinstance(line.event, OutcomeObserved)]
    return ", ".join(f"{each.action} {each.outcome}" for each in outcomes[-4:])


def _object(story: Story) -> dict[str, Any]:
    return {
        "incident": story.id,
        "path": story.path,
        "kind": story.kind,
        "text": story.text,
        "opened_at": story.opened_at,
        "open": story.open,
        "outcome": story.outcome,
        "causes": dict(_causes(story)),
    }
