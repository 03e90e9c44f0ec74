"""Clerks whose book is large, so that a settle takes some turns: what comes between is tested."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import trio
from attrs import frozen

from treewarden.agents import MESSAGE, Agent, Durability, MailboxSpec, Request, Stop, handles
from treewarden.supervisor import taken
from treewarden.supervisor.core.spec import Intensity
from treewarden.supervisor.journal import codec, in_slices
from treewarden.topologies import child
from treewarden.topologies.running import Tree

__all__ = [
    "FEW",
    "MANY",
    "TURNS",
    "Add",
    "Buyer",
    "Caller",
    "Clerk",
    "Ending",
    "Helped",
    "Slow",
    "Sum",
    "Take",
    "booked",
    "clerk",
    "short_slices",
    "sums",
    "turns",
]

ITEMS = 200
FEW = 5
"""Turns in which a state of so many items is certainly not taken yet."""
MANY = Intensity(1000, 1.0)
TURNS = 60
"""Turns in which one of some messages certainly is."""


@frozen
class Add:
    number: int


@frozen
class Sum(Request[tuple[int, int]]): ...


@frozen
class Take(Request[int]):
    """As `Add`, and say what that comes to."""

    number: int


@frozen
class Added:
    number: int


@frozen
class Book:
    total: int = 0
    booked: int = 0
    lines: tuple[tuple[int, ...], ...] = ()


def booked(book: Book, number: int) -> Book:
    return Book(book.total + number, book.booked + 1, ((number,) * ITEMS, *book.lines[:2]))


class Clerk(Agent[Book]):
    state = Book()

    @handles
    def add(self, message: Add) -> Any:
        self.state = booked(self.state, message.number)
        self.record(Added(message.number))

    @handles
    def take(self, message: Take) -> int:
        self.state = booked(self.state, message.number)
        return self.state.total

    @handles
    def sum(self, message: Sum) -> tuple[int, int]:
        return self.state.total, self.state.booked


class Caller(Clerk):
    """Tells another one what it was told, with each settle."""

    @handles
    async def add(self, message: Add) -> None:
        self.state = booked(self.state, message.number)
        await self.ref("copy").tell(message)


class Helped(Clerk):
    """Has a helper do something to its state as well, with each message."""

    @handles
    def add(self, message: Add) -> None:
        super().add(message)
        self.start_soon(self.help)

    async def help(self) -> None:
        await trio.lowlevel.checkpoint()
        self.state = booked(self.state, 100)


class Buyer(Clerk):
    """Asks another one for what it was told, and books the answer."""

    @handles
    async def add(self, message: Add) -> None:
        total = await self.ref("copy").ask(Take(message.number), within=1000)
        self.state = booked(self.state, message.number)
        self.record(Added(total))


class Ending(Clerk):
    @handles
    def add(self, message: Add) -> None:
        self.state = booked(self.state, message.number)
        raise Stop


class Slow(Clerk):
    """Settles, and then has something in hand for long."""

    @handles
    async def add(self, message: Add) -> None:
        if message.number < 0:
            await trio.sleep_forever()
        self.state = booked(self.state, message.number)


@pytest.fixture
def short_slices() -> Iterator[None]:
    """A book is large, and taken a few lines at a time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(codec, "_FEW", 2)
        for module in (codec, in_slices, taken):
            patch.setattr(module, "AT_ONCE", 8)
        yield


def clerk(kind: type[Clerk] = Clerk, durability: Durability = MESSAGE, **options: Any) -> Any:
    return child(kind, id="clerk", mailbox=MailboxSpec(durability=durability, deliveries=100), **options)


async def turns(count: int) -> None:
    for _ in range(count):
        await trio.lowlevel.checkpoint()


async def sums(running: Tree, name: str = "clerk") -> tuple[int, int]:
    return await running.ref(name).ask(Sum(), within=60)
