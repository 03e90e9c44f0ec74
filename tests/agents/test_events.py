"""A handler that waits for an event: each event ends one wait, each wait takes one, in whatever order they come."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import trio
from attrs import evolve
from trio.testing import MockClock

from treewarden.agents import Agent, Approved, Happened, Priority, handles
from treewarden.supervisor.core.event import WaitNoted
from treewarden.supervisor.journal.port import Commit
from treewarden.topologies import child, open_tree, pool, tree

from .effects_desk import Processes, left, opened
from .effects_desk import processes as processes
from .events_desk import Desk, Order, Shipped, desk, got, kept
from .trees import Disk, happened
from .waits_desk import parked

UPS = {"by": "ups"}


async def test_the_handler_goes_on_when_it_has_happened(processes: Processes, autojump_clock: MockClock) -> None:
    log = list[Any]()
    async with opened(desk(log), journal=processes()) as running:
        await running.ref("desk").tell(Order(1))
        await trio.sleep(5)
        (wait,) = await running.waits()
        assert (wait.path, wait.wait, wait.what, wait.about, wait.kind, wait.until) == (
            "desk", "event", "event", "shipped", "Order", None,
        )  # fmt: skip
        await running.ref("desk").tell(Happened("another", UPS))
        await trio.sleep(5)
        assert (parked(running), kept(running)) == (1, ["another"])
        await running.ref("desk").tell(Happened("shipped", UPS))
        await trio.sleep(5)
        assert log == [("begun", 1, 0.0), ("begun", 1, 10.0), ("ups", 1, 10.0)]
        assert (got(running), parked(running), kept(running)) == (((1, "ups"),), 0, ["another"])
        assert (left(running), await running.waits(), await running.dead_letters()) == (0, (), ())
        noted = [(each.what, each.kind, each.about, bool(each.by)) for each in await happened(running, WaitNoted, 2)]
        assert noted == [("begun", "event", "shipped", False), ("over", "event", "shipped", True)]
        assert running.snapshot()[0].restarts == 0


async def test_one_that_came_before_is_taken_without_unwinding(processes: Processes, autojump_clock: MockClock) -> None:
    log = list[Any]()
    async with opened(desk(log), journal=processes()) as running:
        for by in ("first", "second"):
            await running.ref("desk").tell(Happened("shipped", {"by": by}))
        await running.ref("desk").tell(Order(1))
        await running.ref("desk").tell(Order(2, fails=1))
        await trio.sleep(1)
        assert [each[:2] for each in log] == [
            ("begun", 1), ("first", 1), ("begun", 2), ("second", 2), ("begun", 2), ("second", 2)
        ]  # fmt: skip
        assert (got(running), kept(running), left(running)) == (((1, "first"), (2, "second")), [], 0)
        assert await running.waits() == ()


async def test_the_oldest_wait_gets_the_oldest_event(processes: Processes, autojump_clock: MockClock) -> None:
    async with opened(desk(), journal=processes()) as running:
        for number in (1, 2, 3):
            await running.ref("desk").tell(Order(number))
            await trio.sleep(1)
        await running.ref("desk").tell(Happened("shipped", {"by": "a"}))
        await running.ref("desk").tell(Happened("shipped", {"by": "b"}), priority=Priority.LOW)
        await trio.sleep(1)
        assert (got(running), parked(running)) == (((1, "a"), (2, "b")), 1)


async def test_the_next_process_goes_on(processes: Processes, autojump_clock: MockClock) -> None:
    async with opened(desk(), journal=processes()) as running:
        await running.ref("desk").tell(Order(1))
        await running.ref("desk").tell(Order(2, "paid"))
        await running.ref("desk").tell(Happened("delivered", {"by": "kept"}))
        await trio.sleep(1)
    for _ in range(2):
        log = list[Any]()
        with trio.CancelScope() as power:
            async with opened(desk(log), journal=processes()) as running:
                await trio.sleep(1)
                assert (log, parked(running), kept(running)) == ([], 2, ["delivered"])
                power.cancel()
                await trio.sleep_forever()
    async with opened(desk(), journal=processes()) as running:
        await running.ref("desk").tell(Happened("paid", UPS))
        await running.ref("desk").tell(Order(3, "delivered"))
        await trio.sleep(1)
        assert (sorted(got(running)), parked(running), kept(running)) == ([(2, "ups"), (3, "kept")], 1, [])


async def test_its_time_passes_first(processes: Processes, autojump_clock: MockClock) -> None:
    log = list[Any]()
    async with opened(desk(log), journal=processes()) as running:
        await running.ref("desk").tell(Order(1, until=10.0, fails=1))
        await trio.sleep(11)
        assert [each[:2] for each in log] == [("begun", 1), *[("begun", 1), ("expired 10.0", 1)] * 2]
        await running.ref("desk").tell(Happened("shipped", UPS))
        await trio.sleep(1)
        assert (got(running), kept(running)) == (((1, "expired 10.0"),), ["shipped"]), "nobody waits for that"
        await running.ref("desk").tell(Order(2, "paid", until=3.0))
        await running.ref("desk").tell(Order(3, until=3.0))
        await trio.sleep(1)
        assert got(running)[1:] == ((2, "expired 3.0"), (3, "ups")), "what has happened has"
        assert (kept(running), left(running), parked(running)) == ([], 0, 0)


async def test_a_process_that_was_down_then_is_told_so(processes: Processes, autojump_clock: MockClock) -> None:
    async with opened(desk(), journal=processes()) as running:
        await running.ref("desk").tell(Order(1, until=10.0))
        await trio.sleep(1)
    await trio.sleep(20)
    async with opened(desk(), journal=processes()) as running:
        await running.ref("desk").tell(Happened("shipped", UPS))
        await trio.sleep(1)
        assert (got(running), kept(running)) == (((1, "expired 10.0"),), ["shipped"])


class Died(Disk):
    """The next process after one that died, whose disk is slow from when it writes what has passed meanwhile."""

    dead = False

    async def __aenter__(self) -> Died:
        await super().__aenter__()
        self._opened = evolve(self.opened, after_crash=self.dead)
        return self

    def submit(self, commit: Commit, then: Callable[[BaseException | None], None]) -> None:
        self.slow = self.slow or (self.dead and any(row.id.endswith(">done") for row in commit.replies))
        super().submit(commit, then)


async def test_after_a_death_it_is_told_so_when_that_is_on_disk(autojump_clock: MockClock) -> None:
    """If the power failed before that and the clock was set back, it could be told of an event next."""
    journal, log = Died(), list[Any]()
    async with opened(desk(), journal=journal) as running:
        await running.ref("desk").tell(Order(1, until=10.0))
        await trio.sleep(1)
    await trio.sleep(20)
    journal.dead = True
    async with opened(desk(log), journal=journal) as running:
        await trio.sleep(1)
        assert log == [("begun", 1, 21.0)]
        journal.slow = journal.dead = False
        journal.go()
        await trio.sleep(1)
        assert got(running) == ((1, "expired 10.0"),)


async def test_what_it_was_told_once_it_is_told_again(processes: Processes, autojump_clock: MockClock) -> None:
    """An event that comes after its time had passed changes nothing, whoever dies in between."""
    log = list[Any]()
    async with opened(desk(log, deliveries=9), journal=processes()) as running:
        await running.ref("desk").tell(Happened("go", UPS))
        await running.ref("desk").tell(Order(1, until=10.0, fails=2))
        await trio.sleep(9.5)
        await running.ref("desk").tell(Order(2, "never"))
        await trio.sleep(1)
        await running.ref("desk").tell(Happened("shipped", UPS))
        await trio.sleep(1)
        assert (got(running), kept(running)) == (((1, "expired 10.0"),), ["go", "shipped"])
        assert {each[0] for each in log if each[1] == 1} == {"begun", "expired 10.0"}


async def test_one_that_does_not_fit_is_a_dead_letter(processes: Processes, autojump_clock: MockClock) -> None:
    async with opened(desk(), journal=processes()) as running:
        await running.ref("desk").tell(Happened("shipped", {"by": 1}))
        await running.ref("desk").tell(Order(1))
        await trio.sleep(1)
        for value in (None, {"by": "ups", "at": 3}, ["ups"]):
            await running.ref("desk").tell(Happened("shipped", value))
        await trio.sleep(1)
        letters = await running.dead_letters()
        assert {each.reason.partition(":")[0].split()[:3] == ["the", "wait", "'event'"] for each in letters} == {True}
        assert (len(letters), parked(running), kept(running)) == (4, 1, [])
        assert "this is no" in letters[0].reason
        await running.ref("desk").tell(Happened("shipped", UPS))
        await trio.sleep(1)
        assert (got(running), left(running)) == (((1, "ups"),), 0)
        await running.replay(letters[0].id)
        await trio.sleep(1)
        assert kept(running) == ["shipped"], "and may be put back"


async def test_a_handler_that_comes_to_another_event_begins_anew(
    processes: Processes, autojump_clock: MockClock
) -> None:
    events = ["shipped"]

    class Moody(Desk):
        @handles
        async def order(self, message: Order) -> None:
            came = await self.wait_event(events[0], returns=Shipped)
            if message.fails and events[0] == "shipped":
                events[0] = "paid"
                raise ValueError("behind the wait")
            self.log.append(came.by)

    log = list[Any]()
    async with opened(child(Moody, id="desk", args={"log": log}), journal=processes()) as running:
        await running.ref("desk").tell(Happened("shipped", UPS))
        await running.ref("desk").tell(Order(fails=1))
        await trio.sleep(30)
        (wait,) = await running.waits()
        (letter,) = await running.dead_letters()
        assert (wait.about, parked(running), kept(running)) == ("paid", 1, [])
        assert letter.reason == "its handler comes to a wait for 'paid' there now"
        await running.ref("desk").tell(Happened("paid", {"by": "visa"}))
        await trio.sleep(1)
        assert (log, left(running)) == (["visa"], 0)


async def test_several_waits_of_a_handler_are_each_by_itself(processes: Processes, autojump_clock: MockClock) -> None:
    log = list[Any]()

    class Three(Agent[int]):
        state = 0

        @handles
        async def order(self, message: Order) -> None:
            log.append(await self.wait_event("paid", returns=int))
            await self.sleep_until(10.0)
            log.append((await self.approval("go", about=1)).approved)
            log.append(await self.wait_event("paid", returns=str | None))
            log.append(await self.wait_event("shipped", name="behind"))
            self.state = 1

    async with opened(child(Three, id="desk"), journal=processes()) as running:
        for value in (1, "two"):
            await running.ref("desk").tell(Happened("paid", value))
        await running.ref("desk").tell(Order())
        await trio.sleep(11)
        await running.rule("desk", Approved("eve"), key=(await running.waits())[0].key)
        await running.ref("desk").tell(Happened("shipped"))
        await trio.sleep(1)
        assert log[-4:] == [1, True, "two", None]
        assert (left(running), parked(running), kept(running)) == (0, 0, [])


async def test_of_a_pool_any_worker_goes_on(processes: Processes, autojump_clock: MockClock) -> None:
    log = list[Any]()
    desks = pool(desk(log), size=3, id="desks", route="shared")
    async with opened(desks, journal=processes()) as running:
        for number in range(10):
            await running.ref("desks").tell(Order(number))
        await trio.sleep(1)
        for number in range(12):
            await running.ref("desks").tell(Happened("shipped", {"by": str(number)}))
        await trio.sleep(1)
        assert sorted(each[1] for each in log if each[0] != "begun") == list(range(10))
        assert len({each[0] for each in log if each[0] != "begun"}) == 10
        assert kept(running, "desks/0") == ["shipped"] * 2


class Holds(Disk):
    """On its way stays what ends a wait for an event, and all behind it."""

    holds = True

    def submit(self, commit: Commit, then: Callable[[BaseException | None], None]) -> None:
        self.slow = self.slow or (self.holds and any(each.kind == "happened" for each in commit.replies))
        super().submit(commit, then)


async def test_one_that_is_on_its_way_to_the_disk_came_in_time(autojump_clock: MockClock) -> None:
    disk = Holds()
    async with opened(desk(), journal=disk) as running:
        await running.ref("desk").tell(Order(1, until=10.0))
        await trio.sleep(9)
        await running.ref("desk").tell(Happened("shipped", UPS))
        await trio.sleep(2)
        assert (got(running), parked(running)) == ((), 0), "its time has passed, and nobody knows yet what came first"
        disk.holds = disk.slow = False
        disk.go()
        await trio.sleep(1)
        assert (got(running), kept(running), left(running)) == (((1, "ups"),), [], 0)


async def test_one_that_another_worker_takes_while_a_handler_is_unwound(
    processes: Processes, autojump_clock: MockClock
) -> None:
    log = list[Any]()

    class Slow(Desk):
        @handles
        async def order(self, message: Order) -> None:
            try:
                log.append((await self.wait_event("shipped", returns=Shipped)).by)
            finally:
                await trio.sleep(1)

    slow = child(Slow, args={"log": log})
    async with opened(pool(slow, size=2, id="desks", route="shared"), journal=processes()) as running:
        await running.ref("desks").tell(Order())
        await trio.sleep(0.5)
        await running.ref("desks").tell(Happened("shipped", UPS))
        await trio.sleep(0.1)
        assert (kept(running, "desks/0"), log) == (["shipped"], [])
        await trio.sleep(3)
        assert (kept(running, "desks/0"), log) == ([], ["ups"])


async def test_a_wall_clock_that_jumps_has_its_time_pass(processes: Processes, autojump_clock: MockClock) -> None:
    jumped = [0.0]
    blueprint = tree(desk())
    async with open_tree(blueprint, journal=processes(), wall=lambda: trio.current_time() + jumped[0]) as running:
        await running.ref("desk").tell(Order(1, until=10.0))
        await trio.sleep(1)
        jumped[0] = 100.0
        await running.ref("desk").tell(Happened("shipped", UPS))
        await trio.sleep(1)
        assert kept(running) == ["shipped"]
        await trio.sleep(10)
        assert (got(running), kept(running)) == (((1, "expired 10.0"),), ["shipped"])


async def test_what_a_message_that_is_given_up_had_got_is_said(processes: Processes, autojump_clock: MockClock) -> None:
    """It went with it, and put back it waits anew."""
    async with opened(desk(), journal=processes()) as running:
        await running.ref("desk").tell(Order(fails=2))
        await running.ref("desk").tell(Happened("shipped", UPS))
        await trio.sleep(5)
        (letter,) = await running.dead_letters()
        assert letter.reason.endswith("; it had got the event 'shipped'")
        await running.replay(letter.id)
        await trio.sleep(5)
        assert [each.about for each in await running.waits()] == ["shipped"]
        await running.ref("desk").tell(Happened("shipped", UPS))
        await trio.sleep(5)
        assert (got(running), kept(running), left(running)) == (((1, "ups"),), [], 0)
