"""treewarden's side: beginnings, ends and rest of many agents."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack
from typing import Any, Final

import trio
import trio.testing
from attrs import evolve, frozen
from harness import Measured, Run
from machine import available_bytes, resident_bytes
from ours import COUNT, everything_on
from work import ASK_WITHIN, CRASH, PING, Miscounted, Tally, longest_sleep

from treewarden.agents.agent import Agent, handles
from treewarden.agents.errors import TreeFailed
from treewarden.agents.ref import Ref
from treewarden.supervisor import Policy, Strategy, ladder, otp
from treewarden.topologies import Blueprint, Tree, open_tree, tree

_IDLE_WITHIN: Final = 60.0
"""Seconds, by the clock, in which all agents have to be without a task."""

__all__ = [
    "crash_under_ladder",
    "crash_under_otp",
    "idle_bytes",
    "million_slots",
    "spawn_dynamic",
    "spawn_static",
    "wake_latency",
]


async def spawn_static(run: Run) -> Measured:
    """Open a tree whose one supervisor has `size` children without on_start; their specs are made before."""
    blueprint = tree(*(everything_on(f"n{n}", Tally()) for n in range(run.size)))
    async with AsyncExitStack() as stack:
        with run.measured() as watch:
            opened = await stack.enter_async_context(open_tree(blueprint))
        begun = sum(status.incarnation == 1 for status in opened.snapshot())
        leaving = time.perf_counter()
    return watch.of(begun, note=f"stopped in {time.perf_counter() - leaving:.2f} s")


async def spawn_dynamic(run: Run) -> Measured:
    """Have a running supervisor start `size` children from its template, one call after the other."""
    tally = Tally()
    async with open_tree(tree(everything_on("n", tally), strategy=Strategy.DYNAMIC)) as opened:
        supervisor = opened.supervisor()
        with run.measured() as watch:
            for n in range(run.size):
                await supervisor.start_dynamic(id=f"n{n}")
        counts = await supervisor.count()
    return watch.of(counts.active)


async def idle_bytes(run: Run) -> Measured:
    """Bytes per agent that has handled one message and waits for the next, specs included.

    All are told at once, so all have a task at the same time; then nothing is done until they have become idle by the
    ordinary rule and with the ordinary `hibernate_after`. A hundred of them are asked afterwards whether they are still
    who they were.
    """
    tally = Tally()
    before = resident_bytes()
    with run.measured() as watch:
        blueprint = tree(*(everything_on(f"n{n}", tally) for n in range(run.size)))
        async with open_tree(blueprint) as opened:
            tasks = _tasks()
            done = tally.expect(run.size)
            for n in range(run.size):
                opened.ref(f"/n{n}").tell_nowait(PING)
            await done.wait()
            awake = resident_bytes() - before
            with trio.fail_after(_IDLE_WITHIN):
                while _tasks() > tasks:  # noqa: ASYNC110 (nobody tells: that would be a message)
                    await trio.sleep(0.5)
            grown = resident_bytes() - before
            for n in range(0, run.size, max(1, run.size // 100)):
                if await opened.ref(f"/n{n}").ask(COUNT, within=ASK_WITHIN) != 2:
                    raise Miscounted(f"/n{n} has not counted on from its first message")
    note = f"{awake / run.size:,.0f} B while all had their tasks"
    return watch.of(tally.must_be(run.size), value=grown / run.size, note=note)


def _tasks() -> int:
    return trio.lowlevel.current_statistics().tasks_living


async def crash_under_otp(run: Run) -> Measured:
    """From a crash to the answer of the next incarnation, as `otp()` decides it."""
    return await _crash(run, otp())


async def crash_under_ladder(run: Run) -> Measured:
    """From a crash to the answer of the next incarnation, as `ladder()` decides it."""
    return await _crash(run, ladder())


async def _crash(run: Run, policy: Policy) -> Measured:
    """One agent after the other crashes once, each under its own supervisor: no incident knows of another."""
    tally = Tally()
    below = (tree(everything_on("one", tally), id=f"n{n}", policy=policy) for n in range(run.size))
    async with open_tree(tree(*below)) as opened:
        refs = [opened.ref(f"/n{n}/one") for n in range(run.size)]
        for ref in refs:
            ref.tell_nowait(PING)
            await ref.ask(COUNT, within=ASK_WITHIN)
        with run.measured() as watch:
            for ref in refs:
                ref.tell_nowait(CRASH)
                if await ref.ask(COUNT, within=ASK_WITHIN) != 1:
                    raise Miscounted(f"{ref}: the incarnation that answered is not a new one")
        await trio.testing.wait_all_tasks_blocked()  # the last answer came before its supervisor was done
        restarted = sum(status.restarts == 1 for status in opened.snapshot() if not status.supervisor)
    return watch.of(restarted)


# -- a million slots


async def million_slots(run: Run) -> Measured:
    """Bytes per slot whose agent hibernates, specs included; then a thousand of them are woken by an ask.

    A fiftieth is tried first: where the whole would need more memory than there is, its figure stands and says so.
    """
    before = resident_bytes()
    part = run.size // 50
    per_slot = await _hibernating(Run(part), before)
    free = available_bytes()
    if free is not None and part and (per_slot.value or 0.0) * run.size > 0.8 * free:
        return per_slot
    with run.measured() as watch:
        whole = await _hibernating(run, before)
    return watch.of(whole.count, value=whole.value, note=whole.note)


async def _hibernating(run: Run, before: int) -> Measured:
    groups = max(1, run.size // 1_000)
    started = time.perf_counter()
    found: Measured | None = None
    ended = "stopped in {:.1f} s"
    leaving = started
    try:
        async with open_tree(_grouped(run.size, groups)) as opened:
            took = time.perf_counter() - started
            grown = resident_bytes() - before
            slots, each = await _wake_some(opened)
            note = f"{slots:,} slots opened in {took:.1f} s, woken in {each * 1e6:.0f} µs each"
            found = Measured(slots, took, took, grown / max(1, slots), note)
            leaving = time.perf_counter()
    except TreeFailed:
        if found is None:
            raise
        ended = "not stopped in order after {:.1f} s"  # which is another matter than how much they hold
    return evolve(found, note=f"{found.note}, {ended.format(time.perf_counter() - leaving)}")


async def _wake_some(opened: Tree) -> tuple[int, float]:
    """Ask a thousand slots; returns how many slots there are, and the seconds that one ask took."""
    slots = [status.path for status in opened.snapshot() if not status.supervisor]
    asked = slots[:: max(1, len(slots) // 1_000)]
    woken = time.perf_counter()
    for path in asked:
        if await opened.ref(path).ask(COUNT, within=ASK_WITHIN) != 1:
            raise Miscounted(f"{path}: somebody had been awake there")
    return len(slots), (time.perf_counter() - woken) / max(1, len(asked))


def _grouped(size: int, groups: int) -> Blueprint:
    tally = Tally()
    return tree(
        *(tree(*(everything_on(f"n{n}", tally) for n in range(g, size, groups)), id=f"g{g}") for g in range(groups))
    )


# -- a sleeper beside agents that never run dry


@frozen
class Spin:
    """Told by an agent to itself, for ever."""


class Spinner(Agent[None]):
    """An agent whose mailbox is never empty until the tally has its target."""

    def __init__(self, tally: Tally, path: str) -> None:
        self.tally = tally
        self.mine = path
        self.me: Ref | None = None
        self.spun = 0

    async def on_start(self) -> None:
        self.me = self.ref(self.mine)

    @handles
    def spin(self, message: Spin) -> None:
        self.spun += 1
        if self.tally.target < 0 and self.me is not None:
            self.me.tell_nowait(message)


async def wake_latency(run: Run) -> Measured:
    """The longest of `size` sleeps of 1 ms beside 50 agents that tell themselves the next message, in ms of CPU."""
    tally = Tally()
    made: list[Spinner] = []

    def spinner(**args: Any) -> Spinner:
        made.append(Spinner(**args))
        return made[-1]

    children = (everything_on(f"hot-{n}", tally, agent=spinner, path=f"/hot-{n}") for n in range(50))
    async with open_tree(tree(*children)) as opened:
        for n in range(50):
            for _ in range(2):
                opened.ref(f"/hot-{n}").tell_nowait(Spin())
        await trio.sleep(0.02)
        with run.measured() as watch:
            slept, longest, note = await longest_sleep(run.size)
        tally.target = 0
    idle = sum(not each.spun for each in made)
    if idle:
        raise Miscounted(f"{idle} of the 50 agents never got their turn")
    return watch.of(slept, value=longest, note=note)
