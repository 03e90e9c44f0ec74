"""A journal that shows what it is given and what became of it, and otherwise is the one behind it."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any, cast

from treewarden.supervisor.journal.port import Commit, Journal, Seq

__all__ = ["watched"]


def watched(
    inner: Journal, submitted: Callable[[Commit], None], told: Callable[[Commit, BaseException | None], None]
) -> Journal:
    """`inner`, as it is. `submitted` gets every commit as it comes, `told` when the one who submitted it is about to be
    told: kept (None), or why not."""
    return cast("Journal", _Watched(inner, submitted, told))


class _Watched:
    def __init__(
        self,
        inner: Journal,
        submitted: Callable[[Commit], None],
        told: Callable[[Commit, BaseException | None], None],
    ) -> None:
        self._inner = inner
        self._submitted = submitted
        self._told = told

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def __aenter__(self) -> _Watched:
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
