"""What a run came to, in numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from attrs import evolve, field, frozen

from treewarden.agents.core.path import Path

from ..core.event import (
    CheckpointKept,
    ChildEnded,
    ChildStarted,
    ChildStartFailed,
    DeadLettered,
    Decided,
    IncidentClosed,
    IncidentOpened,
    JournalFailed,
    MessageReturned,
    OutcomeObserved,
    Recorded,
    RolledBack,
    SupervisorEnded,
    SupervisorStarted,
    TreeClosed,
    TreeOpened,
    TreeReloaded,
)
from .committed import Committed

__all__ = ["Summary", "fold"]


@frozen(kw_only=True)
class Summary:
    """Counts over events. Lives and restarts are those of agents; a supervisor's start is none of them."""

    events: int = 0
    since: float | None = None
    """Wall seconds of the first event."""
    until: float | None = None
    """Wall seconds of the last event."""
    lives: int = 0
    restarts: int = 0
    """Lives that followed another one of the same slot in the same process."""
    failures: int = 0
    """Lives that ended by an exception, or did not begin."""
    gave_up: int = 0
    """Supervisors that ended because their children failed too often."""
    incidents: Mapping[str, int] = field(factory=dict[str, int])
    """Incidents that were opened, by slot."""
    closed: Mapping[str, int] = field(factory=dict[str, int])
    """Incidents that are over, by how they ended."""
    decisions: Mapping[str, int] = field(factory=dict[str, int])
    """Decisions by action."""
    outcomes: Mapping[str, int] = field(factory=dict[str, int])
    """What became of decisions."""
    dead: Mapping[str, int] = field(factory=dict[str, int])
    """Messages given up, by slot."""
    returned: int = 0
    rolled_back: int = 0
    checkpoints: int = 0
    recorded: Mapping[str, int] = field(factory=dict[str, int])
    """The user's own facts, by kind."""
    reloads: int = 0
    journal_failures: int = 0
    ending: str = ""
    failed: bool = False
    alive: frozenset[Path] = frozenset()
    """Slots that have had a life in the current process."""
    supervisors: frozenset[Path] = frozenset()

    @property
    def seconds(self) -> float:
        return 0.0 if self.since is None or self.until is None else max(0.0, self.until - self.since)

    @property
    def dead_letters(self) -> int:
        return sum(self.dead.values())


def fold(summary: Summary, records: Iterable[Committed]) -> Summary:
    """`summary` with further events. Folding in two parts gives the same as folding at once."""
    counts = {
        name: getattr(summary, name)
        for name in (
            "events", "lives", "restarts", "failures", "gave_up", "returned", "rolled_back",
            "checkpoints", "reloads", "journal_failures",
        )
    }  # fmt: skip
    tallies = {
        name: dict(getattr(summary, name))
        for name in ("incidents", "closed", "decisions", "outcomes", "dead", "recorded")
    }
    since, until, ending, failed = summary.since, summary.until, summary.ending, summary.failed
    alive, supervisors = set(summary.alive), set(summary.supervisors)

    def one(tally: str, key: str) -> None:
        tallies[tally][key] = tallies[tally].get(key, 0) + 1

    for record in records:
        counts["events"] += 1
        since, until = record.at if since is None else since, record.at
        match record.event:
            case TreeOpened():
                alive.clear()
                ending, failed = "", False
            case TreeClosed(reason=reason, failed=gave_up):
                ending, failed = reason, gave_up
            case TreeReloaded():
                counts["reloads"] += 1
            case SupervisorStarted(path=path):
                supervisors.add(path)
            case ChildStarted(path=path) | ChildEnded(path=path) | ChildStartFailed(path=path) if path in supervisors:
                pass
            case ChildStarted(path=path):
                counts["lives"] += 1
                counts["restarts"] += path in alive
                alive.add(path)
            case ChildEnded(failure=failure):
                counts["failures"] += failure is not None
            case ChildStartFailed():
                counts["failures"] += 1
            case SupervisorEnded(reason=reason):
                counts["gave_up"] += "intensity" in reason
            case IncidentOpened(path=path):
                one("incidents", path)
            case IncidentClosed(outcome=outcome):
                one("closed", outcome)
            case Decided(action=action):
                one("decisions", action)
            case OutcomeObserved(outcome=outcome):
                one("outcomes", outcome)
            case DeadLettered(path=path):
                one("dead", path)
            case MessageReturned():
                counts["returned"] += 1
            case RolledBack():
                counts["rolled_back"] += 1
            case CheckpointKept():
                counts["checkpoints"] += 1
            case Recorded(kind=kind):
                one("recorded", kind)
            case JournalFailed():
                counts["journal_failures"] += 1
            case _:
                pass
    return evolve(
        summary,
        **counts,
        **tallies,
        since=since,
        until=until,
        ending=ending,
        failed=failed,
        alive=frozenset(alive),
        supervisors=frozenset(supervisors),
    )
