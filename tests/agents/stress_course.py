"""What happens to one mailbox when chance sends, asks, cancels, kills, orders, pauses, ends and puts aside: the record
of it, and the agents that are in it. `stress_rules.py` says what must not be found in such a record."""

from __future__ import annotations

import random
from contextvars import ContextVar
from typing import Any, Final

import trio
import trio.lowlevel
from attrs import define, field, frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.message import Envelope, Priority, Request
from treewarden.agents.errors import Stash
from treewarden.agents.slot import Slot

__all__ = ["PRIORITIES", "Ask", "Call", "Course", "Hand", "Held", "Open", "Plain", "Slow", "SlowAsk", "number_of"]

PRIORITIES: Final = (Priority.HIGH, Priority.NORMAL, Priority.LOW)
whose: Final[ContextVar[str]] = ContextVar("whose", default="nobody's")


@frozen
class Plain:
    number: int


@frozen
class Slow:
    """Whose handler waits."""

    number: int


@frozen
class Held:
    """What is put aside as long as it is shut."""

    number: int


@frozen
class Open:
    number: int


@frozen
class Ask(Request[int]):
    number: int


@frozen
class SlowAsk(Request[int]):
    number: int


def number_of(item: object) -> int:
    """The number of a message, however it waits."""
    body = item.body if isinstance(item, Envelope) else item
    assert isinstance(body, (Plain, Slow, Held, Open, Ask, SlowAsk))
    return body.number


@define(eq=False)
class Call:
    """One tell or ask: what its sender knows of it."""

    number: int
    sender: int
    message: object
    priority: int
    at: float
    """When it was sent, in the clock of the loop."""
    waited: bool = False
    """There was no room when it was sent."""
    over: bool = False
    outcome: str = "cancelled"
    """`sent`, `replied`, or the name of an error."""
    error: Exception | None = None
    told_at: float = 0.0
    """When its sender knew."""

    @property
    def asked(self) -> bool:
        return isinstance(self.message, Request)


@frozen
class Begun:
    """A handler was called, in one of the lives."""

    number: int
    life: int


@define(eq=False)
class Course:
    """What has happened, in order."""

    chance: random.Random
    now: Any = trio.current_time
    calls: dict[int, Call] = field(factory=dict[int, Call])
    begun: list[Begun] = field(factory=list[Begun])
    aside: list[int] = field(factory=list[int])
    """Messages that a handler has put aside, each time."""
    done: list[int] = field(factory=list[int])
    cut: dict[int, tuple[float, int]] = field(factory=dict[int, tuple[float, int]])
    """Messages whose handler was cancelled: when, and in which life."""
    raised: dict[int, float] = field(factory=dict[int, float])
    """Messages whose handler has raised, and when."""
    dropped: list[tuple[int, str]] = field(factory=list[tuple[int, str]])
    orders: list[tuple[int, int]] = field(factory=list[tuple[int, int]])
    """For which life an order or a kill was, and how many handlers had been called by then."""
    killed: set[int] = field(factory=set[int])
    lives: int = 0
    """Of all agents that take from there."""
    agents: int = 1
    failures: int = 0
    """Lives that a handler has ended by raising."""
    gone_at: float | None = None
    """When the slot had ended for good."""
    shut: bool = False
    wrong: list[str] = field(factory=list[str])
    """What was seen at once to be against a rule."""
    redelivers: bool = False
    """What was in hand is handled again, once."""
    unlucky: int = 12
    """One of so many handlers raises; with 0 none."""

    def call(self, sender: int, message: object, priority: int) -> Call:
        made = Call(number_of(message), sender, message, priority, self.now())
        self.calls[made.number] = made
        return made

    def life_at(self, slot: Slot) -> int | None:
        """The number of the life in a slot."""
        return slot.agent.number if isinstance(slot.agent, Hand) else None


class Hand(Agent[int]):
    """Does what it is told, and notes it."""

    state = 0

    def __init__(self, course: Course) -> None:
        self.course = course
        course.lives += 1
        self.number = course.lives

    @handles
    def do(self, message: Plain) -> None:
        self._begin(message)
        self._end(message)

    @handles
    async def do_slowly(self, message: Slow) -> None:
        self._begin(message)
        await self._nap(message)
        self._end(message)

    @handles
    def held(self, message: Held) -> None:
        self._begin(message)
        if self.course.shut or self.life.slot.stashed:
            self.course.aside.append(message.number)
            raise Stash
        self._end(message)

    @handles
    def opened(self, message: Open) -> None:
        self._begin(message)
        self.unstash()
        self._end(message)

    @handles
    def answer(self, message: Ask) -> int:
        self._begin(message)
        self._end(message)
        return message.number

    @handles
    async def answer_slowly(self, message: SlowAsk) -> int:
        self._begin(message)
        await self._nap(message)
        self._end(message)
        return message.number

    def _begin(self, message: object) -> None:
        course, number, slot = self.course, number_of(message), self.life.slot
        if slot.paused or slot.mail.paused:
            course.wrong.append(f"taking: {number} was handed out during a pause")
        if whose.get() != "nobody's":
            course.wrong.append(f"asks at once: {number} was handled in the context of {whose.get()}")
        again = number in course.aside or any(each.number == number for each in course.begun)
        priority = course.calls[number].priority
        before = [each for each in PRIORITIES if each < priority and list(slot.mail.of_priority(each))]
        if before and not again:
            course.wrong.append(f"control: {number} of priority {priority} came before some of priority {before}")
        course.begun.append(Begun(number, self.number))

    def _end(self, message: object) -> None:
        number = number_of(message)
        if self.course.unlucky and self.course.chance.randrange(self.course.unlucky) == 0:
            self.course.raised[number] = self.course.now()
            self.course.failures += 1
            raise ValueError(f"{number} is unlucky")
        if self.course.chance.random() < 0.3:
            self.state += 1
        self.course.done.append(number)

    async def _nap(self, message: object) -> None:
        chance = self.course.chance
        try:
            if chance.random() < 0.4:
                await trio.sleep(chance.random() / 20)
            else:
                for _ in range(chance.randint(0, 4)):
                    await trio.lowlevel.checkpoint()
        except trio.Cancelled:
            self.course.cut[number_of(message)] = self.course.now(), self.number
            raise
