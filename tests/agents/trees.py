"""Agents and trees that the tests of this folder share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar

import trio
from attrs import evolve, frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import VOLATILE, Durability, MailboxSpec
from treewarden.agents.core.message import Request
from treewarden.agents.errors import CommitFailed
from treewarden.agents.slot import Slot
from treewarden.supervisor.core.event import Event
from treewarden.supervisor.core.spec import ChildSpec
from treewarden.supervisor.journal.memory import MemoryJournal
from treewarden.supervisor.journal.port import Commit, Journal, Record, Seq
from treewarden.topologies.child import Child, child
from treewarden.topologies.open import open_tree
from treewarden.topologies.running import Tree
from treewarden.topologies.tree import tree

__all__ = [
    "Add",
    "Bad",
    "Counter",
    "Disk",
    "Gate",
    "Held",
    "Tally",
    "Total",
    "events",
    "happened",
    "kept",
    "opened",
    "slot_of",
    "volatile",
]

E = TypeVar("E", bound=Event)


@frozen
class Add:
    amount: int = 1


@frozen
class Bad:
    """Whose handler changes the state, and raises."""

    text: str = "unlucky"


@frozen
class Total(Request[int]):
    pass


@frozen
class Held(Request[str]):
    """Whose handler waits until the gate opens."""

    text: str = ""


@frozen
class Tally:
    total: int = 0
    seen: tuple[int, ...] = ()


class Gate:
    """What tests open and close for the handlers of one `Counter`."""

    def __init__(self, *, shut: bool = False) -> None:
        self.entered: list[str] = []
        self.left: list[str] = []
        self._open = trio.Event()
        if not shut:
            self._open.set()

    def open(self) -> None:
        self._open.set()

    async def pass_by(self, name: str) -> None:
        self.entered.append(name)
        await self._open.wait()
        self.left.append(name)


class Counter(Agent[Tally]):
    """Counts what it is told."""

    state = Tally()

    def __init__(self, gate: Gate | None = None) -> None:
        self.gate = gate

    @handles
    def add(self, message: Add) -> None:
        self.state = evolve(
            self.state, total=self.state.total + message.amount, seen=(*self.state.seen, message.amount)
        )

    @handles
    async def total(self, message: Total) -> int:
        return self.state.total

    @handles
    async def bad(self, message: Bad) -> None:
        self.state = evolve(self.state, total=-1)
        raise ValueError(message.text)

    @handles
    async def held(self, message: Held) -> str:
        assert self.gate is not None
        await self.gate.pass_by(message.text)
        return message.text


def volatile(agent: Any, *, capacity: int = 64, **options: Any) -> ChildSpec:
    """A child whose mailbox and state are in memory."""
    return child(agent, mailbox=MailboxSpec(capacity=capacity, durability=VOLATILE), **options)


def kept(agent: Any, durability: Durability, **options: Any) -> ChildSpec:
    return child(agent, mailbox=MailboxSpec(durability=durability), **options)


def opened(*children: Child, journal: Journal | None = None, **options: Any) -> AbstractAsyncContextManager[Tree]:
    """A tree in the time of the loop."""
    return open_tree(tree(*children, **options), journal=journal, wall=trio.current_time)


def slot_of(running: Tree, path: str) -> Slot:
    """The slot behind a ref, for what only its owner should see."""
    found = running.ref(path)._find(running.ref(path).path)  # pyright: ignore[reportPrivateUsage]
    assert isinstance(found, Slot)
    return found


async def happened(running: Tree, kind: type[E], count: int = 1, within: float = 60.0) -> list[E]:
    """The first `count` events of a kind, in order. Fails the test if they do not come."""
    found: list[E] = []
    with trio.fail_after(within):
        records: AsyncIterator[Record]
        async with running.events() as records:
            async for record in records:
                if isinstance(record.event, kind):
                    found.append(record.event)
                    if len(found) == count:
                        break
    return found


async def events(journal: MemoryJournal, kind: type[E]) -> list[E]:
    """All events of a kind."""
    return [record.event for record in await journal.read(limit=10_000) if isinstance(record.event, kind)]


class Disk(MemoryJournal):
    """A journal that remembers what it is given, and that a test can make slow or broken."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Commit] = []
        self.slow = False
        """Commits stay on their way until `go`."""
        self.broken: Callable[[Commit], bool] = lambda _commit: False
        """Which commits fail."""
        self._waiting: list[tuple[Commit, Callable[[BaseException | None], None]]] = []
        self._doomed: list[Commit] = []

    def submit(self, commit: Commit, then: Callable[[BaseException | None], None]) -> None:
        self.seen.append(commit)
        if self.slow:
            self._waiting.append((commit, then))
        else:
            super().submit(commit, then)

    async def commit(self, commit: Commit) -> Seq:
        """Behind what is on its way, as those of a file; not for good, or a tree would not end in a test that fails."""
        done, errors = trio.Event(), list[BaseException]()

        def then(error: BaseException | None) -> None:
            errors.extend([] if error is None else [error])
            done.set()

        self.submit(commit, then)
        with trio.fail_after(600):
            await done.wait()
        for error in errors:
            raise error
        return self.head

    def go(self, first: int | None = None) -> None:
        """Let through what waits, in order: all of it, or the first few."""
        waiting = self._waiting[:first]
        del self._waiting[:first]
        for commit, then in waiting:
            super().submit(commit, then)

    def fail(self, path: str, first: int | None = None) -> None:
        """As `go`, but those that rest on `path` fail."""
        self._doomed.extend(commit for commit, _ in self._waiting[:first] if commit.by == path)
        self.go(first)

    def of(self, path: str) -> list[Commit]:
        """The settles of one slot so far."""
        return [commit for commit in self.seen if commit.by == path]

    def _apply(self, commit: Commit) -> None:
        if self.broken(commit) or any(commit is doomed for doomed in self._doomed):
            raise CommitFailed("the disk is full")
        super()._apply(commit)
