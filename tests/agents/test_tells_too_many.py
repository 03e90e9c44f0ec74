"""A handler that tells more messages than a mailbox holds: they leave with its settle, so it would wait for itself."""

from __future__ import annotations

import pytest
import trio
from attrs import frozen
from trio.testing import MockClock, wait_all_tasks_blocked

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import MESSAGE, MailboxSpec, Overflow
from treewarden.agents.core.message import Request
from treewarden.agents.errors import AgentFailed, MailboxFull
from treewarden.supervisor.core.event import ChildEnded, DeadLettered
from treewarden.supervisor.core.spec import NO_BACKOFF
from treewarden.supervisor.journal.memory import MemoryJournal
from treewarden.topologies.child import child
from treewarden.topologies.pool import pool
from treewarden.topologies.topic import subscriber, topic
from treewarden.topologies.tree import tree

from .test_tell_in_handlers import Pass, Sender
from .trees import Add, Counter, Tally, Total, events, happened, opened, slot_of

THREE = MailboxSpec(capacity=3, durability=MESSAGE)


@frozen
class Cross:
    """Tell the first one so many, and a second later the other one so many."""

    first: str
    times: int
    other: str
    more: int


class Crosser(Agent[None]):
    @handles
    async def cross(self, message: Cross) -> None:
        for path, times in ((message.first, message.times), (message.other, message.more)):
            for _ in range(times):
                await self.ref(path).tell(Add())
            await trio.sleep(1)


@frozen
class Fill(Request[int]):
    """Tell `counter` so many, with a pause behind each or not; then do this with it once more."""

    times: int
    then: str


class Filler(Agent[Tally]):
    state = Tally()

    @handles
    async def fill(self, message: Fill) -> int:
        for _ in range(message.times):
            await self.ref("counter").tell(Add())
            if message.then == "a pause":
                await trio.sleep(1)
        if message.then == "ask":
            return await self.ref("counter").ask(Total(), within=60)
        if message.then == "hand on":
            await self.forward("counter", Total())
        elif message.then == "news":
            await self.ref("news").tell(Add())
        return 0


async def test_it_is_told_at_once_and_what_to_do(autojump_clock: MockClock) -> None:
    async with opened(child(Counter, mailbox=THREE), child(Sender, backoff=NO_BACKOFF)) as running:
        begun = trio.current_time()
        await running.ref("sender").tell(Pass((1, 2, 4, 8)))
        (dead,) = await happened(running, DeadLettered)
        assert trio.current_time() - begun < 5  # and not after the 30 s of a tell, twice
        ended = (await happened(running, ChildEnded))[0]
        assert ended.failure is not None
        assert ended.failure.type == f"{MailboxFull.__module__}.MailboxFull"
        assert ended.failure.text == (
            "counter: its mailbox holds 3, and this handler has told it as many, which leave when it settles: raise "
            "mailbox.capacity, or tell fewer at a time and let a message to itself go on"
        )
        assert (dead.path, slot_of(running, "counter").reserved) == ("sender", 0)
        await running.ref("sender").tell(Pass((1, 2, 4)))
        await trio.sleep(10)  # it is throttled first
        assert await running.ref("counter").ask(Total()) == 7


async def test_what_others_have_told_makes_room(autojump_clock: MockClock) -> None:
    async with opened(child(Counter, mailbox=THREE), child(Sender, backoff=NO_BACKOFF)) as running:
        counter = slot_of(running, "counter")
        counter.pause("test")
        await running.ref("sender").tell(Pass((16, 32)))
        await wait_all_tasks_blocked()
        await running.ref("sender").tell(Pass((1, 2, 4)))
        await wait_all_tasks_blocked()
        assert (len(counter), counter.reserved, len(counter.line)) == (2, 1, 1)
        counter.resume("test")
        await wait_all_tasks_blocked()
        assert await running.ref("counter").ask(Total()) == 55


async def test_an_intake_that_is_limited_may_open_again(autojump_clock: MockClock) -> None:
    async with opened(child(Counter, mailbox=THREE), child(Sender, backoff=NO_BACKOFF)) as running:
        counter = slot_of(running, "counter")
        counter.admit(1)
        await running.ref("sender").tell(Pass((1, 2)))
        await wait_all_tasks_blocked()
        assert (counter.reserved, len(counter.line)) == (1, 1)
        counter.admit(3)
        await wait_all_tasks_blocked()
        assert await running.ref("counter").ask(Total()) == 3


async def test_a_mailbox_that_a_reload_has_made_smaller_holds_as_many_as_it_does_now(autojump_clock: MockClock) -> None:
    sender = child(Sender, backoff=NO_BACKOFF)
    async with opened(child(Counter, mailbox=MailboxSpec(capacity=9)), sender) as running:
        await running.reload(tree(child(Counter, mailbox=THREE), sender))
        begun = trio.current_time()
        await running.ref("sender").tell(Pass((1, 2, 4, 8)))
        (ended,) = (await happened(running, ChildEnded, 2))[1:]
        assert trio.current_time() == begun
        assert ended.failure is not None
        assert "its mailbox holds 3" in ended.failure.text


async def test_a_pool_holds_as_many_as_its_workers(autojump_clock: MockClock) -> None:
    workers = pool(child(Counter, mailbox=THREE), size=2, route="least_loaded", id="counter")
    async with opened(workers, child(Sender, backoff=NO_BACKOFF)) as running:
        await running.ref("sender").tell(Pass((1,) * 6))
        await wait_all_tasks_blocked()
        assert await running.ref("counter/0").ask(Total()) + await running.ref("counter/1").ask(Total()) == 6
        await running.ref("sender").tell(Pass((1,) * 7))
        await happened(running, DeadLettered)
        failure = (await happened(running, ChildEnded))[0].failure
        assert failure is not None
        assert "its mailbox holds 3" in failure.text


@pytest.mark.parametrize("then", ["ask", "hand on", "news"])
async def test_who_asks_hands_on_or_publishes_there_is_told_at_once_too(then: str, autojump_clock: MockClock) -> None:
    counter, news = child(Counter, mailbox=THREE), topic(subscriber("../counter", overflow=Overflow.WAIT), id="news")
    async with opened(counter, news, child(Filler, backoff=NO_BACKOFF)) as running:
        with pytest.raises(AgentFailed, match="its mailbox holds 3, and this handler has told it as many"):
            await running.ref("filler").ask(Fill(3, then))
        assert trio.current_time() < 5
        assert slot_of(running, "counter").reserved == 0


async def test_of_two_who_fill_it_between_them_one_is_told(autojump_clock: MockClock) -> None:
    fillers = [child(Filler, id=id, backoff=NO_BACKOFF, mailbox=MailboxSpec(deliveries=5)) for id in ("a", "b")]
    async with opened(child(Counter, mailbox=THREE), *fillers) as running:
        for id in ("a", "b"):
            await running.ref(id).tell(Fill(3, "a pause"))
        (ended,) = await happened(running, ChildEnded)
        assert trio.current_time() < 5  # and not after the 30 s of both
        assert ended.failure is not None
        assert "and this handler and those that wait for room there have told it as many" in ended.failure.text
        await trio.sleep(60)  # the other one had the room that this gave back, and it was handled again
        assert await running.ref("counter").ask(Total()) == 6


@pytest.mark.parametrize("number", [2, 3])
async def test_of_those_who_fill_mailboxes_crosswise_one_is_told(number: int, autojump_clock: MockClock) -> None:
    counters = [child(Counter, id=f"counter{n}", mailbox=THREE) for n in range(number)]
    crossers = [child(Crosser, id=f"crosser{n}", backoff=NO_BACKOFF) for n in range(number)]
    async with opened(*counters, *crossers) as running:
        for n in range(number):
            await running.ref(f"crosser{n}").tell(Cross(f"counter{n}", 3, f"counter{(n + 1) % number}", 3))
        (ended,) = await happened(running, ChildEnded)
        assert trio.current_time() < 5  # and not after the 30 s of all
        assert ended.failure is not None
        assert "have told it as many, which leave when they settle: raise mailbox.capacity" in ended.failure.text
        named = ended.failure.text.partition("(")[2].partition(")")[0].split(", ")
        assert {*named, ended.path} == {f"crosser{n}" for n in range(number)}
        await trio.sleep(60)  # the others had the room that this gave back, and it was handled again
        assert [await running.ref(f"counter{n}").ask(Total()) for n in range(number)] == [6] * number


async def test_who_waits_for_somebody_that_goes_on_is_not_told_so(autojump_clock: MockClock) -> None:
    journal = MemoryJournal()
    counters = [child(Counter, id=f"counter{n}", mailbox=THREE) for n in range(2)]
    crossers = [child(Crosser, id=f"crosser{n}", backoff=NO_BACKOFF) for n in range(3)]
    async with opened(*counters, *crossers, journal=journal) as running:
        await running.ref("crosser0").tell(Cross("counter0", 3, "counter1", 1))
        await running.ref("crosser1").tell(Cross("counter1", 2, "counter0", 1))
        await running.ref("crosser2").tell(Cross("counter1", 1, "counter1", 0))  # waits for nobody
        await trio.sleep(1.5)
        assert [len(slot_of(running, f"counter{n}").line) for n in range(2)] == [1, 1]
        await trio.sleep(5)
        assert [await running.ref(f"counter{n}").ask(Total()) for n in range(2)] == [4, 4]
    assert await events(journal, DeadLettered) == []
    assert all(ended.failure is None for ended in await events(journal, ChildEnded))
