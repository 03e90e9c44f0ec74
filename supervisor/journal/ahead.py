"""What is read of several slots at once, for those that are about to be recovered one after the other."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from typing import Final, TypeAlias

from attrs import field

from treewarden.agents.core.message import MessageId
from treewarden.agents.core.path import Path
from treewarden.agents.core.values import define

from .ahead_rows import Found, recovered_together
from .port import Commit, Recovered

__all__ = ["Ahead"]

_TOGETHER: Final = 128
"""Slots that are read at once, at most."""
_Both: TypeAlias = tuple[Recovered, Found | None]
"""What a slot holds, and what those do that were read with it."""


@define(eq=False)
class _Flight:
    """A read that is on its way, and does not see what is submitted behind it."""

    paths: Sequence[Path]
    since: list[Commit] = field(factory=list[Commit])
    """What was."""


class Ahead:
    """What was read of slots that are to be recovered, as long as it is what a read of each would find now.

    In the loop. A slot is read ahead once: what was changed since is read again by itself.
    """

    def __init__(self) -> None:
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
        return self._drop(path)

    async def read(
        self,
        path: Path,
        itself: Callable[[sqlite3.Connection], Recovered],
        ask: Callable[[Callable[[sqlite3.Connection], _Both]], Awaitable[_Both]],
    ) -> Recovered:
        """Read `path` as `itself` does, and in the same question who else is expected. Raises what `itself` raises.

        Cancelled: the others are still expected.
        """
        flight, found = self._begin(path), None

        def both(connection: sqlite3.Connection) -> _Both:
            return itself(connection), recovered_together(connection, flight.paths) if flight.paths else None

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
        if flight.paths:
            self._flights.append(flight)
        return flight

    def _end(self, flight: _Flight, found: Found | None) -> None:
        """It was read, or nothing is to come of it."""
        self._flights = [each for each in self._flights if each is not flight]
        if found is None:
            return
        for expected in self._expected:
            for path in found.alone:
                expected.pop(path, path)
            for path, held in found.held.items():
                if path in expected:
                    del expected[path]
                    self._keep(path, held)
        for commit in flight.since:
            self._let_go(commit)

    def touched(self, commit: Commit) -> None:
        """This was submitted."""
        if commit.quiet:
            return
        for flight in self._flights:
            flight.since.append(commit)
        if self._held:
            self._let_go(commit)

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
