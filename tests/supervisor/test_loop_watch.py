"""A handler that blocks the loop is named by a thread, in real time; one that only waits is not."""

from __future__ import annotations

import logging
import math
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest
import trio
import trio.testing
from attrs import frozen

from treewarden.agents.agent import Agent, every, handles
from treewarden.agents.core.exit import Exit
from treewarden.agents.core.message import Request
from treewarden.agents.core.path import Path
from treewarden.supervisor.core.action import Restart
from treewarden.supervisor.core.case import Case
from treewarden.supervisor.core.event import Decided, SignalNoted
from treewarden.supervisor.core.guards import Declined, Option
from treewarden.supervisor.core.spec import NO_BACKOFF
from treewarden.supervisor.journal.memory import MemoryJournal
from treewarden.supervisor.loop_watch import Blocked, LoopWatch, ProcessorUse, processor_use, signal_block, where
from treewarden.topologies.child import child
from treewarden.topologies.open import open_tree
from treewarden.topologies.running import Tree
from treewarden.topologies.tree import tree


@frozen
class Block(Request[bool]):
    """Hold up the whole loop; whether somebody said so meanwhile."""


@frozen
class Wait(Request[None]):
    """Wait as one should."""

    seconds: float


def hold_up(said: Sequence[object]) -> bool:
    """Until something is said, for however long that takes on a busy machine. Asleep, which needs no processor."""
    ends = time.monotonic() + 60
    while not said and time.monotonic() < ends:
        time.sleep(0.01)
    return bool(said)


class Rude(Agent[None]):
    def __init__(self, said: Sequence[object] = ()) -> None:
        self.said = said

    @handles
    async def block(self, message: Block) -> bool:
        return hold_up(self.said)

    @handles
    async def wait(self, message: Wait) -> None:
        await trio.sleep(message.seconds)


async def first_signal(running: Tree) -> SignalNoted:
    async with running.events() as records:
        async for record in records:
            if isinstance(record.event, SignalNoted):
                return record.event
    raise AssertionError("the journal ended before it")


async def test_a_blocked_loop_is_named_while_it_still_is(caplog: pytest.LogCaptureFixture) -> None:
    async with open_tree(tree(child(Rude, args={"said": caplog.records}))) as running:
        assert await running.ref("rude").ask(Block(), within=90)
        with trio.fail_after(60):
            noted = await first_signal(running)
    (warning,) = [each for each in caplog.records if each.name == "treewarden" and each.levelno == logging.WARNING]
    assert "rude: Rude.block has blocked the loop" in warning.getMessage()
    assert "test_loop_watch.py" in warning.getMessage()
    assert (noted.path, noted.kind) == ("rude", "loop_blocked")
    assert noted.facts["handler"] == "Rude.block"
    assert 0.5 <= noted.facts["seconds"] < 1.5, "so long as it had blocked then"


class Queue(Agent[None]):
    """One of several that hold up the loop one behind the other, each until one more was named."""

    def __init__(self, said: Sequence[object], turns: list[str]) -> None:
        self.said, self.turns = said, turns

    @handles
    async def block(self, message: Block) -> bool:
        before = len(self.turns)  # so many were named
        self.turns.append(str(self.path))
        return hold_up(Behind(self.said, before))


class Behind(Sequence[object]):
    def __init__(self, said: Sequence[object], before: int) -> None:
        self.said, self.before = said, before

    def __getitem__(self, at: Any) -> Any:
        return self.said[at]

    def __len__(self) -> int:
        return len(self.said) - self.before


async def test_who_blocks_the_loop_behind_another_one_is_named_too(caplog: pytest.LogCaptureFixture) -> None:
    turns: list[str] = []
    given = {"said": caplog.records, "turns": turns}
    queue = tree(*[child(Queue, id=id, args=given) for id in "abc"])
    async with open_tree(queue) as running, trio.open_nursery() as nursery:
        for id in "abc":
            nursery.start_soon(partial(running.ref(id).ask, Block(), within=200))
    warned = [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]
    assert [text.partition(" has")[0] for text in warned] == [f"{id}: Queue.block" for id in turns]


async def test_waiting_is_no_blocking(caplog: pytest.LogCaptureFixture) -> None:
    async with open_tree(tree(Rude)) as running:
        await running.ref("rude").ask(Wait(0.8), within=10)
    assert not [each for each in caplog.records if each.name == "treewarden"]


async def test_there_is_no_thread_under_a_mock_clock(autojump_clock: object) -> None:
    before = threading.active_count()
    async with open_tree(tree(Rude)):
        assert threading.active_count() == before


# -- what a stack says, without a thread


class Looks:
    """Asks from where it is called what the thread would say if that took a second."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def __call__(self) -> None:
        found = where(sys._getframe(1), 1.0)  # pyright: ignore[reportPrivateUsage]
        assert found is not None
        self.seen.append(str(found).partition(", at ")[0])


class Everywhere(Agent[None]):
    def __init__(self, look: Looks) -> None:
        self.look = look
        look()

    async def on_start(self) -> None:
        self.look()

    async def on_stop(self, exit: Exit) -> None:
        self.look()

    async def run(self) -> None:
        self.look()
        await trio.sleep_forever()

    @every(5)
    def tick(self) -> None:
        self.look()

    @handles
    async def wait(self, message: Wait) -> None:
        self.look()
        self.start_soon(self.help)
        await trio.sleep(message.seconds)

    async def help(self) -> None:
        self.look()


@frozen
class Deciding:
    look: Looks
    name: str = "mine"
    counts_alike: bool = False
    escalates: bool = True
    stable_after: None = None

    def propose(self, case: Case) -> tuple[Option, ...]:
        self.look()
        return (Option(Restart(), "mine", "a reason"),)

    def declined(self, case: Case) -> tuple[Declined, ...]:
        return ()


async def test_who_holds_up_the_loop_is_told_wherever_it_is(autojump_clock: object) -> None:
    look = Looks()

    async def look_first(_: Path) -> None:
        look()

    agent = child(Everywhere, id="a", args={"look": look}, backoff=NO_BACKOFF)
    async with open_tree(tree(tree(agent, id="s", on_start=look_first), policy=Deciding(look))) as running:
        await running.ref("s/a").ask(Wait(0.1))
        await trio.sleep(5)
        running.kill("s/a")
        await trio.testing.wait_all_tasks_blocked()
    said = [text.removesuffix(" has blocked the loop for 1 s") for text in look.seen]
    assert said[0].startswith("s: test_who_holds_up_the_loop")
    assert set(said[1:]) == {
        *(f"s/a: Everywhere.{name}" for name in ("__init__", "on_start", "run", "wait", "help", "tick", "on_stop")),
        "s/a: its policy mine (Deciding.propose)",
    }


def test_an_agent_is_named_by_its_path_where_no_function_of_its_own_is_at_work() -> None:
    """As while what it has settled is encoded; it was `desk:  has blocked the loop`."""
    blocked = Blocked(Path("desk"), "", "settling.py:141 in settle", 1.0)
    assert str(blocked).startswith("desk has blocked the loop for 1 s, at settling.py:141 in settle")


async def test_a_slow_policy_is_noted_and_not_asked_about_itself(autojump_clock: object) -> None:
    journal = MemoryJournal()
    async with open_tree(tree(Rude), journal=journal) as running:
        common = running._common  # pyright: ignore[reportPrivateUsage]
        signal_block(common, Blocked(Path("rude"), "Deciding.propose", "x.py:3 in propose", 1.25, "mine"))
        await trio.testing.wait_all_tasks_blocked()
        found = [record.event for record in await journal.read()]
    (noted,) = [event for event in found if isinstance(event, SignalNoted)]
    assert (noted.kind, noted.facts["policy"], noted.facts["seconds"]) == ("policy_slow", "mine", 1.25)
    assert not any(isinstance(event, Decided) for event in found)


async def test_code_that_keeps_the_interpreter_to_itself_is_named_when_it_is_over() -> None:
    """No thread runs meanwhile; a system that does not say how long a thread waited for a processor says nothing.

    What is named is where the loop is when threads run again, which now and then is a step further.
    """
    found: list[Blocked] = []
    told = processor_use().ran < math.inf
    watch = LoopWatch(found.append, limit=0.1)
    watch.start()
    try:
        for _ in range(100):
            await trio.lowlevel.checkpoint()
            if not told or any("keep_the_lock" in each.line for each in found):
                break
            keep_the_lock()
    finally:
        watch.stop()
    assert not told or any("keep_the_lock" in each.line for each in found)


def busy() -> subprocess.Popen[bytes]:
    return subprocess.Popen(["sh", "-c", "while :; do :; done"])


async def test_a_loop_that_has_no_processor_is_not_blocked() -> None:
    """Eight others share the one processor that its thread may use, and it computes for a third of the limit."""
    found: list[Blocked] = []
    thread, processors = threading.get_native_id(), os.sched_getaffinity(0)
    others = [busy() for _ in range(8)]
    watch = LoopWatch(found.append, limit=0.3)
    try:
        for each in (thread, *(other.pid for other in others)):
            os.sched_setaffinity(each, {min(processors)})
        watch.start()
        await trio.sleep(0.1)  # the watch has begun to wait for the loop
        began, ends = time.monotonic(), time.thread_time() + 0.1
        while time.thread_time() < ends:
            pass
        took = time.monotonic() - began
        await trio.sleep(0.1)  # what was found is told when the loop turns
    finally:
        for other in others:
            with other:
                other.kill()
        os.sched_setaffinity(thread, processors)
        watch.stop()
    assert took > 0.4, "otherwise it was not kept from running"
    assert found == [] or processor_use().ran == math.inf


WORKS = """
import time, trio
from treewarden.supervisor.loop_watch import LoopWatch

async def main():
    found = []
    watch = LoopWatch(found.append, limit=0.1)
    watch.start()
    print("works", flush=True)
    ends = time.monotonic() + 2.5
    while time.monotonic() < ends:
        until = time.thread_time() + 0.02
        while time.thread_time() < until:
            pass
        await trio.lowlevel.checkpoint()
    await trio.sleep(0.1)
    watch.stop()
    print(*found, sep="\\n", flush=True)

trio.run(main)
"""


def test_a_process_that_was_stopped_has_not_blocked_its_loop() -> None:
    """As a container that is paused: whoever was at work in that moment did nothing wrong."""
    works = subprocess.Popen([sys.executable, "-c", WORKS], stdout=subprocess.PIPE, text=True)
    with works:
        assert works.stdout is not None
        assert works.stdout.readline() == "works\n"
        for _ in range(4):
            time.sleep(0.15)
            works.send_signal(signal.SIGSTOP)
            time.sleep(0.35)
            works.send_signal(signal.SIGCONT)
        assert works.stdout.read().strip() == "" or processor_use().ran == math.inf


@pytest.mark.parametrize(
    ("now", "held"),
    [
        (ProcessorUse(1.5, 9.0, waits=True), 8.0 - 7.0),  # asleep: all that it waited for a processor is counted
        (ProcessorUse(1.5, 2.0, waits=False), 0.5),  # it may be waiting for one right now
        (ProcessorUse(), 8.0),  # nobody says it
    ],
)
def test_of_a_wait_counts_what_was_no_want_of_a_processor(now: ProcessorUse, held: float) -> None:
    assert now.held(8.0, ProcessorUse(1.0, 2.0)) == held


def keep_the_lock() -> None:
    re.match(r"(a+)+$", "a" * 22 + "b")
