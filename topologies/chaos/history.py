"""What the commits of a run said, over all of its processes: the material that promises are checked against."""

from __future__ import annotations

from attrs import define, field, frozen

from treewarden.agents.core.message import MessageId
from treewarden.agents.core.path import Path
from treewarden.supervisor.core.event import Event
from treewarden.supervisor.journal.port import Commit

__all__ = ["Accepted", "History"]


@frozen
class Accepted:
    """A message of a durable mailbox that its sender was told is safe."""

    path: Path
    row: int
    id: MessageId
    kind: str
    sender: Path | None
    priority: int


@define(eq=False)
class History:
    """Commits, as submitted and as told."""

    accepted: dict[int, Accepted] = field(factory=dict[int, Accepted])
    handled: list[int] = field(factory=list[int])
    """Rows whose handling was committed and told, in order."""
    ending: set[int] = field(factory=set[int])
    """Rows that somebody has submitted the end of: a crash may have kept the answer from coming."""
    events: list[tuple[float, Event]] = field(factory=list[tuple[float, Event]])
    """Facts with the time of the loop at which they were told."""
    gone: list[Accepted] = field(factory=list[Accepted])
    """Messages that were acknowledged and not handled when everything that was written went."""
    commits: int = 0
    refused: int = 0

    def submitted(self, commit: Commit) -> None:
        """Somebody wants this; nobody knows yet what becomes of it."""
        self.ending.update(commit.acked)
        self.ending.update(row.row for row in commit.dead if row.row is not None)

    def told(self, commit: Commit, error: BaseException | None, now: float) -> None:
        """The one who submitted it is about to be told what became of it."""
        if error is not None:
            self.refused += 1
            return
        self.commits += 1
        for row in commit.accepted:
            self.accepted[row.row] = Accepted(row.path, row.row, row.id, row.kind, row.sender, row.priority)
        self.handled.extend(commit.acked)
        self.events.extend((now, event) for _, event in commit.events)

    def wiped(self) -> None:
        """Everything that was written has gone: rows are counted anew, and what waited is lost."""
        self.gone += [each for row, each in self.accepted.items() if row not in self.ending]
        self.accepted.clear()
        self.ending.clear()
        self.handled.clear()
