"""The same work by hand: a nursery, a memory channel per actor and a loop that survives what its handlers raise.

It is what one writes with trio alone. It has no supervision, no statistics, no priorities and no limit but the
channel's; the reply of an ask comes through a channel of its own, under `fail_after`.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

import trio
import trio.testing
from attrs import frozen
from harness import Measured, Run
from machine import resident_bytes
from work import ASK_WITHIN, BURST, CRASH, PING, Crash, Miscounted, Ping, Tally, longest_sleep

__all__ = [
    "ask_many",
    "ask_one",
    "crash",
    "fan_out",
    "idle_bytes",
    "spawn",
    "tell_burst",
    "tell_full",
    "tell_one",
    "tell_ten",
    "tell_waiting",
    "wake_latency",
]


@frozen(eq=False)
class Count:
    """How many have you counted?"""

    reply: trio.MemorySendChannel[int]


class Actor:
    """A channel and a loop."""

    def __init__(self, tally: Tally, room: float = 64) -> None:
        self.tally = tally
        self.counted: int = 0
        self.send, self.receive = trio.open_memory_channel[object](room)

    async def run(self) -> None:
        while True:
            try:
                async for message in self.receive:
                    self.handle(message)
                return
            except RuntimeError:
                self.counted = 0

    def handle(self, message: object) -> None:
        if isinstance(message, Ping):
            self.counted += 1
            tally = self.tally
            tally.count += 1
            if tally.count == tally.target:
                tally.reached.set()
        elif isinstance(message, Count):
            self.counted += 1
            message.reply.send_nowait(self.counted)
        elif isinstance(message, Crash):
            raise RuntimeError("told to")

    async def ask(self) -> int:
        """As one asks without a limit."""
        reply, answer = trio.open_memory_channel[int](1)
        await self.send.send(Count(reply))
        return await answer.receive()

    async def ask_within(self, seconds: float) -> int:
        with trio.fail_after(seconds):
            return await self.ask()


@asynccontextmanager
async def running(actors: Sequence[Actor]) -> AsyncGenerator[None]:
    """Run these in one nursery for the length of the block."""
    async with trio.open_nursery() as nursery:
        for actor in actors:
            nursery.start_soon(actor.run)
        await trio.testing.wait_all_tasks_blocked()
        yield
        nursery.cancel_scope.cancel()


# -- messages


async def tell_burst(run: Run) -> Measured:
    """`send_nowait` in bursts of 1,000, each handled before the next."""
    tally = Tally()
    actor = Actor(tally, math.inf)
    async with running([actor]):
        tell = actor.send.send_nowait
        with run.measured() as watch:
            for _ in range(run.size // BURST):
                done = tally.expect(BURST)
                for _ in range(BURST):
                    tell(PING)
                await done.wait()
    return watch.of(tally.must_be(run.size))


async def tell_ten(run: Run) -> Measured:
    """Ten `send_nowait`, then the actor runs."""
    tally = Tally()
    actor = Actor(tally, math.inf)
    async with running([actor]):
        tell, checkpoint = actor.send.send_nowait, trio.lowlevel.checkpoint
        with run.measured() as watch:
            done = tally.expect(run.size)
            for _ in range(run.size // 10):
                for _ in range(10):
                    tell(PING)
                await checkpoint()
            await done.wait()
    return watch.of(tally.must_be(run.size))


async def tell_one(run: Run) -> Measured:
    """`await send`, which lets the actor run after every message."""
    return await _sent(run, senders=1, room=math.inf)


async def tell_waiting(run: Run) -> Measured:
    """`await send` from one sender into a channel of 100."""
    return await _sent(run, senders=1, room=100)


async def tell_full(run: Run) -> Measured:
    """`await send` from four senders into a channel of 64."""
    return await _sent(run, senders=4, room=64)


async def _sent(run: Run, *, senders: int, room: float) -> Measured:
    tally = Tally()
    actor = Actor(tally, room)
    async with running([actor]):
        with run.measured() as watch:
            done = tally.expect(run.size)
            async with trio.open_nursery() as nursery:
                for _ in range(senders):
                    nursery.start_soon(_send, actor, run.size // senders)
            await done.wait()
    return watch.of(tally.must_be(run.size))


async def _send(actor: Actor, times: int) -> None:
    for _ in range(times):
        await actor.send.send(PING)


async def fan_out(run: Run) -> Measured:
    """One message to each of 10,000 actors (or half of `size`), again and again."""
    tally = Tally()
    actors = [Actor(tally) for _ in range(min(10_000, run.size // 2))]
    rounds = run.size // len(actors)
    async with running(actors):
        with run.measured() as watch:
            for _ in range(rounds):
                done = tally.expect(len(actors))
                for actor in actors:
                    actor.send.send_nowait(PING)
                await done.wait()
    return watch.of(tally.must_be(len(actors) * rounds))


# -- asks


async def ask_one(run: Run) -> Measured:
    """One asker, one actor."""
    actor = Actor(Tally())
    async with running([actor]):
        with run.measured() as watch:
            await _ask(actor, run.size)
    return watch.of(actor.counted)


async def ask_many(run: Run) -> Measured:
    """100 askers, each with an actor of its own."""
    actors = [Actor(Tally()) for _ in range(100)]
    async with running(actors):
        with run.measured() as watch:
            async with trio.open_nursery() as nursery:
                for actor in actors:
                    nursery.start_soon(_ask, actor, run.size // len(actors))
    return watch.of(sum(actor.counted for actor in actors))


async def _ask(actor: Actor, times: int) -> None:
    for n in range(1, times + 1):
        reply = await actor.ask_within(ASK_WITHIN)
        if reply != n:
            raise Miscounted(f"reply {reply} to ask {n}")


# -- lives


async def spawn(run: Run) -> Measured:
    """Make actors and start their tasks in one nursery, supervised by nobody; over when all of them wait."""
    tally = Tally()
    async with trio.open_nursery() as nursery:
        with run.measured() as watch:
            actors = [Actor(tally) for _ in range(run.size)]
            for actor in actors:
                nursery.start_soon(actor.run)
            await trio.testing.wait_all_tasks_blocked()
        begun = len(nursery.child_tasks)
        nursery.cancel_scope.cancel()
    return watch.of(begun)


async def idle_bytes(run: Run) -> Measured:
    """Bytes per actor that has handled one message and waits for the next."""
    tally = Tally()
    before = resident_bytes()
    with run.measured() as watch:
        actors = [Actor(tally, 100) for _ in range(run.size)]
        async with running(actors):
            done = tally.expect(run.size)
            for actor in actors:
                actor.send.send_nowait(PING)
            await done.wait()
            await trio.testing.wait_all_tasks_blocked()
            grown = resident_bytes() - before
    return watch.of(tally.must_be(run.size), value=grown / run.size)


async def crash(run: Run) -> Measured:
    """From a crash to the next answer, asked without a limit: the loop goes on, and nobody decides anything."""
    actors = [Actor(Tally()) for _ in range(run.size)]
    async with running(actors):
        for actor in actors:
            await actor.ask()
        with run.measured() as watch:
            for actor in actors:
                actor.send.send_nowait(CRASH)
                if await actor.ask() != 1:
                    raise Miscounted("the actor that answered has not begun anew")
    return watch.of(len(actors))


class Spinner(Actor):
    """An actor whose channel is never empty until the tally has its target."""

    def handle(self, message: object) -> None:
        self.counted += 1
        if self.tally.target < 0:
            self.send.send_nowait(message)


async def wake_latency(run: Run) -> Measured:
    """The longest of `size` sleeps of 1 ms beside 50 actors that send themselves the next message, in ms of CPU.

    A channel's every receive lets the others run. A loop that drains with `receive_nowait` is faster and lets nobody.
    """
    tally = Tally()
    actors = [Spinner(tally) for _ in range(50)]
    async with running(actors):
        for actor in actors:
            for _ in range(2):
                actor.send.send_nowait(PING)
        with run.measured() as watch:
            slept, longest, note = await longest_sleep(run.size)
        tally.target = 0
    if not all(actor.counted for actor in actors):
        raise Miscounted("some of the 50 actors never got their turn")
    return watch.of(slept, value=longest, note=note)
