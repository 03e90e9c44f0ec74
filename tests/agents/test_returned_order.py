"""Messages that come back to their mailbox: each to the head of those of its priority."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio
import trio.testing
from attrs import frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import MESSAGE, VOLATILE, Durability, MailboxSpec
from treewarden.agents.core.message import Priority, Request
from treewarden.agents.errors import RateLimited, Stash
from treewarden.topologies.child import child

from .trees import opened


@frozen
class Step:
    number: int


@frozen
class Done(Request[tuple[int, ...]]):
    pass


def crash() -> Exception:
    return RuntimeError("once")


def throttled() -> Exception:
    return RateLimited(after=1)


class Walker(Agent[tuple[int, ...]]):
    """Fails once over the first step that it takes."""

    state = ()

    def __init__(self, errors: list[Exception]) -> None:
        self.errors = errors

    @handles
    async def step(self, message: Step) -> None:
        await trio.sleep(1)
        if self.errors:
            raise self.errors.pop()
        self.state = (*self.state, message.number)
        if self.state == (9,):
            self.unstash()

    @handles
    def done(self, message: Done) -> tuple[int, ...]:
        return self.state


@pytest.mark.parametrize(
    ("durability", "fault"),
    [(MESSAGE, crash), (MESSAGE, throttled), (VOLATILE, throttled), (MESSAGE, Stash), (VOLATILE, Stash)],
)
@pytest.mark.parametrize("first", [Priority.HIGH, Priority.NORMAL, Priority.LOW])
async def test_those_of_one_sender_and_priority_stay_in_order(
    autojump_clock: trio.testing.MockClock, durability: Durability, fault: Callable[[], Exception], first: int
) -> None:
    mailbox = MailboxSpec(durability=durability)
    async with opened(child(Walker, id="walker", args={"errors": [fault()]}, mailbox=mailbox)) as tree:
        walker = tree.ref("walker")
        await walker.tell(Step(1), priority=first)
        await trio.sleep(0.5)
        if fault is Stash:
            await walker.tell(Step(9), priority=Priority.HIGH)
        for number in (2, 3):
            for priority in (Priority.LOW, Priority.NORMAL, Priority.HIGH):
                await walker.tell(Step(number + (0 if priority == first else 10 * priority)), priority=priority)
        await trio.sleep(60)
        done = [number for number in await walker.ask(Done()) if number != 9]
        order = [10 * priority + number for priority in (1, 2, 3) for number in (2, 3)]
        place = 2 * (first - 1)
        assert done == [*order[:place], 1, 2, 3, *order[place + 2 :]]
