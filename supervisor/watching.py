"""Watching a slot: every end of an incarnation there, in order, and the last one before it was watched."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import trio

from treewarden.agents.core.ended import Ended
from treewarden.agents.core.exit import KILLED, Exit, Failed, Finished, Stopped
from treewarden.agents.core.path import Path

from .common import Common
from .core.event import ChildEnded
from .journal.port import Commit, Journal, Record, Seq

if TYPE_CHECKING:
    from .child import Child

__all__ = ["watch"]

_LOOKED_AT: Final = 5000
"""Events at the end of the journal in which the end of a slot is looked for that the tree does not have any more."""


@asynccontextmanager
async def watch(common: Common, path: Path) -> AsyncGenerator[AsyncIterator[Ended]]:
    """The ends of the incarnations at `path` (see `Tree.watch`)."""
    child, after = _child(common, path), common.journal.head
    last = child.last_end if child is not None and child.current is None else None
    # What was noted before this commit is in the journal after it: `last`, which may not have been until now.
    known = await common.journal.commit(Commit())
    if child is None:
        last, after = await _found(common, path, known), known
    yield _Ends(common.journal, path, after, last, known)


class _Ends:
    """An iterator, not a generator: one that is cancelled while it waits goes on with the next call."""

    def __init__(self, journal: Journal, path: Path, after: Seq, last: ChildEnded | None, known: Seq) -> None:
        self._journal = journal
        self._path = path
        self._cursor = after
        self._read: deque[Record] = deque()
        """Read and not looked at: one page at most."""
        self._last = last
        """To be told at once."""
        self._told = last
        """What the journal may say once more, up to `known`."""
        self._known = known

    def __aiter__(self) -> _Ends:
        return self

    async def __anext__(self) -> Ended:
        if self._last is not None:
            await trio.lowlevel.checkpoint()
            last, self._last = self._last, None
            return _ended(last)
        while True:
            while self._read:
                record = self._read.popleft()
                event = record.event
                if not isinstance(event, ChildEnded) or event.path != self._path:
                    continue
                if event != self._told or record.seq > self._known:
                    return _ended(event)
            await self._journal.wait_beyond(self._cursor)
            self._read.extend(await self._journal.read(self._cursor))
            if self._read:
                self._cursor = self._read[-1].seq


async def _found(common: Common, path: Path, head: Seq) -> ChildEnded | None:
    """The last end of a slot that the tree does not have. Raises `NoSuchSlot` if nothing is known of it."""
    found: ChildEnded | None = None
    cursor = max(0, head - _LOOKED_AT)
    while cursor < head and (records := await common.journal.read(cursor)):
        for record in records:
            cursor = record.seq
            if cursor <= head and isinstance(record.event, ChildEnded) and record.event.path == path:
                found = record.event
    if found is None:
        raise common.nowhere(path, ", and none has ended there lately")
    return found


def _child(common: Common, path: Path) -> Child | None:
    supervisor = common.supervisors.get(path.parent)
    return supervisor.children.get(path.name) if supervisor is not None else None


def _ended(event: ChildEnded) -> Ended:
    return Ended(
        path=event.path,
        incarnation=event.incarnation,
        exit=_exit(event),
        expected=event.expected,
        uptime=event.uptime,
    )


def _exit(event: ChildEnded) -> Exit:
    match event.exit:
        case "finished":
            return Finished()
        case "stopped":
            return Stopped(event.reason)
        case _:
            return Failed(event.failure) if event.failure is not None else KILLED
