"""One message at a time: what it leaves behind when it is handled, and when it is not."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import pytest
import trio
from attrs import evolve, frozen
from trio.testing import MockClock, wait_all_tasks_blocked

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import MESSAGE, VOLATILE, Checkpointed, Durability, MailboxSpec
from treewarden.agents.core.message import Request
from treewarden.agents.errors import RateLimited
from treewarden.supervisor.core.event import ChildEnded, DeadLettered, Decided, MessageReturned, Recorded
from treewarden.supervisor.core.spec import NO_BACKOFF
from treewarden.topologies.child import child

from .trees import Add, Bad, Counter, Tally, Total, happened, kept, opened, slot_of

C = TypeVar("C", bound=Callable[..., Any])


@pytest.fixture(params=[MESSAGE, VOLATILE, Checkpointed(messages=2)], ids=["message", "volatile", "checkpointed"])
def durability(request: pytest.FixtureRequest) -> Durability:
    return request.param


# -- state


async def test_a_handler_that_raises_leaves_the_state_that_was_before(
    durability: Durability, autojump_clock: MockClock
) -> None:
    async with opened(kept(Counter, durability, backoff=NO_BACKOFF)) as running:
        counter = running.ref("counter")
        await counter.tell(Add(3))
        await counter.tell(Bad())
        await happened(running, DeadLettered)
        assert await counter.ask(Total()) == 3


async def test_a_message_is_handled_again_as_often_as_it_says(autojump_clock: MockClock) -> None:
    spec = MailboxSpec(deliveries=3)
    async with opened(child(Counter, mailbox=spec, backoff=NO_BACKOFF)) as running:
        await running.ref("counter").tell(Bad())
        await running.ref("counter").tell(Add(5))
        (dead,) = await happened(running, DeadLettered)
        assert dead.reason.startswith("its handler failed 3 times; the last time: ValueError: unlucky")
        returned = await happened(running, MessageReturned, 2)
        assert [each.deliveries for each in returned] == [1, 2]
        assert len({each.message for each in [*returned, dead]}) == 1
        assert await running.ref("counter").ask(Total()) == 5


async def test_a_message_that_is_tried_once_says_so(autojump_clock: MockClock) -> None:
    async with opened(child(Counter, mailbox=MailboxSpec(deliveries=1), backoff=NO_BACKOFF)) as running:
        await running.ref("counter").tell(Bad())
        (dead,) = await happened(running, DeadLettered)
        assert dead.reason.startswith("its handler failed once: ValueError: unlucky")


async def test_the_message_in_hand_of_a_mailbox_in_memory_is_a_dead_letter(autojump_clock: MockClock) -> None:
    async with opened(kept(Counter, VOLATILE, backoff=NO_BACKOFF)) as running:
        await running.ref("counter").tell(Bad())
        await running.ref("counter").tell(Add(5))
        (dead,) = await happened(running, DeadLettered)
        assert "its handler did not finish" in dead.reason
        assert await running.ref("counter").ask(Total()) == 5


class Careless(Agent[None]):
    """Keeps something on itself: it lasts as long as the incarnation."""

    def __init__(self) -> None:
        self.count = 0

    @handles
    def add(self, message: Add) -> None:
        self.count += message.amount

    @handles
    def bad(self, message: Bad) -> None:
        raise ValueError

    @handles
    def total(self, message: Total) -> int:
        return self.count


async def test_what_is_no_state_ends_with_the_incarnation(durability: Durability, autojump_clock: MockClock) -> None:
    async with opened(kept(Careless, durability, backoff=NO_BACKOFF)) as running:
        careless = running.ref("careless")
        await careless.tell(Add(3))
        assert await careless.ask(Total()) == 3
        await careless.tell(Bad())
        await happened(running, DeadLettered)
        assert await careless.ask(Total()) == 0


# -- dispatch


@frozen
class Base:
    pass


@frozen
class Derived(Base):
    pass


@frozen
class Other(Base):
    pass


def through(method: C) -> C:
    """A decorator that hides from `inspect` that the method has to be awaited."""

    @functools.wraps(method)
    def call(*args: Any) -> Any:
        return method(*args)

    return call  # type: ignore[return-value]


class Dispatcher(Agent[Tally]):
    state = Tally()
    log: list[str]

    def __init__(self, log: list[str]) -> None:
        self.log = log

    @handles
    def base(self, message: Base) -> None:
        self.log.append("base")

    @handles
    async def other(self, message: Other | Add) -> None:
        self.log.append(f"other {type(message).__name__}")

    @handles
    @through
    async def total(self, message: Total) -> int:
        await trio.lowlevel.checkpoint()
        self.log.append("total")
        return 7


async def test_the_nearest_type_has_the_handler(durability: Durability, autojump_clock: MockClock) -> None:
    log: list[str] = []
    async with opened(kept(Dispatcher, VOLATILE, args={"log": log})) as running:
        for message in (Base(), Derived(), Other(), Add()):
            await running.ref("dispatcher").tell(message)
        assert await running.ref("dispatcher").ask(Total()) == 7
    assert log == ["base", "base", "other Other", "other Add", "total"]


# -- slowing down


class Refused(Exception):
    """What HTTP clients raise: it carries the response."""

    def __init__(self, status: int, **headers: str) -> None:
        super().__init__(f"status {status}")
        self.response = Response(status, {name.replace("_", "-"): value for name, value in headers.items()})


@frozen
class Response:
    status_code: int
    headers: dict[str, str]


@frozen
class Fetch(Request[int]):
    pass


@frozen
class Poll:
    pass


class Client(Agent[Tally]):
    """Raises what `errors` holds, one for each attempt, and then succeeds."""

    state = Tally()

    def __init__(self, errors: list[BaseException]) -> None:
        self.errors = errors
        self.tries: list[float] = []

    @handles
    async def poll(self, message: Poll) -> None:
        await self.attempt()

    @handles
    async def fetch(self, message: Fetch) -> int:
        await self.attempt()
        return self.state.total

    @handles
    def add(self, message: Add) -> None:
        self.state = evolve(self.state, seen=(*self.state.seen, message.amount))

    @handles
    def total(self, message: Total) -> int:
        return self.state.total

    async def attempt(self) -> None:
        self.tries.append(trio.current_time())
        self.state = evolve(self.state, total=self.state.total + 1)
        self.record(Add(self.state.total))
        if self.errors:
            raise self.errors.pop(0)


LIMITS: list[tuple[BaseException, float]] = [
    (RateLimited(7.0), 7.0),
    (Refused(429, Retry_After="7"), 7.0),
    (ExceptionGroup("from a nursery", [Refused(429, Retry_After="7")]), 7.0),
    (Refused(429, Retry_After="Fri, 20 Nov 2026 10:00:07 GMT", Date="Fri, 20 Nov 2026 10:00:00 GMT"), 7.0),
]


@pytest.mark.parametrize(("error", "after"), LIMITS, ids=["ours", "429", "429 in a group", "429 until a date"])
async def test_who_is_asked_to_slow_down_waits_and_tries_again(
    error: BaseException, after: float, durability: Durability, autojump_clock: MockClock
) -> None:
    async with opened(kept(Client, durability, args={"errors": [error]})) as running:
        client, slot = running.ref("client"), slot_of(running, "client")
        begun = trio.current_time()
        await client.tell(Poll())
        await client.tell(Add(1))
        await wait_all_tasks_blocked()
        assert (slot.paused, len(slot), slot.busy) == (True, 2, None)
        (decided,) = await happened(running, Decided)
        assert (decided.action, decided.details) == ("throttle", {"seconds": after})
        assert await client.ask(Total(), within=60) == 1  # what the first attempt changed is undone
        assert trio.current_time() - begun == pytest.approx(after, abs=0.1)
        assert slot.state == Tally(1, (1,))
        assert [each.restarts for each in running.snapshot()] == [0]


async def test_facts_of_an_attempt_that_was_undone_are_not_recorded(
    durability: Durability, autojump_clock: MockClock
) -> None:
    async with opened(kept(Client, durability, args={"errors": [RateLimited(1.0)]})) as running:
        await running.ref("client").tell(Poll())
        await trio.sleep(5)
        recorded = await happened(running, Recorded)
        assert [each.facts for each in recorded] == [{"amount": 1}]
        with pytest.raises(trio.TooSlowError):
            await happened(running, Recorded, 2, within=1)


async def test_an_ask_that_was_slowed_down_gets_its_reply_later(
    durability: Durability, autojump_clock: MockClock
) -> None:
    async with opened(kept(Client, durability, args={"errors": [RateLimited(2.0)]})) as running:
        assert await running.ref("client").ask(Fetch(), within=10) == 1


@pytest.mark.parametrize("error", [Refused(500), Refused(404, Retry_After="7"), ValueError("429")])
async def test_no_other_answer_is_a_rate_limit(error: Exception, autojump_clock: MockClock) -> None:
    async with opened(kept(Client, VOLATILE, args={"errors": [error]})) as running:
        await running.ref("client").tell(Poll())
        (ended,) = await happened(running, ChildEnded)
        assert ended.failure is not None
