"""A journal that shows what it is given and what became of it, and otherwise is the one behind it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType

from treewarden.agents.core.message import MessageId
from treewarden.agents.core.path import Path
from treewarden.supervisor.journal.port import (
    START,
    CheckpointRow,
    Commit,
    DeadRow,
    Journal,
    Opened,
    Record,
    Recovered,
    Seq,
)

__all__ = ["WatchedJournal"]


class WatchedJournal:
    """`submitted` gets every commit as it comes, `told` when the one who submitted it is about to be told: kept
    (None), or why not."""

    def __init__(
        self,
        inner: Journal,
        submitted: Callable[[Commit], None],
        told: Callable[[Commit, BaseException | None], None],
    ) -> None:
        self._inner = inner
        self._submitted = submitted
        self._told = told

    @property
    def opened(self) -> Opened:
        return self._inner.opened

    @property
    def head(self) -> Seq:
        return self._inner.head

    async def __aenter__(self) -> WatchedJournal:
        await self._inner.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        return await self._inner.__aexit__(kind, error, traceback)

    def submit(self, commit: Commit, then: Callable[[BaseException | None], None]) -> None:
        def told(error: BaseException | None) -> None:
            self._told(commit, error)
            then(error)

        self._submitted(commit)
        self._inner.submit(commit, told)

    async def commit(self, commit: Commit) -> Seq:
        self._submitted(commit)
        seq = await self._inner.commit(commit)
        self._told(commit, None)
        return seq

    async def recover(self, path: Path) -> Recovered:
        return await self._inner.recover(path)

    async def checkpoints(self, path: Path, limit: int = 20) -> Sequence[CheckpointRow]:
        return await self._inner.checkpoints(path, limit)

    async def read(self, after: Seq = START, limit: int = 500) -> Sequence[Record]:
        return await self._inner.read(after, limit)

    async def wait_beyond(self, seq: Seq) -> Seq:
        return await self._inner.wait_beyond(seq)

    async def dead_letters(self, path: Path | None = None, limit: int = 100) -> Sequence[DeadRow]:
        return await self._inner.dead_letters(path, limit)

    async def dead_letter(self, message: MessageId) -> DeadRow | None:
        return await self._inner.dead_letter(message)
