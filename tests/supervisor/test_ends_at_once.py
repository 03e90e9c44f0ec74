"""An end that comes while the supervisor has nothing to do is handled in the task that it comes from."""

from __future__ import annotations

import contextvars
import pathlib
from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.testing
from attrs import evolve, frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import VOLATILE, MailboxSpec
from treewarden.agents.core.message import Request
from treewarden.agents.errors import (
    AlreadyStarted,
    ConfigurationError,
    NoSuchSlot,
    NotFound,
    StartFailed,
    SupervisorGone,
)
from treewarden.supervisor import BRUTAL_KILL, NO_BACKOFF, ChildSpec, Intensity, Strategy, otp
from treewarden.supervisor.core.case import Case
from treewarden.supervisor.core.event import (
    ChildEnded,
    ChildStarted,
    ChildStartFailed,
    DeadLettered,
    Decided,
    IncidentOpened,
)
from treewarden.supervisor.core.guards import Declined, Option
from treewarden.supervisor.journal.memory import MemoryJournal
from treewarden.supervisor.journal.port import Commit
from treewarden.supervisor.queue import Queue
from treewarden.topologies import child, open_tree, tree

from ..journals import on_disk

MARK: contextvars.ContextVar[str] = contextvars.ContextVar("mark", default="")


@frozen
class Break:
    text: str = "told to"


@frozen
class Marked(Request[str]):
    """What the agent's context says."""


class Fragile(Agent[None]):
    def __init__(self, refuse: Callable[[], bool] = lambda: False) -> None:
        if refuse():
            raise RuntimeError("no more")
        self.born_with = MARK.get()

    @handles
    def break_down(self, message: Break) -> None:
        MARK.set("left behind")
        raise RuntimeError(message.text)

    @handles
    def marked(self, message: Marked) -> str:
        return MARK.get() or self.born_with


class Kept(MemoryJournal):
    """A journal that remembers the commits."""

    def __init__(self) -> None:
        super().__init__()
        self.commits: list[list[type]] = []

    def submit(self, commit: Commit, then: Callable[[BaseException | None], None]) -> None:
        self.commits.append([type(event) for _, event in commit.events])
        super().submit(commit, then)


def fragile(id: str = "a", **args: Any) -> ChildSpec:
    return child(Fragile, id=id, args=args, mailbox=MailboxSpec(durability=VOLATILE), backoff=NO_BACKOFF)


async def test_the_facts_of_a_crash_are_one_commit_in_their_order(autojump_clock: trio.testing.MockClock) -> None:
    journal = Kept()
    async with open_tree(tree(fragile(), policy=otp()), journal=journal) as running:
        del journal.commits[:]
        await running.ref("a").tell(Break())
        assert await running.ref("a").ask(Marked()) == ""
        assert journal.commits == [[ChildEnded, IncidentOpened, Decided, DeadLettered, ChildStarted]]


async def test_a_life_has_nothing_of_the_context_of_the_one_before(autojump_clock: trio.testing.MockClock) -> None:
    async with open_tree(tree(fragile(), policy=otp(), restarts=Intensity(10, 5.0))) as running:
        ref = running.ref("a")
        for life in range(2, 6):
            await ref.tell(Break())
            assert await ref.ask(Marked()) == ""
            assert running.snapshot()[0].incarnation == life


async def test_an_agent_that_cannot_be_made_again_is_tried_again_behind_what_waits(
    autojump_clock: trio.testing.MockClock,
) -> None:
    journal, made = Kept(), [0]

    def refuse() -> bool:
        made[0] += 1
        return made[0] in (2, 3)

    async with open_tree(tree(fragile(refuse=refuse), policy=otp()), journal=journal) as running:
        await running.ref("a").tell(Break())
        assert await running.ref("a").ask(Marked()) == ""
    kinds = [kind for commit in journal.commits for kind in commit]
    assert kinds.count(ChildStartFailed) == 2
    assert kinds.count(Decided) == 3


async def test_ends_in_one_turn_of_the_loop_are_all_handled(autojump_clock: trio.testing.MockClock) -> None:
    """Also those of a group, whose restart has to wait for its members, and that come while it does."""
    for strategy in (Strategy.ONE_FOR_ONE, Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE):
        blueprint = tree(
            *(fragile(f"n{n}") for n in range(5)), strategy=strategy, policy=otp(), restarts=Intensity(10, 5.0)
        )
        async with open_tree(blueprint) as running:
            for n in range(5):
                running.ref(f"n{n}").tell_nowait(Break())
            await trio.testing.wait_all_tasks_blocked()
            for n in range(5):
                assert await running.ref(f"n{n}").ask(Marked()) == ""
            assert {status.state for status in running.snapshot()} == {"up"}


async def test_leaving_while_a_group_restarts(autojump_clock: trio.testing.MockClock) -> None:
    """What was left to do when the tree was cancelled is not begun any more, and nobody complains."""
    with trio.CancelScope() as scope:
        async with open_tree(tree(fragile("a"), fragile("b"), strategy=Strategy.ONE_FOR_ALL)) as running:
            running.ref("a").tell_nowait(Break())
            running.ref("b").tell_nowait(Break())
            await trio.lowlevel.checkpoint()
            scope.cancel()
            await trio.lowlevel.checkpoint()
    assert scope.cancelled_caught


# -- the queue


async def test_the_queue_keeps_the_order_and_gives_nothing_to_a_reader_that_was_cancelled() -> None:
    queue = Queue()
    assert queue.get_nowait() is None
    with trio.move_on_after(0) as scope:
        await queue.get()
    assert scope.cancelled_caught
    assert queue.reader is None
    async with trio.open_nursery() as nursery:
        got: list[object] = []

        async def read() -> None:
            while len(got) < 3:
                got.append(await queue.get())

        nursery.start_soon(read)
        await trio.testing.wait_all_tasks_blocked()
        assert queue.reader is not None
        for item in "abc":
            queue.put(item)
        assert queue.reader is None
    assert got == ["a", "b", "c"]


async def test_a_reader_that_is_cancelled_as_something_comes_leaves_it_there() -> None:
    queue = Queue()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(queue.get)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
        queue.put("a")
    assert queue.get_nowait() == "a"


# -- grounds


@frozen
class Asked:
    """OTP's policy, which counts how often it has to explain itself."""

    explained: list[str]
    name: str = "asked"
    counts_alike: bool = False
    escalates: bool = True
    stable_after: float | None = None

    def propose(self, case: Case) -> tuple[Option, ...]:
        return otp().propose(case)

    def declined(self, case: Case) -> tuple[Declined, ...]:
        self.explained.append(case.signal.path)
        return (Declined("hold", "nobody is there to ask"),)


async def test_nobody_explains_what_nobody_reads(autojump_clock: trio.testing.MockClock) -> None:
    journal, asked = MemoryJournal(), Asked([])
    async with open_tree(tree(fragile(), policy=asked), journal=journal) as running:
        await running.ref("a").tell(Break())
        assert await running.ref("a").ask(Marked()) == ""
        assert asked.explained == []
        events = [record.event for record in await journal.read()]
        (decided,) = [event for event in events if isinstance(event, Decided)]
        assert [(other.action, other.why) for other in decided.rejected] == [("hold", "nobody is there to ask")]
        assert decided.signal.startswith("crashed: RuntimeError: told to")
        await journal.read()
        assert asked.explained == ["a"]


async def test_what_goes_to_a_file_is_explained_in_the_loop(tmp_path: pathlib.Path) -> None:
    asked = Asked([])
    async with open_tree(tree(fragile(), policy=asked), journal=on_disk(tmp_path / "t.db")) as running:
        await running.ref("a").tell(Break())
        assert await running.ref("a").ask(Marked()) == ""
        assert asked.explained == ["a"]


# -- agents without a scope of their own


async def test_an_idle_agent_is_killed_without_being_asked_and_the_next_one_takes_over(
    autojump_clock: trio.testing.MockClock,
) -> None:
    spec = evolve(fragile(), shutdown=BRUTAL_KILL)
    async with open_tree(tree(spec, policy=otp())) as running:
        ref, supervisor = running.ref("a"), running.supervisor()
        for life in (1, 2, 3):
            assert await ref.ask(Marked()) == ""
            assert running.snapshot()[0].incarnation == life
            await supervisor.terminate_child("a")
            await supervisor.restart_child("a")
        await supervisor.terminate_child("a")
    assert running.zombies == ()


async def test_an_agent_that_gives_way_is_killed_there_and_handles_nothing_more(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Its task comes back from giving way into a slot that another one lives in."""
    handled: list[int] = []

    class Busy(Agent[None]):
        def __init__(self) -> None:
            self.life_number = len(lives)
            lives.append(self)

        @handles
        def work(self, message: Break) -> None:
            handled.append(self.life_number)

    lives: list[Busy] = []
    spec = child(Busy, id="a", mailbox=MailboxSpec(capacity=5000, durability=VOLATILE), shutdown=BRUTAL_KILL)
    async with open_tree(tree(spec, policy=otp())) as running:
        ref, supervisor = running.ref("a"), running.supervisor()
        for _ in range(3000):
            ref.tell_nowait(Break())
        await trio.lowlevel.checkpoint()
        await supervisor.terminate_child("a")
        before = len(handled)
        assert 0 < before < 3000
        await supervisor.restart_child("a")
        await running.ref("a").tell(Break())
        await trio.testing.wait_all_tasks_blocked()
        assert set(handled[before:]) == {1}


# -- dynamic starts


async def test_a_dynamic_start_is_done_when_its_call_returns(autojump_clock: trio.testing.MockClock) -> None:
    refused = [False]
    blueprint = tree(fragile("n", refuse=lambda: refused[0]), strategy=Strategy.DYNAMIC, max_children=3)
    async with open_tree(blueprint) as running:
        supervisor = running.supervisor()
        started = await supervisor.start_dynamic(id="a")
        assert (started.path, started.incarnation) == ("a", 1)
        assert await running.ref("a").ask(Marked()) == ""
        with pytest.raises(AlreadyStarted):
            await supervisor.start_dynamic(id="a")
        refused[0] = True
        with pytest.raises(StartFailed, match="no more"):
            await supervisor.start_dynamic(id="b")
        refused[0] = False
        async with trio.open_nursery() as nursery:
            for _ in range(2):
                nursery.start_soon(supervisor.start_dynamic)
        with pytest.raises(ConfigurationError, match="max_children"):
            await supervisor.start_dynamic()
        assert [view.id for view in await supervisor.children()] == ["a", "n-1", "n-2"]


class Steps(trio.abc.Instrument):
    """Who has run."""

    def __init__(self) -> None:
        self.of: set[str] = set()

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.of.add(task.name)


@pytest.mark.parametrize("awake", [False, True])
async def test_the_end_of_one_that_is_idle_wakes_neither_it_nor_its_supervisor(
    awake: bool, autojump_clock: trio.testing.MockClock
) -> None:
    """Each of 100,000 that were ended one after the other was made whole first, and the loop was woken for it."""
    journal, steps = MemoryJournal(), Steps()
    below = tree(fragile("n"), strategy=Strategy.DYNAMIC, id="d")
    async with open_tree(tree(below), journal=journal) as running:
        supervisor = running.supervisor("d")
        first, other = [await supervisor.start_dynamic(id=id) for id in ("a", "b")]
        if awake:
            await running.ref("d/a").ask(Marked())
            await trio.sleep(600)
            assert running.snapshot()[-2].state == "up"
        trio.lowlevel.add_instrument(steps)
        await supervisor.terminate_dynamic("a", life=other.life)
        await supervisor.terminate_dynamic("a", life=first.life)
        trio.lowlevel.remove_instrument(steps)
        assert steps.of.isdisjoint({"d", "d/a"})
        assert [view.id for view in await supervisor.children()] == ["b"]
        with pytest.raises(NoSuchSlot):
            running.ref("d/a")
        with pytest.raises(NotFound):
            await supervisor.terminate_dynamic("a")
        assert (await supervisor.start_dynamic(id="a")).incarnation == 1
        ends = [(each.event.path, each.event.exit) for each in await journal.read() if type(each.event) is ChildEnded]
        assert ends == [("d/a", "stopped")]


class Slow(Agent[None]):
    async def on_start(self) -> None:
        await trio.sleep_forever()


async def test_a_caller_is_told_when_the_supervisor_is_killed_over_its_start(
    autojump_clock: trio.testing.MockClock,
) -> None:
    below = tree(child(Slow, id="n", start_within=100.0), strategy=Strategy.DYNAMIC, id="s", shutdown=BRUTAL_KILL)
    async with open_tree(tree(below)) as running:
        told: list[Exception] = []

        async def start() -> None:
            try:
                await running.supervisor("s").start_dynamic()
            except SupervisorGone as gone:
                told.append(gone)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(start)
            await trio.testing.wait_all_tasks_blocked()
            assert running.supervisor("s").busy
            await running.supervisor().terminate_child("s")
        assert len(told) == 1
