"""A handler that tells more messages than a mailbox holds: they leave with its settle, so it would wait for itself."""

from __future__ import annotations

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from treewarden.agents.core.durability import MESSAGE, MailboxSpec
from treewarden.agents.errors import MailboxFull
from treewarden.supervisor.core.event import ChildEnded, DeadLettered
from treewarden.supervisor.core.spec import NO_BACKOFF
from treewarden.topologies.child import child
from treewarden.topologies.pool import pool

from .test_tell_in_handlers import Pass, Sender
from .trees import Counter, Total, happened, opened, slot_of

THREE = MailboxSpec(capacity=3, durability=MESSAGE)


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
