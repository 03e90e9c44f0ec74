"""treewarden's side: messages and asks between agents with everything on."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Final

import trio
from attrs import frozen
from harness import Measured, Run
from work import ASK_WITHIN, BURST, PING, Crash, Miscounted, Ping, Tally

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import VOLATILE, MailboxSpec
from treewarden.agents.core.message import Request
from treewarden.agents.ref import Ref
from treewarden.supervisor import NO_BACKOFF, ChildSpec
from treewarden.topologies import child, open_tree, tree

__all__ = [
    "COUNT",
    "Count",
    "Counter",
    "ask_many",
    "ask_one",
    "everything_on",
    "fan_out",
    "tell_burst",
    "tell_full",
    "tell_one",
    "tell_ten",
    "tell_waiting",
]


@frozen
class Count(Request[int]):
    """How many have you counted?"""


COUNT: Final = Count()


class Counter(Agent[None]):
    """Counts what it is told, also on a tally that outlives it."""

    def __init__(self, tally: Tally) -> None:
        self.tally = tally
        self.counted = 0

    @handles
    def ping(self, message: Ping) -> None:
        self.counted += 1
        tally = self.tally
        tally.count += 1
        if tally.count == tally.target:
            tally.reached.set()

    @handles
    def tell_count(self, message: Count) -> int:
        self.counted += 1
        return self.counted

    @handles
    def crash(self, message: Crash) -> None:
        raise RuntimeError("told to")


def everything_on(id: str, tally: Tally, *, agent: Any = Counter, capacity: int = 64, **args: Any) -> ChildSpec:
    """A volatile child with all that an agent can have: a bounded mailbox, and a limit on how long it may hang.

    Dispatch by type, the control lane and the statistics are always on; a watchdog thread comes with the tree.
    """
    return child(
        agent,
        id=id,
        args={"tally": tally, **args},
        mailbox=MailboxSpec(capacity=capacity, durability=VOLATILE),
        progress_within=30.0,
        backoff=NO_BACKOFF,
    )


@asynccontextmanager
async def one_agent(tally: Tally, capacity: int) -> AsyncGenerator[Ref]:
    """A tree with one agent that is awake."""
    async with open_tree(tree(everything_on("one", tally, capacity=capacity))) as opened:
        ref = opened.ref("/one")
        await ref.ask(COUNT, within=ASK_WITHIN)
        yield ref


def _accepted(ref: Ref, sent: int) -> None:
    """Compare the mailbox's own statistics with what was sent; the ask that woke the agent is one more."""
    statistics = ref.statistics()
    if statistics.accepted != sent + 1 or statistics.dropped:
        raise Miscounted(f"{sent + 1} were sent and {statistics.accepted} accepted, {statistics.dropped} dropped")


async def _told_at_once(run: Run, together: int) -> Measured:
    """`tell_nowait` `together` messages, then let others run, until `size` have been sent and handled."""
    tally = Tally()
    async with one_agent(tally, BURST) as ref:
        tell, checkpoint = ref.tell_nowait, trio.lowlevel.checkpoint
        with run.measured() as watch:
            done = tally.expect(run.size)
            for _ in range(run.size // together):
                for _ in range(together):
                    tell(PING)
                await checkpoint()
            await done.wait()
        _accepted(ref, run.size)
    return watch.of(tally.must_be(run.size))


async def tell_one(run: Run) -> Measured:
    """One message, then the agent wakes."""
    return await _told_at_once(run, 1)


async def tell_ten(run: Run) -> Measured:
    """Ten messages, then the agent wakes."""
    return await _told_at_once(run, 10)


async def tell_burst(run: Run) -> Measured:
    """Bursts of 1,000, each handled before the next."""
    tally = Tally()
    async with one_agent(tally, BURST) as ref:
        tell = ref.tell_nowait
        with run.measured() as watch:
            for _ in range(run.size // BURST):
                done = tally.expect(BURST)
                for _ in range(BURST):
                    tell(PING)
                await done.wait()
        _accepted(ref, run.size)
    return watch.of(tally.must_be(run.size))


async def tell_waiting(run: Run) -> Measured:
    """`await tell` from one sender into a mailbox of 100."""
    return await _told_with_backpressure(run, senders=1, capacity=100)


async def tell_full(run: Run) -> Measured:
    """`await tell` from four senders into a mailbox of 64, which they keep full."""
    return await _told_with_backpressure(run, senders=4, capacity=64)


async def _told_with_backpressure(run: Run, *, senders: int, capacity: int) -> Measured:
    tally = Tally()
    async with one_agent(tally, capacity) as ref:
        with run.measured() as watch:
            done = tally.expect(run.size)
            async with trio.open_nursery() as nursery:
                for _ in range(senders):
                    nursery.start_soon(_tell, ref, run.size // senders)
            await done.wait()
        _accepted(ref, run.size)
    return watch.of(tally.must_be(run.size))


async def _tell(ref: Ref, times: int) -> None:
    for _ in range(times):
        await ref.tell(PING)


async def fan_out(run: Run) -> Measured:
    """One message to each of 10,000 agents (or half of `size`), again and again; all are awake before."""
    tally = Tally()
    agents = min(10_000, run.size // 2)
    rounds = run.size // agents
    async with open_tree(tree(*(everything_on(f"n{n}", tally) for n in range(agents)))) as opened:
        refs = [opened.ref(f"/n{n}") for n in range(agents)]
        await _one_to_each(refs, tally)
        with run.measured() as watch:
            for _ in range(rounds):
                await _one_to_each(refs, tally)
    return watch.of(tally.must_be(agents * (rounds + 1)) - agents)


async def _one_to_each(refs: list[Ref], tally: Tally) -> None:
    done = tally.expect(len(refs))
    for ref in refs:
        ref.tell_nowait(PING)
    await done.wait()


async def ask_one(run: Run) -> Measured:
    """One asker, one agent, each ask with a limit."""
    async with one_agent(Tally(), 64) as ref:
        with run.measured() as watch:
            replied = await _ask(ref, run.size)
    return watch.of(replied)


async def ask_many(run: Run) -> Measured:
    """100 askers, each with an agent of its own."""
    askers, tally = 100, Tally()
    async with open_tree(tree(*(everything_on(f"n{n}", tally) for n in range(askers)))) as opened:
        refs = [opened.ref(f"/n{n}") for n in range(askers)]
        for ref in refs:
            await ref.ask(COUNT, within=ASK_WITHIN)
        with run.measured() as watch:
            async with trio.open_nursery() as nursery:
                for ref in refs:
                    nursery.start_soon(_ask, ref, run.size // askers)
        replied = [await ref.ask(COUNT, within=ASK_WITHIN) - 2 for ref in refs]
    return watch.of(sum(replied))


async def _ask(ref: Ref, times: int) -> int:
    """Ask `times` times; returns how many were answered, by the agent's own count."""
    last = 1  # the ask that woke it
    for _ in range(times):
        reply = await ref.ask(COUNT, within=ASK_WITHIN)
        if reply != last + 1:
            raise Miscounted(f"reply {reply} came after {last}")
        last = reply
    return last - 1
