"""Agents whose handlers act on a world outside, and that world, which a power cut does not touch."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Final

import trio
from attrs import asdict, evolve, frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.message import Request
from treewarden.agents.core.step import Done
from treewarden.agents.errors import NotDone

from .world import Call, Outside

__all__ = ["SAYS", "Act", "Bank", "Book", "Clerk", "Desk", "Pay", "Settled"]

SAYS: Final = ("nothing", "idempotent", "verify", "fails", "refused", "asks", "twice")
"""What a payment is like: it says nothing of its effect, the bank knows its key again or can be asked, its line breaks
when it is done, the bank refuses it once, a clerk does it, or it is two effects."""


@frozen
class Pay:
    number: int
    says: str = SAYS[0]


@frozen
class Stamp(Request[int]):
    number: int


@frozen
class Settled(Request[tuple[int, ...]]):
    """The numbers of the payments that have settled."""


@frozen
class Act:
    """What was done for a payment, as its agent remembers it."""

    number: int
    key: str
    nth: int
    """Of all that the bank has done."""


@frozen
class Book:
    acts: tuple[Act, ...] = ()

    def __add__(self, act: Act) -> Book:
        return Book((*self.acts, act))


class Bank:
    """What was done stays done. `told` keeps what is outside, unless the process is dead by then: that dies in the call
    with the number `dies_at`."""

    def __init__(self, told: Callable[[Outside], None], outside: Outside) -> None:
        self.outside = outside
        self.dies_at = 0
        self.died = trio.Event()
        self._told = told

    async def charge(self, path: str, number: int, says: str, key: str) -> Act:
        if says == "refused" and number not in self.outside.refused:
            self._told(evolve(self.outside, refused=(*self.outside.refused, number)))
            raise NotDone("nothing was done")
        if says != "idempotent" or key not in self.done:  # else it knows the key again
            self._told(evolve(self.outside, calls=(*self.outside.calls, Call(key, path, number))))
        if len(self.outside.calls) == self.dies_at:
            self.died.set()
            await trio.sleep_forever()
        await trio.lowlevel.checkpoint()
        if says == "fails":
            raise ConnectionError("the line went dead")
        return Act(number, key, self.done[key])

    async def look(self, number: int, key: str) -> Done[Act] | NotDone:
        await trio.lowlevel.checkpoint()
        return self.said(number, key)

    def said(self, number: int, key: str) -> Done[Act] | NotDone:
        """What it knows of a key."""
        return Done(Act(number, key, self.done[key])) if key in self.done else NotDone("nobody knows it")

    def told(self, key: str) -> Done[Any] | NotDone:
        """The same as JSON, for whoever does not know what this process has run."""
        numbers = [call.number for call in self.outside.calls if call.key == key]
        said = self.said(numbers[0] if numbers else 0, key)
        return Done(asdict(said.value)) if isinstance(said, Done) else said

    def parks(self, number: int, place: int) -> None:
        """An order is unwound for the wait that it came to at this place."""
        self._told(evolve(self.outside, parked=(*self.outside.parked, (number, place))))

    def hears(self, number: int, nth: int, text: str) -> None:
        """An order was told this by its nth step."""
        self._told(evolve(self.outside, heard=(*self.outside.heard, (number, nth, text))))

    @property
    def done(self) -> Mapping[str, int]:
        """The place of each key among what was done."""
        return self.outside.done


class _Acting(Agent[Book]):
    state = Book()

    def __init__(self, bank: Bank) -> None:
        self.bank = bank

    def charging(self, number: int, says: str) -> Callable[[str], Awaitable[Act]]:
        return partial(self.bank.charge, str(self.path), number, says)

    async def charge(self, number: int, says: str) -> Act:
        return await self.effect(
            "charge",
            self.charging(number, says),
            returns=Act,
            idempotent=says == "idempotent",
            verify=partial(self.bank.look, number) if says == "verify" else None,
        )


class Clerk(_Acting):
    @handles
    async def stamp(self, message: Stamp) -> int:
        act = await self.charge(message.number, "nothing")
        self.state += act
        return act.nth


class Desk(_Acting):
    @handles
    async def pay(self, message: Pay) -> None:
        number, says = message.number, message.says
        if says == "asks":
            await self.ref("clerk").ask(Stamp(number), within=3600)
        act = await self.charge(number, says)
        if says == "twice":
            await self.effect("post", self.charging(number, says), returns=Act)
        self.state += act

    @handles
    async def settled(self, message: Settled) -> tuple[int, ...]:
        return tuple(act.number for act in self.state.acts)
