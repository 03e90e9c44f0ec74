"""What is read of several slots at once, for those that are about to be recovered one after the other."""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Generator, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from typing import Final, TypeAlias

from attrs import field

from treewarden.agents.core.message import MessageId
from treewarden.agents.core.path import Path
from treewarden.agents.core.values import define

from .ahead_rows import Found, near, recovered_together
from .port import Commit, Recovered

__all__ = ["Ahead"]

_TOGETHER: Final = 128
"""Slots that are read at once, at most."""
_ROOM: Final = 16_000_000
"""Characters that are kept of slots which nobody may ever recover, about."""
_PATIENCE: Final = 1000
"""Commits for which that is kept while nobody recovers any of them: each is compared with it."""
_Both: TypeAlias = tuple[Recovered, Found | None]
"""What a slot holds, and what those do that were read with it."""


@define(eq=False)
class _Flight:
    """A read that is on its way, and does not see what is submitted behind it."""

    paths: Sequence[Path]
    near: int = 0
    """How many are read of those that nobody expects, next to the one that is read."""
    since: list[Commit] = field(factory=list[Commit])
    """What was."""


class Ahead:
    """What was read of slots that are to be recovered, as long as it is what a read of each would find now.

    In the loop. A slot is read ahead once: what was changed since is read again by itself. Where slots are recovered
    one by one that nobody has expected, more and more of those that stand next to them are read as well: dynamic
    children are started by calls, each of which knows only its own.
    """

    def __init__(self, stored: Collection[Path], first: Path | None) -> None:
        """`stored` are the slots of which anything was held when the journal was opened; `first` was read."""
        self._stored = stored
        self._read = set[Path]() if first is None else {first}
        """Those that were read once, by themselves or with others."""
        self._near = 1
        """How many are read next to the next one that nobody expects."""
        self._batches: deque[tuple[Sequence[Path], float]] = deque()
        """What was read with such ones, and what room it takes, the oldest first."""
        self._idle = 0
        """Commits since anything was taken."""
        self._expected: list[dict[Path, None]] = []
        """Of each block of `expecting`, who was not read so far, in order."""
        self._held: dict[Path, Recovered] = {}
        self._boxes: dict[int, Path] = {}
        """By the number of each message in `_held`, who holds it."""
        self._replies: dict[MessageId, Path] = {}
        """Likewise."""
        self._flights: list[_Flight] = []

    @contextmanager
    def expecting(self, paths: Sequence[Path]) -> Generator[None]:
        """Read these together, as it comes to them; nothing of them stays here after the block."""
        expected = dict.fromkeys(paths)
        self._expected.append(expected)
        try:
            yield
        finally:
            self._expected = [each for each in self._expected if each is not expected]
            for path in paths:
                self._drop(path)

    def take(self, path: Path) -> Recovered | None:
        """What was read of this slot, if that is what a read would find now; it is not kept here any longer."""
        self._idle = 0
        return self._drop(path)

    async def read(
        self,
        path: Path,
        itself: Callable[[sqlite3.Connection], Recovered],
        ask: Callable[[Callable[[sqlite3.Connection], _Both]], Awaitable[_Both]],
    ) -> Recovered:
        """Read `path` as `itself` does, and in the same question who else is expected, or stands next to it.

        Raises what `itself` raises.

        Cancelled: the others are still expected.
        """
        flight, found = self._begin(path), None

        def both(connection: sqlite3.Connection) -> _Both:
            found = itself(connection)
            paths = near(connection, path, flight.near, self._is_new) if flight.near else flight.paths
            return found, recovered_together(connection, paths) if paths else None

        try:
            held, found = await ask(both)
        finally:
            self._end(flight, found)
        return held

    def _begin(self, path: Path) -> _Flight:
        flight = _Flight(())
        for expected in self._expected:
            if path in expected:
                del expected[path]
                flight.paths = tuple(islice(expected, _TOGETHER - 1))
                break
        else:
            if self._is_new(path):
                flight.near, self._near = self._near, min(2 * self._near + 1, _TOGETHER - 1)
        self._read.add(path)
        if flight.paths or flight.near:
            self._flights.append(flight)
        return flight

    def _is_new(self, path: Path) -> bool:
        """Whether something is stored for a slot that nobody has read so far. Asked in the writer's thread, too."""
        return path in self._stored and path not in self._read

    def _end(self, flight: _Flight, found: Found | None) -> None:
        """It was read, or nothing is to come of it."""
        self._flights = [each for each in self._flights if each is not flight]
        if found is None:
            return
        if flight.near:
            self._end_near(found)
        for expected in self._expected:
            for path in found.alone:
                expected.pop(path, path)
            for path, held in found.held.items():
                if path in expected:
                    del expected[path]
                    self._keep(path, held)
        for commit in flight.since:
            self._let_go(commit)

    def _end_near(self, found: Found) -> None:
        """Keep what was read of those whom nobody expects, and has read meanwhile, as long as there is room."""
        held = {path: each for path, each in found.held.items() if path not in self._read}
        for path, each in held.items():
            self._keep(path, each)
        self._batches.append((tuple(held), found.size))
        while sum(size for _, size in self._batches) > _ROOM:
            self._give_up_oldest()

    def _give_up_oldest(self) -> None:
        """Whoever is left of them is new again."""
        paths, _ = self._batches.popleft()
        for path in paths:
            if self._drop(path) is not None:
                self._read.discard(path)

    def touched(self, commit: Commit) -> None:
        """This was submitted."""
        if commit.quiet:
            return
        for flight in self._flights:
            flight.since.append(commit)
        if self._held:
            self._let_go(commit)
            self._idle += 1
            if self._idle > _PATIENCE:
                self._near = 1
                while self._batches:
                    self._give_up_oldest()

    def _let_go(self, commit: Commit) -> None:
        """Of whomever `commit` changes something that a recovery reads."""
        for path in _named_in(commit):
            self._drop(path)
        if self._boxes:
            for number in _numbers_in(commit):
                if number in self._boxes:
                    self._drop(self._boxes[number])
        if self._replies:
            for prefix in commit.forget_replies:
                for path in [path for id, path in self._replies.items() if id.startswith(prefix)]:
                    self._drop(path)

    def _keep(self, path: Path, held: Recovered) -> None:
        self._drop(path)
        self._read.add(path)
        self._held[path] = held
        for message in held.messages:
            self._boxes[message.row] = path
        for reply in held.replies:
            self._replies[reply.id] = path

    def _drop(self, path: Path) -> Recovered | None:
        held = self._held.pop(path, None)
        if held is not None:
            for message in held.messages:
                self._boxes.pop(message.row, None)
            for reply in held.replies:
                self._replies.pop(reply.id, None)
        return held


def _named_in(commit: Commit) -> Iterator[Path]:
    """Slots that it changes by name."""
    yield from commit.forget
    for row in chain(commit.states, commit.restores, commit.accepted, commit.replies, commit.timers):
        yield row.path


def _numbers_in(commit: Commit) -> Iterator[int]:
    """Messages that it changes by number."""
    yield from commit.acked
    for back in commit.returned:
        yield back.row
    for dead in commit.dead:
        if dead.row is not None:
            yield dead.row
