"""Ctrl-C at every step of a tree's tasks, one after the other: it ends at once, where nobody in it takes time."""

from __future__ import annotations

import signal
import sys
from concurrent.futures import Future

import pytest
import trio
import trio.testing
from attrs import frozen
from trio.testing import MockClock

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import VOLATILE, MailboxSpec
from treewarden.agents.core.message import Request
from treewarden.agents.mailbox import Mailbox
from treewarden.supervisor.child import Incarnation
from treewarden.supervisor.core.event import ChildEnded, ChildStarted
from treewarden.supervisor.core.spec import Strategy
from treewarden.supervisor.journal.memory import MemoryJournal
from treewarden.supervisor.queue import Queue
from treewarden.supervisor.settling import SlotStore
from treewarden.supervisor.timers import Timers
from treewarden.topologies.chaos.determinism import ordered_by
from treewarden.topologies.child import child
from treewarden.topologies.core.blueprint import Blueprint
from treewarden.topologies.open import open_tree
from treewarden.topologies.portal import Portal, open_portal
from treewarden.topologies.tree import tree

from ..interrupting import InterruptLine


@frozen
class Ping(Request[int]):
    pass


class Plain(Agent[int]):
    state = 0

    @handles
    async def ping(self, message: Ping) -> int:
        await trio.sleep(0.01)
        return self.state


class Slow(Plain):
    async def on_start(self) -> None:
        await trio.sleep(0.01)


class InterruptAt(trio.abc.Instrument):
    """Presses Ctrl-C after so many steps of tasks, of all together, when somebody is in the tree."""

    def __init__(self, step: int) -> None:
        self.step = step
        self.steps = 0
        self.counts = False
        self.opened = False

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        if self.counts:
            self.steps += 1
            if self.steps == self.step:
                signal.raise_signal(signal.SIGINT)


def low(*members: type[Agent[int]], strategy: Strategy = Strategy.ONE_FOR_ONE) -> Blueprint:
    in_memory = MailboxSpec(durability=VOLATILE)
    return tree(
        *(child(each, id=f"{number}", mailbox=in_memory) for number, each in enumerate(members)),
        id="low",
        strategy=strategy,
    )


TREES = {
    "nobody": tree(),
    "plain ones": tree(Plain, low(Plain, Plain)),
    "slow ones": tree(Slow, low(Plain, Slow), child(Slow, id="last")),
    "a supervisor without children": tree(Slow, low()),
}


async def interrupted(blueprint: Blueprint, at: InterruptAt, journal: MemoryJournal) -> None:
    at.counts, began = True, trio.current_time()
    try:
        async with open_tree(blueprint, journal=journal) as running:
            at.opened = True
            for status in running.snapshot():
                if not status.supervisor:
                    await running.ref(str(status.path)).ask(Ping())
    finally:
        at.counts = False
        assert trio.current_time() - began < 1


async def alive(journal: MemoryJournal) -> set[str]:
    """Who had begun, and has not ended."""
    found = set[str]()
    async with journal:
        for record in await journal.read():
            if isinstance(record.event, ChildStarted):
                found.add(record.event.path)
            elif isinstance(record.event, ChildEnded):
                found.discard(record.event.path)
    return found


@pytest.mark.parametrize("name", TREES)
def test_it_ends_at_once_and_in_order_while_it_opens(name: str) -> None:
    step = 0
    while True:
        step += 1
        at, journal = InterruptAt(step), MemoryJournal()
        try:
            with ordered_by(step):
                trio.run(interrupted, TREES[name], at, journal, clock=MockClock(autojump_threshold=0), instruments=[at])
        except KeyboardInterrupt:
            assert at.opened or trio.run(alive, journal) == set(), step
        else:
            break
    assert step > 10


HAND_OVER = (
    Queue.put,
    Queue.get,
    Mailbox.wait,
    Timers.put,
    vars(Timers)["_sleep"],
    vars(SlotStore)["_bring_in"],
    *(vars(Incarnation)[name] for name in ("_begin", "conclude", "_note")),
)


def test_nobody_is_left_waiting_by_what_was_interrupted() -> None:
    """A reader that is noted and not parked was rescheduled all the same, which trio calls an internal error; who
    waited for an end that was noted, and not told yet, waited for a minute."""
    line = 0
    while True:
        line += 1
        press = InterruptLine(line, *HAND_OVER)
        before = sys.gettrace()
        sys.settrace(press)
        try:
            with ordered_by(1):
                trio.run(
                    interrupted,
                    TREES["slow ones"],
                    InterruptAt(0),
                    MemoryJournal(),
                    clock=MockClock(autojump_threshold=0),
                )
        except KeyboardInterrupt:
            pass
        else:
            break
        finally:
            sys.settrace(before)
    assert line > 20


def test_no_thread_is_left_waiting_at_a_portal() -> None:
    """Between a reply and the word of it, Ctrl-C came out as an `InvalidStateError`, or told the thread nothing."""
    line, told = 0, list[Future[int]]()

    async def main() -> None:
        async with open_tree(TREES["plain ones"]) as running, open_portal(running) as portal:
            told.extend(portal.ask_soon(path, Ping()) for path in ("plain", "low/0", "low/1", "plain"))
            await trio.testing.wait_all_tasks_blocked()
            await trio.sleep(1)
            assert all(each.done() for each in told)
            told.append(portal.ask_soon("plain", Ping()))

    while True:
        line += 1
        told.clear()
        functions = [vars(Portal)[name] for name in ("_begin", "_run", "close")]
        press = InterruptLine(line, *functions, vars(sys.modules[Portal.__module__])["_interruptible"])
        before = sys.gettrace()
        sys.settrace(press)
        try:
            with ordered_by(1):
                trio.run(main, clock=MockClock(autojump_threshold=0))
        except KeyboardInterrupt:
            assert all(each.done() for each in told), line
        else:
            break
        finally:
            sys.settrace(before)
    assert line > 20
