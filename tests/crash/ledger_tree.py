"""A tree that can be checked to the last message: fronts count what they are told, and one book counts them."""

from __future__ import annotations

from attrs import evolve, frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.message import Request
from treewarden.supervisor.core.spec import ChildSpec, Intensity, SupervisorSpec

FRONTS = 3


@frozen
class Put:
    """The n-th message to a front, from 1 without gaps."""

    n: int


@frozen
class Booked:
    """What a front tells the book about each message."""

    front: str
    n: int


@frozen
class Look(Request["Count"]):
    """Ask for the count."""


@frozen
class Count:
    """How many were handled, their sum, and how many of them came out of order."""

    handled: int = 0
    total: int = 0
    last: int = 0
    misplaced: int = 0

    def with_one(self, n: int) -> Count:
        return Count(self.handled + 1, self.total + n, n, self.misplaced + (n != self.last + 1))


@frozen
class Books:
    """The counts by front."""

    counts: dict[str, Count]


@frozen
class LookUp(Request[Books]):
    """Ask for all counts."""


class Front(Agent[Count]):
    """Counts, tells the book and records a fact: all of it or nothing, per message."""

    state = Count()

    @handles
    async def put(self, message: Put) -> None:
        self.state = self.state.with_one(message.n)
        await self.ref("../book").tell(Booked(str(self.path), message.n))
        self.record(message)

    @handles
    def look(self, message: Look) -> Count:
        return self.state


class Book(Agent[Books]):
    """Counts what the fronts have settled."""

    state = Books({})

    @handles
    def booked(self, message: Booked) -> None:
        before = self.state.counts.get(message.front, Count())
        self.state = evolve(self.state, counts={**self.state.counts, message.front: before.with_one(message.n)})

    @handles
    def look_up(self, message: LookUp) -> Books:
        return self.state


def ledger() -> SupervisorSpec:
    fronts = tuple(ChildSpec(id=f"front{n}", agent=Front) for n in range(FRONTS))
    return SupervisorSpec(children=(ChildSpec(id="book", agent=Book), *fronts), restarts=Intensity(20, 5.0))
