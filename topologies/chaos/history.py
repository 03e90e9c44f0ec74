"""What the commits of a run said, over all of its processes: the material that promises are checked against."""

from __future__ import annotations

from collections.abc import Iterable

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
    waiting: dict[int, None] = field(factory=dict[int, None])
    """Rows that were accepted and nobody has submitted the end of."""
    overtaken: str = ""
    """The first message that was handled after a later one of the same sender; nothing if none was."""
    events: list[tuple[float, Event]] = field(factory=list[tuple[float, Event]])
    """Facts with the time of the loop at which they were told."""
    gone: list[Accepted] = field(factory=list[Accepted])
    """Messages that were acknowledged and not handled when everything that was written went."""
    commits: int = 0
    refused: int = 0
    _last: dict[tuple[Path, Path | None, int], int] = field(factory=dict[tuple[Path, "Path | None", int], int])

    def submitted(self, commit: Commit) -> None:
        """Somebody wants this; nobody knows yet what becomes of it."""
        if commit.quiet:
            return
        if commit.acked:
            self._end(commit.acked)
        if commit.dead:
            self._end([row.row for row in commit.dead if row.row is not None])

    def _end(self, rows: Iterable[int]) -> None:
        self.ending.update(rows)
        for row in rows:
            self.waiting.pop(row, None)

    def told(self, commit: Commit, error: BaseException | None, now: float) -> None:
        """The one who submitted it is about to be told what became of it."""
        if error is not None:
            self.refused += 1
            return
        self.commits += 1
        if commit.events:
            self.events.extend([(now, event) for _, event in commit.events])
        if commit.quiet:
            return
        for row in commit.accepted:
            self.accepted[row.row] = Accepted(row.path, row.row, row.id, row.kind, row.sender, row.priority)
            if row.row not in self.ending:
                self.waiting[row.row] = None
        for row in commit.acked:
            self._handle(row)

    def _handle(self, row: int) -> None:
        self.handled.append(row)
        message = self.accepted.get(row)
        if message is None:
            return
        key = (message.path, message.sender, message.priority)
        if self._last.get(key, 0) > row and not self.overtaken:
            who = message.sender or "the outside"
            self.overtaken = f"{message.path} handled {message.id} after a later one of {who}"
        self._last[key] = row

    def wiped(self) -> None:
        """Everything that was written has gone: rows are counted anew, and what waited is lost."""
        self.gone += [self.accepted[row] for row in self.waiting]
        self.accepted.clear()
        self.ending.clear()
        self.waiting.clear()
        self.handled.clear()
        self.overtaken = ""
        self._last.clear()
