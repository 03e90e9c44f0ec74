"""Journals of trees that are wrong, each in one way: in what becomes of effects, replies, waits and what ends them."""

from __future__ import annotations

from typing import ClassVar

import trio
from attrs import evolve

from treewarden.agents.core.step import BEGUN, is_step
from treewarden.agents.core.wait import WAITS
from treewarden.supervisor.approvals import RULED
from treewarden.supervisor.events import HAPPENED
from treewarden.supervisor.journal.port import Commit, ReplyRow, Seq
from treewarden.supervisor.journal.writer import Then

from .lives import Foreseen

__all__ = [
    "EarlyEffect",
    "EarlyRuling",
    "EarlyWait",
    "LateEnd",
    "LateResult",
    "LeftBehind",
    "NoBeginning",
    "NoExpiry",
    "NoReply",
    "NoResult",
]


class _Early(Foreseen):
    """Who commits a row of this kind goes on while it is on its way to the disk."""

    kind: ClassVar[str]

    async def commit(self, commit: Commit) -> Seq:
        if not any(row.kind == self.kind for row in commit.replies):
            return await super().commit(commit)
        self.submit(commit, lambda error: None)
        await trio.lowlevel.checkpoint()
        return self.head


class EarlyEffect(Foreseen):
    """An effect runs before it is on disk that it begins."""

    def submit(self, commit: Commit, then: Then) -> None:
        if not any(row.kind == BEGUN for row in commit.replies):
            super().submit(commit, then)
            return
        super().submit(commit, lambda error: None)
        then(None)


class EarlyWait(_Early):
    """A handler is unwound before it is on disk that its wait begins."""

    kind = WAITS


class EarlyRuling(_Early):
    """A ruling is acknowledged before it is on disk."""

    kind = RULED


class LateResult(Foreseen):
    """What came of an effect goes to the disk behind whatever is queued next, as the settle of its message."""

    _late: tuple[Commit, Then] | None = None

    def submit(self, commit: Commit, then: Then) -> None:
        if any(is_step(row.id) and row.kind != BEGUN for row in commit.replies):
            self._late = commit, then
            return
        super().submit(commit, then)
        late, self._late = self._late, None
        if late is not None:
            super().submit(*late)


class NoBeginning(Foreseen):
    """Of an effect only its result is kept."""

    def submit(self, commit: Commit, then: Then) -> None:
        super().submit(evolve(commit, replies=tuple(row for row in commit.replies if row.kind != BEGUN)), then)


class NoResult(Foreseen):
    """What came of an effect is in memory only."""

    def submit(self, commit: Commit, then: Then) -> None:
        kept = tuple(row for row in commit.replies if not is_step(row.id) or row.kind == BEGUN)
        super().submit(evolve(commit, replies=kept), then)


class NoReply(Foreseen):
    """The reply to an ask of a handler is in memory only."""

    def submit(self, commit: Commit, then: Then) -> None:
        super().submit(evolve(commit, replies=tuple(row for row in commit.replies if is_step(row.id))), then)


class LateEnd(Foreseen):
    """An event is out of its mailbox in one transaction, and has ended a wait in the next."""

    def submit(self, commit: Commit, then: Then) -> None:
        if _takes_event(commit):
            super().submit(evolve(commit, replies=()), lambda error: self.submit(evolve(commit, acked=()), then))
        else:
            super().submit(commit, then)

    async def commit(self, commit: Commit) -> Seq:
        if _takes_event(commit):
            await super().commit(evolve(commit, replies=()))
            commit = evolve(commit, acked=())
        return await super().commit(commit)


class NoExpiry(Foreseen):
    """That the time of a wait has passed is in memory only."""

    async def commit(self, commit: Commit) -> Seq:
        return await super().commit(evolve(commit, replies=tuple(row for row in commit.replies if not _expires(row))))


class LeftBehind(Foreseen):
    """A settle does not forget the waits of its message."""

    def submit(self, commit: Commit, then: Then) -> None:
        super().submit(evolve(commit, forget_replies=()) if commit.states else commit, then)


def _takes_event(commit: Commit) -> bool:
    return bool(commit.acked) and any(row.kind == HAPPENED for row in commit.replies)


def _expires(row: ReplyRow) -> bool:
    return row.kind in (HAPPENED, RULED) and "expired" in row.body
