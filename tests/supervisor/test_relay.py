"""The task of a life that has ended goes on with the next life of its slot, where nobody can tell the difference."""

from __future__ import annotations

import contextvars
import traceback

import pytest
import trio
import trio.testing
from attrs import frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import VOLATILE, MailboxSpec
from treewarden.agents.core.exit import leaves
from treewarden.agents.core.message import Request
from treewarden.agents.errors import TreeFailed
from treewarden.supervisor import NO_BACKOFF, ChildSpec, Intensity, Strategy, otp
from treewarden.topologies import Blueprint, child, open_tree, tree

from ..agents.trees import slot_of

MARK: contextvars.ContextVar[str] = contextvars.ContextVar("mark", default="")
OFTEN = Intensity(1_000, 5.0)


@frozen
class Crash:
    mark: str = ""


@frozen
class Where(Request[tuple[trio.lowlevel.Task, str]]):
    """In which task the handler runs, and what its context says."""


class Fragile(Agent[None]):
    @handles
    def crash(self, message: Crash) -> None:
        if message.mark:
            MARK.set(message.mark)
        raise RuntimeError("told to")

    @handles
    async def where(self, message: Where) -> tuple[trio.lowlevel.Task, str]:
        await trio.lowlevel.checkpoint()  # what awaits nothing may run in the task of whoever asks
        return trio.lowlevel.current_task(), MARK.get()


def fragile(id: str = "a") -> ChildSpec:
    return child(Fragile, id=id, mailbox=MailboxSpec(durability=VOLATILE, capacity=1_000), backoff=NO_BACKOFF)


def fragiles(*ids: str, strategy: Strategy = Strategy.ONE_FOR_ONE) -> Blueprint:
    return tree(*map(fragile, ids), policy=otp(), restarts=OFTEN, strategy=strategy)


async def test_the_next_life_goes_on_in_the_task_of_the_last_one(autojump_clock: trio.testing.MockClock) -> None:
    async with open_tree(fragiles("a", "b")) as running:
        ref = running.ref("a")
        first, _ = await ref.ask(Where())
        for life in range(2, 40):
            ref.tell_nowait(Crash())
            assert await ref.ask(Where()) == (first, "")
            assert running.snapshot()[0].incarnation == life
        other, _ = await running.ref("b").ask(Where())
        assert other is not first


async def test_a_life_that_has_set_context_variables_takes_its_task_along(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with open_tree(fragiles("a")) as running:
        ref = running.ref("a")
        first, _ = await ref.ask(Where())
        ref.tell_nowait(Crash("left behind"))
        second, mark = await ref.ask(Where())
        assert second is not first
        assert mark == ""
        ref.tell_nowait(Crash())
        assert await ref.ask(Where()) == (second, "")


async def test_a_group_is_started_by_its_supervisor(autojump_clock: trio.testing.MockClock) -> None:
    """What has to wait for siblings is not done in the task of the one that has failed."""
    async with open_tree(fragiles("a", "b", strategy=Strategy.ONE_FOR_ALL)) as running:
        tasks = {id: await running.ref(id).ask(Where()) for id in ("a", "b")}
        running.ref("b").tell_nowait(Crash())
        await trio.testing.wait_all_tasks_blocked()
        for id, (task, _) in tasks.items():
            assert (await running.ref(id).ask(Where()))[0] is not task
        assert [status.incarnation for status in running.snapshot() if not status.supervisor] == [2, 2]


async def test_others_get_a_turn_however_many_lives_follow_one_another(autojump_clock: trio.testing.MockClock) -> None:
    """Nobody waits for more than a few of them."""
    async with open_tree(fragiles("a")) as running:
        ref, seen = running.ref("a"), list[int]()
        await ref.ask(Where())
        for _ in range(200):
            ref.tell_nowait(Crash())
        while running.snapshot()[0].incarnation <= 200:
            await trio.lowlevel.checkpoint()
            seen.append(running.snapshot()[0].incarnation)
        assert max(after - before for before, after in zip([1, *seen], seen, strict=False)) <= 40


async def test_who_is_killed_before_its_turn_handles_nothing(autojump_clock: trio.testing.MockClock) -> None:
    async with open_tree(fragiles("a")) as running:
        ref = running.ref("a")
        await ref.ask(Where())
        for _ in range(100):
            ref.tell_nowait(Crash())
        await trio.lowlevel.checkpoint()
        assert running.snapshot()[0].incarnation < 100
        await running.supervisor().terminate_child("a")
        begun = running.snapshot()[0].incarnation
        await trio.testing.wait_all_tasks_blocked()
        assert running.snapshot()[0].incarnation == begun
        assert running.snapshot()[0].state == "down"


async def test_who_is_killed_when_it_has_just_been_woken_begins_nothing(autojump_clock: trio.testing.MockClock) -> None:
    """Its wake is on its way, so the cancellation reaches it only at its next wait."""
    async with open_tree(fragiles("a")) as running:
        ref = running.ref("a")
        seen: list[tuple[trio.lowlevel.Task, str]] = []

        async def ask() -> None:
            seen.append(await ref.ask(Where()))

        first, killed = trio.lowlevel.current_task(), False
        for _ in range(100):  # trio tosses for whether it or we have the next turn
            first, _ = await ref.ask(Where())
            seen.clear()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ask)
                while not seen and not killed:
                    await trio.lowlevel.checkpoint()
                    killed = slot_of(running, "a").arrived and running.kill("a")
            if killed:
                break
        assert killed
        assert [task is first for task, _ in seen] == [False]


async def test_an_agent_has_not_the_context_variables_of_who_sends_first(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """It begins with those of whoever opened the tree, also if it needs no task before its first message."""
    MARK.set("opened")
    async with open_tree(fragiles("a", "b")) as running:
        MARK.set("a request's")
        assert (await running.ref("a").ask(Where()))[1] == "opened"
        running.kill("a")
        assert (await running.ref("a").ask(Where()))[1] == "opened"
        running.ref("b").tell_nowait(Crash())
        assert (await running.ref("b").ask(Where()))[1] == "opened"


async def test_leaving_while_lives_follow_one_another(autojump_clock: trio.testing.MockClock) -> None:
    with trio.fail_after(60):
        async with open_tree(fragiles("a")) as running:
            for _ in range(100):
                running.ref("a").tell_nowait(Crash())
            await trio.lowlevel.checkpoint()


async def crash_once_too_often() -> None:
    once = tree(fragile(), policy=otp(), restarts=Intensity(0, 5.0))
    async with open_tree(once) as running:
        await running.ref("/a").tell(Crash())
        await trio.sleep_forever()


async def test_the_traceback_of_what_is_kept_begins_where_the_agent_does(
    autojump_clock: trio.testing.MockClock,
) -> None:
    with pytest.raises(TreeFailed) as failed:
        await crash_once_too_often()
    assert failed.value.group is not None
    (leaf,) = leaves(failed.value.group)
    assert [frame.name for frame in traceback.extract_tb(leaf.__traceback__)] == ["crash"]
