"""Who has had nothing to do for a while gives its task back, and nobody but the task can tell."""

from __future__ import annotations

import gc
import math
import weakref
from functools import partial
from typing import Any

import pytest
import trio
import trio.testing
from attrs import frozen
from trio.testing import MockClock

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import MESSAGE, VOLATILE, Checkpointed, MailboxSpec
from treewarden.agents.core.exit import Stopped
from treewarden.agents.core.message import Request
from treewarden.agents.errors import ConfigurationError, RateLimited, Stop
from treewarden.supervisor import otp
from treewarden.supervisor.journal.memory import MemoryJournal
from treewarden.topologies import child, open_tree, pool, tree

from ..agents.trees import Disk
from .idlers import (
    AFTER,
    MARK,
    Both,
    Call,
    Do,
    Keeps,
    Later,
    Plain,
    Runs,
    Starts,
    Stops,
    Ticks,
    Where,
    asleep,
    one,
    opened,
    rest,
    slot_of,
)


async def test_it_gives_its_task_back_and_goes_on_in_another(autojump_clock: MockClock) -> None:
    async with opened(one()) as running:
        ref, slot = running.ref("a"), slot_of(running)
        await ref.tell(Do(lambda self: setattr(self, "own", 7)))
        first = await ref.ask(Where())
        tasks = trio.lowlevel.current_statistics().tasks_living
        await trio.sleep(AFTER - 0.1)
        assert slot.rouse is None, "not before it has been idle for so long"
        await trio.sleep(AFTER + 0.2)
        assert slot.rouse is not None, "and not later than twice that"
        assert trio.lowlevel.current_statistics().tasks_living == tasks - 1
        (status,) = await running.supervisor().children()
        assert status.incarnation == 1
        assert await ref.ask(Call(lambda self: (self.own, self.state))) == (7, 1)
        second = await ref.ask(Where())
        assert second is not first
        assert running.snapshot()[0].incarnation == 1
        assert ref.statistics().accepted == 4


async def test_who_does_something_now_and_then_keeps_its_task(autojump_clock: MockClock) -> None:
    async with opened(one()) as running:
        ref = running.ref("a")
        first = await ref.ask(Where())
        for _ in range(20):
            await trio.sleep(AFTER * 0.9)
            assert await ref.ask(Where()) is first


@pytest.mark.parametrize(
    ("agent", "after"),
    [(Plain, float("inf")), (Keeps, AFTER), (Runs, AFTER), (Both, AFTER)],
    ids=lambda each: str(each),
)
async def test_who_needs_its_task_keeps_it(agent: type[Plain], after: float, autojump_clock: MockClock) -> None:
    async with opened(one(agent, after=after)) as running:
        ref = running.ref("a")
        first = await ref.ask(Where())
        await trio.sleep(100)
        assert await ref.ask(Where()) is first


async def test_who_holds_a_nursery_open_keeps_its_task_until_it_is_closed(autojump_clock: MockClock) -> None:
    async def opens(self: Any) -> None:
        self.own = trio.open_nursery()
        (await self.own.__aenter__()).start_soon(trio.sleep, 1)

    async with opened(one()) as running:
        ref = running.ref("a")
        await ref.tell(Do(opens))
        first = await ref.ask(Where())
        await trio.sleep(50)
        await ref.tell(Do(lambda self: self.own.__aexit__(None, None, None)))
        assert await ref.ask(Where()) is first
        await asleep(running)


@pytest.mark.parametrize("agent", [Starts, Stops, Ticks])
async def test_others_with_a_life_of_their_own_give_it_back(agent: type[Plain], autojump_clock: MockClock) -> None:
    log: list[Any] = []
    async with opened(one(agent, args={"log": log})) as running:
        first = await running.ref("a").ask(Where())
        await asleep(running)
        assert await running.ref("a").ask(Where()) is not first
        await asleep(running)
    assert log == {"Starts": ["started"], "Stops": [Stopped("shutdown")]}.get(agent.__name__, log[:1])


async def test_ticks_and_what_it_has_set_for_itself_come_on_their_grid(autojump_clock: MockClock) -> None:
    log: list[Any] = []
    async with opened(one(Ticks, args={"log": log})) as running:
        begun = trio.current_time()
        await running.ref("a").ask(Call(lambda self: self.after(45.0, Later())))
        await asleep(running)
        await trio.sleep(100)
    later = ("later", begun + 45)
    assert log == [("tick", begun), ("tick", begun + 30), later, ("tick", begun + 60), ("tick", begun + 90)]


@pytest.mark.parametrize("agent", [Plain, Stops])
@pytest.mark.parametrize("what", ["tell", "ask", "stop", "kill", "fail"])
async def test_what_comes_while_it_falls_asleep_is_not_missed(
    agent: type[Plain], what: str, autojump_clock: MockClock
) -> None:
    log: list[Any] = []
    async with opened(one(agent, args={"log": log})) as running:
        ref, slot = running.ref("a"), slot_of(running)
        await ref.tell(Do(lambda self: None))
        await trio.testing.wait_all_tasks_blocked()
        slot.send_to_sleep()
        with trio.fail_after(1):
            match what:
                case "tell":
                    ref.tell_nowait(Do(lambda self: log.append("told")))
                    await trio.testing.wait_all_tasks_blocked()
                    assert log == ["told"]
                case "ask":
                    assert await ref.ask(Call(lambda self: self.state)) == 1
                case "stop":
                    await running.supervisor().terminate_child("a")
                    assert running.snapshot()[0].incarnation == 1
                case "kill":
                    running.kill("a")
                    await trio.testing.wait_all_tasks_blocked()
                    assert await ref.ask(Call(lambda self: self.state)) == 1
                    assert running.snapshot()[0].incarnation == 2
                case _:
                    ref.tell_nowait(Do(lambda self: 1 / 0))
                    assert await ref.ask(Call(lambda self: self.state)) == 1
                    assert running.snapshot()[0].incarnation == 2
    assert agent is Plain or log[-1] == Stopped("shutdown")


@pytest.mark.parametrize("what", ["stop", "kill", "fail", "end"])
async def test_its_end_is_the_end_of_one_that_is_awake(what: str, autojump_clock: MockClock) -> None:
    log: list[Any] = []

    def ends(self: Any) -> None:
        raise Stop

    async with opened(one(Stops, args={"log": log})) as running:
        ref = running.ref("a")
        await ref.tell(Do(lambda self: None))
        await asleep(running)
        if what == "stop":
            await running.supervisor().terminate_child("a")
            assert log == [Stopped("shutdown")]
            return
        if what == "kill":
            running.kill("a")
        else:
            ref.tell_nowait(Do(ends if what == "end" else lambda self: 1 / 0))
        assert await ref.ask(Call(lambda self: self.state)) == (2 if what == "end" else 1)
        assert running.snapshot()[0].incarnation == 2
        assert len(log) == (what != "kill")


@frozen
class Add:
    amount: int


@frozen
class Total(Request[int]): ...


@frozen
class Grow(Request[int]): ...


class Stored(Agent[int]):
    state = 0

    @handles
    def grow(self, message: Grow) -> int:
        self.state += 1
        return self.state

    @handles
    def add(self, message: Add) -> None:
        self.state += message.amount

    @handles
    async def total(self, message: Total) -> int:
        return self.state


async def test_what_no_checkpoint_has_kept_yet_is_kept_at_its_end(autojump_clock: MockClock) -> None:
    level, journal = Checkpointed(messages=100), MemoryJournal()
    async with opened(one(Stored, level), journal=journal) as running:
        for _ in range(3):
            await running.ref("a").tell(Add(1))
        await asleep(running)
    async with opened(one(Stored, level), journal=journal) as running:
        assert await running.ref("a").ask(Total()) == 3


async def test_a_checkpoint_comes_when_it_is_due(autojump_clock: MockClock) -> None:
    journal = MemoryJournal()
    async with opened(one(Stored, Checkpointed(seconds=60)), journal=journal) as running:
        await running.ref("a").tell(Add(1))
        await asleep(running)
        path = running.ref("a").path
        assert (await journal.recover(path)).state is None
        await trio.sleep(61)
        assert (await journal.recover(path)).state is not None


async def test_it_stays_awake_while_something_is_on_its_way_to_the_disk(autojump_clock: MockClock) -> None:
    disk = Disk()
    async with opened(one(Stored, MESSAGE), journal=disk) as running:
        disk.slow = True
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(running.ref("a").ask, Grow(), within=1000.0))
            await trio.sleep(5 * AFTER)
            assert slot_of(running).rouse is None
            disk.slow = False
            disk.go()
        await asleep(running)


@pytest.mark.usefixtures("frozen")
async def test_a_life_that_has_ended_is_forgotten(autojump_clock: MockClock) -> None:
    lives: list[weakref.ref[Any]] = []
    async with opened(one(after=1000.0)) as running:
        for _ in range(3):
            await running.ref("a").tell(Do(lambda self: lives.append(weakref.ref(self))))
            await trio.testing.wait_all_tasks_blocked()
            running.kill("a")
            await trio.testing.wait_all_tasks_blocked()
        await running.ref("a").tell(Do(lambda self: None))
        await trio.testing.wait_all_tasks_blocked()
        gc.collect()
        assert [life() for life in lives] == [None] * 3


async def test_context_variables_stay_as_its_handlers_have_set_them(autojump_clock: MockClock) -> None:
    async with opened(one(Starts)) as running:
        ref = running.ref("a")
        await ref.tell(Do(lambda self: None))
        await asleep(running)
        MARK.set("of somebody else")
        assert await ref.ask(Call(lambda self: MARK.get())) == "from on_start"
        await ref.tell(Do(lambda self: MARK.set("from a handler") and None))
        await asleep(running)
        assert await ref.ask(Call(lambda self: MARK.get())) == "from a handler"
        await asleep(running)
        assert await ref.ask(Call(lambda self: MARK.get())) == "from a handler"
        MARK.set("")


async def test_what_wakes_it_does_not_leave_its_context_there(autojump_clock: MockClock) -> None:
    async with opened(one()) as running:
        ref = running.ref("a")
        await ref.tell(Do(lambda self: None))
        await asleep(running)
        MARK.set("of somebody else")
        await ref.tell(Do(lambda self: None))
        assert await ref.ask(Call(lambda self: MARK.get())) == ""
        MARK.set("")


async def test_helpers_go_on_beside_one_that_sleeps(autojump_clock: MockClock) -> None:
    log: list[Any] = []

    async def helper(self: Plain) -> None:
        await trio.sleep(50)
        log.append(trio.lowlevel.current_task())
        self.record(Later())
        await trio.sleep(50)
        raise ValueError("unlucky")

    async with opened(one()) as running:
        ref = running.ref("a")
        await ref.tell(Do(lambda self: self.start_soon(helper, self)))
        await asleep(running)
        await trio.sleep(60)
        assert len(log) == 1
        await asleep(running)
        await trio.sleep(50)
        assert running.snapshot()[0].incarnation == 2


async def test_a_rate_limit_and_a_hang_are_seen_after_it_has_slept(autojump_clock: MockClock) -> None:
    log: list[float] = []

    def limited(self: Plain) -> None:
        log.append(trio.current_time())
        if len(log) == 1:
            raise RateLimited(60.0)

    async with opened(one(progress_within=5.0)) as running:
        ref = running.ref("a")
        await ref.tell(Do(limited))
        await trio.sleep(30)
        assert slot_of(running).rouse is not None, "it waits for the end of the throttle without a task"
        await trio.sleep(60)
        assert log[1] - log[0] == pytest.approx(60, abs=1)
        await asleep(running)
        await ref.tell(Do(partial(rest, math.inf)))
        await trio.sleep(20)
        assert await ref.ask(Call(lambda self: self.own)) == 0
        assert running.snapshot()[0].incarnation == 2


async def test_workers_of_a_shared_queue_are_woken_one_by_one(autojump_clock: MockClock) -> None:
    worker = child(Plain, mailbox=MailboxSpec(durability=VOLATILE), hibernate_after=AFTER)
    shared = pool(worker, size=3, id="p", route="shared")
    async with open_tree(tree(shared, policy=otp()), seed=1) as running:
        ref = running.ref("p")
        for _ in range(3):
            await ref.tell(Do(partial(rest, 1)))
        await trio.sleep(3 * AFTER)
        slots = [
            slot_of(running, f"p/{status.path.name}") for status in running.snapshot() if status.path.parent != "/"
        ]
        workers = [slot for slot in slots if slot.mail is not slot]
        assert [slot.rouse is not None for slot in workers] == [True] * 3
        await ref.tell(Do(partial(rest, 1)))
        assert sorted(slot.rouse is not None for slot in workers) == [False, True, True]
        for _ in range(5):
            await ref.tell(Do(lambda self: None))
        await trio.sleep(2)
        assert ref.statistics().depth == 0
        assert sum(slot.handled for slot in workers) == 9


async def test_many_are_put_to_sleep_in_turns(autojump_clock: MockClock) -> None:
    specs = [child(Plain, id=f"n{n}", mailbox=one().mailbox, hibernate_after=AFTER) for n in range(300)]
    async with opened(*specs) as running:
        tasks = trio.lowlevel.current_statistics().tasks_living
        for n in range(300):
            running.ref(f"n{n}").tell_nowait(Do(lambda self: None))
        await trio.sleep(2 * AFTER + 0.0005)
        living = trio.lowlevel.current_statistics().tasks_living - tasks
        assert 0 < living < 300, "some are asleep and some are not: others have had a turn in between"
        await trio.sleep(0.1)
        assert trio.lowlevel.current_statistics().tasks_living == tasks


async def test_a_message_to_one_that_sleeps_in_a_tree_that_was_cancelled(autojump_clock: MockClock) -> None:
    with trio.CancelScope() as scope:
        async with opened(one()) as running:
            ref = running.ref("a")
            await ref.tell(Do(lambda self: None))
            await asleep(running)
            scope.cancel()
            try:
                await trio.sleep_forever()
            finally:
                with trio.CancelScope(shield=True):
                    await trio.sleep(1)
                    ref.tell_nowait(Do(lambda self: None))
    assert scope.cancelled_caught


@pytest.mark.parametrize("after", [0, -1, True, "10", float("nan")])
def test_a_time_that_is_none_is_refused(after: Any) -> None:
    with pytest.raises(ConfigurationError, match="hibernate_after"):
        child(Plain, hibernate_after=after)
