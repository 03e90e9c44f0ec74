"""Telling a pool: a broadcast reaches whom it can, and its numbers are those of its workers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio
from trio.testing import MockClock

from treewarden.agents.agent import Agent, handles
from treewarden.agents.errors import DeliveryError, MailboxFull
from treewarden.supervisor.core.spec import RestartPolicy
from treewarden.topologies.pool import pool

from .trees import Add, Counter, Total, opened, slot_of, volatile


async def test_a_broadcast_reaches_whom_it_can_and_names_the_others(autojump_clock: MockClock) -> None:
    worker = volatile(Counter, capacity=1, restart=RestartPolicy.TEMPORARY)
    async with opened(pool(worker, 3, "broadcast", id="pool")) as running:
        everybody, second = running.ref("pool"), slot_of(running, "pool/1")
        for place in range(3):
            slot_of(running, f"pool/{place}").pause("held")
        second.put_nowait(Add(100))
        for told in (lambda: everybody.tell(Add(1), within=0.5), lambda: nowait(everybody.tell_nowait, Add(1))):
            with pytest.raises(DeliveryError, match="pool: 2 of 3 workers got it, and these did not: pool/1") as partly:
                await told()
            assert not partly.value.retry_safe
            for place in (0, 2):
                slot = slot_of(running, f"pool/{place}")
                assert len(slot) == 1
                slot.take()
                slot.resume("held")
                slot.take()
                slot.pause("held")


async def nowait(call: Callable[[object], None], message: object) -> None:
    call(message)


async def test_a_broadcast_that_reaches_nobody_fails_as_one_tell_does(autojump_clock: MockClock) -> None:
    async with opened(pool(volatile(Counter, capacity=1), 2, "broadcast", id="pool")) as running:
        everybody = running.ref("pool")
        for place in range(2):
            slot_of(running, f"pool/{place}").pause("held")
        await everybody.tell(Add())
        with pytest.raises(MailboxFull, match="pool/0"):
            everybody.tell_nowait(Add())


async def test_the_statistics_of_a_pool_are_those_of_its_workers(autojump_clock: MockClock) -> None:
    async with opened(pool(volatile(Counter, capacity=5), 3, id="pool")) as running:
        for place in range(3):
            slot_of(running, f"pool/{place}").pause("held")
        for _ in range(4):
            await running.ref("pool").tell(Add())
        await trio.sleep(2)
        numbers = running.ref("pool").statistics()
        assert (numbers.depth, numbers.capacity, numbers.accepted) == (4, 15, 4)
        assert (numbers.oldest, numbers.paused) == (2.0, ("held",))
        slot_of(running, "pool/0").resume("held")
        assert running.ref("pool").statistics().paused == ()


class Forwarder(Agent[None]):
    """Holds on to a ref that it made before the pool was there."""

    async def on_start(self) -> None:
        self.to = self.ref("../pool")

    @handles
    async def pass_on(self, message: Add) -> None:
        await self.to.tell(message)

    @handles
    async def total(self, message: Total) -> int:
        return await self.to.ask(message)


async def test_a_ref_to_a_pool_may_be_older_than_the_pool(autojump_clock: MockClock) -> None:
    async with opened(volatile(Forwarder), pool(volatile(Counter), 1, id="pool")) as running:
        await running.ref("forwarder").tell(Add(3))
        assert await running.ref("forwarder").ask(Total()) == 3
