"""Incidents as they are told afterwards: what was noticed, what was decided on it, and what came of that."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from attrs import evolve, field

from treewarden.agents.core.path import Path
from treewarden.agents.core.values import frozen

from ..core.event import (
    ActionPerformed,
    DeadLettered,
    Decided,
    DependencyChanged,
    FaultInjected,
    IncidentClosed,
    IncidentLabelled,
    IncidentOpened,
    IntakeChanged,
    OutcomeObserved,
    RolledBack,
    SignalNoted,
    SupervisorEnded,
    TreeClosed,
    TreeOpened,
    TreeReloaded,
)
from .committed import Committed
from .repeats import StoryLine, Told, followed_by

__all__ = ["LINES", "READS", "RECENT", "Incidents", "Story", "StoryLine", "fold"]

READS: Final = frozenset(
    kind.__name__
    for kind in (
        ActionPerformed, DeadLettered, Decided, DependencyChanged, FaultInjected, IncidentClosed, IncidentLabelled,
        IncidentOpened, IntakeChanged, OutcomeObserved, RolledBack, SignalNoted, SupervisorEnded, TreeClosed,
        TreeOpened, TreeReloaded,
    )
)  # fmt: skip
"""The events that it is made of."""
LINES: Final = 200
"""Events of one incident that are kept unless more are asked for."""
_ADVISED: Final = "priority"
"""What an advisor says of its decisions, and nobody else."""
RECENT: Final = 60.0
"""Seconds within which an incident that follows an injected fault may come of it."""


@frozen(kw_only=True)
class Story:
    """One incident of one slot."""

    id: str
    path: Path
    kind: str
    text: str = ""
    opened_at: float
    lines: tuple[StoryLine, ...] = ()
    """Its latest events."""
    skipped: int = 0
    """How many there were before those."""
    told: tuple[Told, ...] = ()
    """The latest lines that it is told in: reports that were let live again and again are one."""
    untold: int = 0
    """How many there were before those."""
    closed_at: float | None = None
    outcome: str = ""
    cut: bool = False
    """The tree ended before the outcome was seen, or that part of it."""
    cut_with: Path | None = None
    """That part, if it was not the whole tree: its supervisor has ended, or a reload took it out."""
    label: IncidentLabelled | None = None
    """What somebody said its cause was; the last one who did."""

    @property
    def open(self) -> bool:
        return self.closed_at is None and not self.cut


@frozen(kw_only=True)
class Incidents:
    """The latest incidents, at most `keep` of them, in the order in which they began; open ones go last."""

    keep: int = 1000
    lines: int = LINES
    """How many events of each are kept, the latest ones."""
    stories: Mapping[str, Story] = field(factory=dict[str, Story])
    """By the id of the incident."""
    current: Mapping[Path, str] = field(factory=dict[Path, str])
    """The open incident of each slot that has one."""
    forgotten: int = 0
    said: Mapping[Path, StoryLine] = field(factory=dict[Path, StoryLine])
    """The last signal of each slot."""
    injected: Mapping[Path, StoryLine] = field(factory=dict[Path, StoryLine])
    """The last fault that was injected into each slot without an incident: the next one may come of it."""


def fold(incidents: Incidents, records: Iterable[Committed]) -> Incidents:
    """`incidents` with further events. Folding in two parts gives the same as folding at once."""
    stories, current, injected = dict(incidents.stories), dict(incidents.current), dict(incidents.injected)
    forgotten, said = incidents.forgotten, dict(incidents.said)
    fresh: dict[str, list[StoryLine]] = {}
    for record in records:
        match record.event:
            case TreeOpened() | TreeClosed():
                for id in current.values():
                    stories[id] = evolve(stories[id], cut=True)
                current.clear()
                injected.clear()
            case SupervisorEnded(path=above):
                _cut(stories, current, above, [path for path in current if path != above and path.is_within(above)])
            case TreeReloaded(removed=removed):
                for gone in removed:
                    _cut(stories, current, gone, [path for path in current if path.is_within(gone)])
            case IncidentOpened(path=path, incident=id, kind=kind, text=text):
                fault = injected.pop(path, None)
                lines = (fault,) if fault is not None and record.at - fault.at <= RECENT else ()
                story = Story(id=id, path=path, kind=kind, text=text, opened_at=record.at, lines=lines, told=lines)
                stories[id] = story
                current[path] = id
                fresh.pop(id, None)
            case FaultInjected(path=path) as event if path not in current:
                injected[path] = StoryLine(record.seq, record.at, event)
            case Decided(path=path, incident=id) | OutcomeObserved(path=path, incident=id) if id:
                if id not in stories:  # an advisor's, or its beginning was not among the events
                    stories[id] = _begun(id, path, record, said.pop(path, None))
                    current[path] = id
                stories[id] = _with(stories[id], record, fresh, incidents.lines)
            case (
                SignalNoted(path=path)
                | DeadLettered(path=path)
                | RolledBack(path=path)
                | FaultInjected(path=path)
                | ActionPerformed(path=path)
                | IntakeChanged(path=path)
                | DependencyChanged(path=path)
            ):
                if isinstance(record.event, SignalNoted):
                    said[path] = StoryLine(record.seq, record.at, record.event)
                if path in current and not _is_advice(stories[current[path]], fresh):
                    stories[current[path]] = _with(stories[current[path]], record, fresh, incidents.lines)
            case IncidentClosed(path=path, incident=id, outcome=outcome):
                if id in stories:
                    stories[id] = evolve(stories[id], closed_at=record.at, outcome=outcome)
                if current.get(path) == id:
                    del current[path]
            case IncidentLabelled(incident=id) as label if id in stories:
                stories[id] = evolve(stories[id], label=label)
            case _:
                pass
        while len(stories) > incidents.keep:
            oldest = stories.pop(next((id for id, story in stories.items() if not story.open), next(iter(stories))))
            for path in [path for path, id in current.items() if id == oldest.id]:  # a file may say so of several
                del current[path]
            fresh.pop(oldest.id, None)
            forgotten += 1
    for id, lines in fresh.items():
        stories[id] = _longer(stories[id], lines, incidents.lines)
    return evolve(incidents, stories=stories, current=current, forgotten=forgotten, injected=injected, said=said)


def _cut(stories: dict[str, Story], current: dict[Path, str], with_: Path, paths: Sequence[Path]) -> None:
    for path in paths:
        id = current.pop(path)
        stories[id] = evolve(stories[id], cut=True, cut_with=with_)


def _begun(id: str, path: Path, record: Committed, said: StoryLine | None) -> Story:
    """One that begins with its decision: with what was noted right before that, in the same commit."""
    lines = (said,) if said is not None and said.seq == record.seq - 1 else ()
    return Story(id=id, path=path, kind="", opened_at=record.at, lines=lines, told=lines)


def _is_advice(story: Story, fresh: Mapping[str, Sequence[StoryLine]]) -> bool:
    """Whether it is one of an advisor's, which ends with its outcome and which nothing joins."""
    return not story.kind and any(
        isinstance(line.event, Decided) and _ADVISED in line.event.details
        for line in (*story.lines, *fresh.get(story.id, ()))
    )


def _with(story: Story, record: Committed, fresh: dict[str, list[StoryLine]], most: int) -> Story:
    """The story with one more event; that waits in `fresh`, so that a long one is not copied for each."""
    line = StoryLine(record.seq, record.at, record.event)
    fresh.setdefault(story.id, []).append(line)
    told = followed_by(story.told, line)
    over = len(told) > most
    return evolve(story, told=told[over:], untold=story.untold + over)


def _longer(story: Story, fresh: Sequence[StoryLine], most: int) -> Story:
    lines = (*story.lines, *fresh)
    more = max(0, len(lines) - most)
    return evolve(story, lines=lines[more:], skipped=story.skipped + more)
