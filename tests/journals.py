"""What tests of journals are made of: a clock, and short words for rows."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import trio

from treewarden.agents.core.label import Label
from treewarden.agents.core.path import Path
from treewarden.agents.errors import CommitFailed
from treewarden.supervisor.core.event import Recorded
from treewarden.supervisor.journal.memory import MemoryJournal
from treewarden.supervisor.journal.port import CheckpointRow, Commit, DeadRow, Journal, MessageRow, StateRow, TimerRow
from treewarden.supervisor.journal.sqlite import SqliteJournal
from treewarden.supervisor.testing import inline_run_sync

__all__ = [
    "DESK",
    "WALL",
    "FullDisk",
    "Owner",
    "Told",
    "WallClock",
    "checkpoint",
    "dead",
    "fact",
    "message",
    "on_disk",
    "settle",
    "state",
    "timer",
]

Owner: TypeAlias = Callable[[], Journal]
"""Each call is the next process that wants the journal."""
WALL = 1_800_000_000.0
DESK = Path("desk")


class WallClock:
    """The loop's time, and a wall that runs with it."""

    def now(self) -> float:
        return trio.current_time()

    def wall(self) -> float:
        return WALL + trio.current_time()


class FullDisk(MemoryJournal):
    """A journal in memory that takes nothing while it is full."""

    full = False

    def submit(self, commit: Commit, then: Callable[[BaseException | None], None]) -> None:
        if not self.full:
            super().submit(commit, then)
            return
        error = CommitFailed("the disk is full")
        error.refuses_all = True
        trio.lowlevel.current_trio_token().run_sync_soon(then, error)

    async def commit(self, commit: Commit) -> int:
        if self.full:
            await trio.lowlevel.checkpoint()
            error = CommitFailed("the disk is full")
            error.refuses_all = True
            raise error
        return await super().commit(commit)


class Told:
    """Who is to be told of commits, and what they were told, in order."""

    def __init__(self) -> None:
        self.news: list[tuple[str, BaseException | None]] = []

    def of(self, name: str) -> Callable[[BaseException | None], None]:
        return lambda error: self.news.append((name, error))

    @property
    def kept(self) -> list[str]:
        return [name for name, error in self.news if error is None]

    @property
    def failed(self) -> list[str]:
        return [name for name, error in self.news if error is not None]


def on_disk(file: pathlib.Path, **options: Any) -> SqliteJournal:
    """A journal in `file` whose calls run inside the loop, unless `run_sync` says otherwise."""
    settings: dict[str, Any] = {"clock": WallClock(), "run_sync": inline_run_sync, **options}
    return SqliteJournal(file, **settings)


def state(number: int, path: Path = DESK) -> StateRow:
    return StateRow(path, "desk:Tally", f'{{"total":{number}}}', 1, number)


def message(row: int, path: Path = DESK, **fields: Any) -> MessageRow:
    return MessageRow(path, row, f"t-{row}", "desk:Add", f'{{"amount":{row}}}', at=WALL + row, **fields)


def dead(row: int, path: Path = DESK, reason: str = "poison") -> DeadRow:
    return DeadRow(path, f"t-{row}", "desk:Add", f'{{"amount":{row}}}', reason, WALL + row, row)


def checkpoint(number: int, name: str = "", path: Path = DESK) -> CheckpointRow:
    """The checkpoint of the `number`-th settle; one with a name stays."""
    settled = state(number, path)
    place = 2 * number + 1 + (path != DESK)
    return CheckpointRow(
        path, place, settled.kind, settled.body, 1, number, WALL + number, Label(name), pinned=bool(name)
    )


def timer(name: str, at: float, path: Path = DESK) -> TimerRow:
    return TimerRow(path, name, at)


def fact(number: int, path: Path = DESK) -> Recorded:
    return Recorded(path=path, kind="counted", facts={"number": number})


def settle(number: int, path: Path = DESK, *, acked: Sequence[int] = (), events: Sequence[Any] = ()) -> Commit:
    """What an agent commits for its `number`-th message."""
    return Commit(
        by=path,
        states=(state(number, path),),
        acked=tuple(acked),
        events=tuple((WALL + number, event) for event in events),
    )
