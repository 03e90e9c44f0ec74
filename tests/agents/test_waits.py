"""A handler that sleeps is unwound: its message is parked, others go on, and it comes back in time, once."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from treewarden.agents import Priority, handles
from treewarden.supervisor.core.event import Recorded, WaitNoted
from treewarden.topologies import child, open_tree, pool, tree

from .effects_desk import Processes
from .trees import happened
from .waits_desk import Desk, Note, Remind, Seen, desk, left, opened, parked, seen
from .waits_desk import processes as processes


async def test_others_go_on_meanwhile(processes: Processes, autojump_clock: MockClock) -> None:
    log = list[Any]()
    async with opened(desk(log), journal=processes()) as running:
        await running.ref("desk").tell(Remind(1, (10.0,)))
        await running.ref("desk").tell(Note(2))
        await trio.sleep(5)
        assert log == [("begun", 1, 0.0), ("note", 2, 0.0)]
        assert parked(running) == 1
        assert seen(running) == Seen(), "what it had changed is undone"
        (waits,) = await running.waits()
        assert (waits.path, waits.wait, waits.what, waits.kind, waits.since, waits.until) == (
            "desk", "sleep", "time", "Remind", 0.0, 10.0,
        )  # fmt: skip
        await trio.sleep(6)
        assert log[2:] == [("begun", 1, 10.0), ("slept", 1, 10.0), ("later", 1, 10.0)]
        assert seen(running) == Seen((1,), 1)
        assert (parked(running), left(running), await running.waits()) == (0, 0, ())
        facts = [each.kind for each in await happened(running, Recorded)]
        assert len(facts) == 1
        noted = [(each.wait, each.what, each.until) for each in await happened(running, WaitNoted, 2)]
        assert noted == [("sleep", "begun", 10.0), ("sleep", "over", 10.0)]
        assert running.snapshot()[0].restarts == 0


async def test_the_next_process_parks_it_again(processes: Processes, autojump_clock: MockClock) -> None:
    log = list[Any]()
    async with opened(desk(log), journal=processes()) as running:
        await running.ref("desk").tell(Remind(1, (100.0,)))
        await running.ref("desk").tell(Remind(2, (50.0,)))
        await running.ref("desk").tell(Remind(3, (30.0,)))
        await trio.sleep(5)
    with trio.CancelScope() as power:
        async with opened(desk(log), journal=processes()) as running:
            await trio.sleep(5)
            assert (len(log), parked(running)) == (3, 3), "no handler has run again"
            power.cancel()
            await trio.sleep_forever()
    await trio.sleep(50)
    assert trio.current_time() == 60
    del log[:]
    async with opened(desk(log), journal=processes()) as running:
        await trio.sleep(1)
        assert [each[:2] for each in log if each[0] == "slept"] == [("slept", 3), ("slept", 2)]
        assert parked(running) == 1
        await trio.sleep(60)
        assert seen(running) == Seen((3, 2, 1), 3)
        assert left(running) == 0


async def test_who_comes_back_comes_first_and_in_the_order_of_the_times(
    processes: Processes, autojump_clock: MockClock
) -> None:
    log = list[Any]()

    class Busy(Desk):
        @handles
        async def note(self, message: Note) -> None:
            await trio.sleep(20)
            self.log.append(("note", message.number, trio.current_time()))

    async with opened(child(Busy, id="desk", args={"log": log}), journal=processes()) as running:
        for number, at in enumerate([3.0, 2.0, 4.0, 2.0]):
            await running.ref("desk").tell(Remind(number, (at,)))
        await running.ref("desk").tell(Remind(9, (2.5,)), priority=Priority.HIGH)
        await running.ref("desk").tell(Note(1))
        await running.ref("desk").tell(Note(2))
        await trio.sleep(60)
        order = [(each[0], each[1]) for each in log if each[0] in ("slept", "note")]
        assert order == [
            ("note", 1), ("slept", 9), ("slept", 1), ("slept", 3), ("slept", 0), ("slept", 2), ("note", 2)
        ]  # fmt: skip


async def test_waits_one_after_the_other_are_each_waited_for_once(
    processes: Processes, autojump_clock: MockClock
) -> None:
    log = list[Any]()
    async with opened(desk(log), journal=processes()) as running:
        await running.ref("desk").tell(Remind(1, (10.0, 20.0, 15.0, 30.0)))
        await trio.sleep(40)
        assert [each[2] for each in log if each[0] == "begun"] == [0.0, 10.0, 20.0, 30.0]
        assert seen(running) == Seen((1,), 1)
        assert left(running) == 0
        noted = [(each.what, each.until) for each in await happened(running, WaitNoted, 6)]
        assert noted == [
            ("begun", 10.0),
            ("begun", 20.0),
            ("begun", 30.0),
            *[("over", at) for at in (10.0, 20.0, 30.0)],
        ]


async def test_a_failure_after_it_waits_no_second_time(processes: Processes, autojump_clock: MockClock) -> None:
    log = list[Any]()
    async with opened(desk(log), journal=processes()) as running:
        await running.ref("desk").tell(Remind(1, (10.0,), fails=1))
        await trio.sleep(11)
        assert [each[0] for each in log] == ["begun", "begun", "slept", "begun", "slept", "later"]
        assert (seen(running), left(running)) == (Seen((1,), 1), 0)
        await running.ref("desk").tell(Remind(2, (20.0,), fails=99))
        await trio.sleep(30)
        (letter,) = await running.dead_letters()
        assert letter.reason.startswith("its handler failed 2 times; the last time: ValueError: after it had slept")
        assert left(running) == 0


async def test_the_clock_may_be_set_back(processes: Processes, autojump_clock: MockClock) -> None:
    log, back = list[Any](), [0.0]

    def wall() -> float:
        return trio.current_time() + back[0]

    async with open_tree(tree(desk(log)), journal=processes(), wall=wall) as running:
        await running.ref("desk").tell(Remind(1, (10.0, 100.0)))
        await trio.sleep(5)
        back[0] = -8.0
        await trio.sleep(10)
        assert parked(running) == 1
        await trio.sleep(4)
        assert [each[0] for each in log] == ["begun", "begun", "slept"]
        back[0] = -1000.0
        await trio.sleep(100)
        assert parked(running) == 1
        back[0] = 0.0
        await trio.sleep(2000)
        assert [each[0] for each in log][3:] == ["begun", "slept", "slept", "later"], "it does not sleep anew"
        assert left(running) == 0


async def test_a_clock_that_is_put_forward_is_noticed_within_a_minute(
    processes: Processes, autojump_clock: MockClock
) -> None:
    log, slept = list[Any](), [0.0]

    def wall() -> float:
        return trio.current_time() + slept[0]

    three_days = 3 * 86_400.0
    async with open_tree(tree(desk(log)), journal=processes(), wall=wall) as running:
        await running.ref("desk").tell(Remind(1, (three_days,)))
        await trio.sleep(5)
        slept[0] = three_days  # the machine did: the loop's clock stood still meanwhile
        await trio.sleep(61)
        assert seen(running) == Seen((1,), 1)
        assert (parked(running), left(running)) == (0, 0)


@pytest.mark.parametrize("first", [1.0, 10.0], ids=["no wait", "a wait"])
async def test_a_clock_that_was_set_back_ends_no_later_wait(
    first: float, processes: Processes, autojump_clock: MockClock
) -> None:
    """Nor does a handler begin again what lies before that: not even in a process that has not seen it over."""
    log, back = list[Any](), [0.0]

    def wall() -> float:
        return trio.current_time() + back[0]

    await trio.sleep(5)
    async with open_tree(tree(desk(log)), journal=processes(), wall=wall) as running:
        await running.ref("desk").tell(Remind(1, (first, 100.0)))
        await trio.sleep(10)
    async with open_tree(tree(desk(log)), journal=processes(), wall=wall) as running:
        running.hold("desk")
        await trio.sleep(100)
        assert parked(running) == 0
        back[0] = -1000.0
        del log[:]
        running.resume("desk")
        await trio.sleep(1)
        assert [each[0] for each in log] == ["begun", "slept", "slept", "later"]
        assert (seen(running), left(running)) == (Seen((1,), 1), 0)


async def test_a_wait_that_is_not_come_to_any_more_is_forgotten(
    processes: Processes, autojump_clock: MockClock
) -> None:
    log = list[Any]()

    class Once(Desk):
        @handles
        async def remind(self, message: Remind) -> None:
            self.log.append("begun")
            if len(self.log) == 1:
                await self.sleep_until(10.0)
            self.state = Seen((message.number,))

    async with opened(child(Once, id="desk", args={"log": log}), journal=processes()) as running:
        await running.ref("desk").tell(Remind(1))
        await trio.sleep(11)
        assert (log, seen(running), left(running)) == (["begun"] * 2, Seen((1,)), 0)
    async with opened(desk(), journal=processes()) as running:
        await trio.sleep(1)
        assert await running.waits() == ()


async def test_it_outlives_its_agent(processes: Processes, autojump_clock: MockClock) -> None:
    log = list[Any]()
    async with opened(desk(log), journal=processes()) as running:
        await running.ref("desk").tell(Remind(1))
        await trio.sleep(1)
        running.kill("desk")
        await trio.sleep(1)
        assert parked(running) == 1
        running.hold("desk")
        await trio.sleep(20)
        assert (parked(running), [each[0] for each in log]) == (0, ["begun"])
        running.resume("desk")
        await trio.sleep(1)
        assert [each[0] for each in log] == ["begun", "begun", "slept", "later"]
        assert (await running.dead_letters(), left(running)) == ((), 0)


async def test_workers_of_a_queue_hand_it_to_whoever_is_free(processes: Processes, autojump_clock: MockClock) -> None:
    log = list[Any]()
    workers = pool(desk(log), size=2, route="shared", id="desk")
    async with opened(workers, journal=processes()) as running:
        for number in range(4):
            await running.ref("desk").tell(Remind(number, tells=False))
        await trio.sleep(5)
        assert running.ref("desk").statistics().parked == 4
    async with opened(workers, journal=processes()) as running:
        await trio.sleep(2)
        assert running.ref("desk").statistics().parked == 4
        await trio.sleep(5)
        assert running.ref("desk").statistics().parked == 0
        assert sorted(each[1] for each in log if each[0] == "slept") == [0, 1, 2, 3]
        assert left(running) == 0


async def test_a_time_that_the_clock_of_the_loop_cannot_tell_from_now(autojump_clock: MockClock) -> None:
    """A wall clock near 0 has finer numbers than that of a loop which has run for long."""
    log, looks = list[Any](), 0
    await trio.sleep(1000)

    def wall() -> float:
        nonlocal looks
        looks += 1
        assert looks < 10_000, "it goes round, and no time passes"
        return trio.current_time() - 1000

    async with open_tree(tree(desk(log)), wall=wall) as running:
        await running.ref("desk").tell(Remind(1, (0.3,)))
        await trio.sleep(1)
        assert [each[0] for each in log] == ["begun", "begun", "slept", "later"]


async def test_of_many_that_come_back_at_once_few_come_before_others_have_a_turn(
    processes: Processes, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the order of the times."""
    monkeypatch.setattr("treewarden.supervisor.waits._AT_ONCE", 2)
    log, ahead, came = list[Any](), [0.0], list[int]()

    def wall() -> float:
        return trio.current_time() + ahead[0]

    async with open_tree(tree(desk(log)), journal=processes(), wall=wall) as running:
        for number, at in enumerate((10.0, 10.5, 10.0, 9.5, 10.0, 20.0, 10.0)):
            await running.ref("desk").tell(Remind(number, (at,), tells=False))
        await trio.sleep(5)
        running.hold("desk")
        ahead[0] = 1.0
        autojump_clock.jump(5)  # from here on nobody waits for time to pass
        for _ in range(1000):
            before = parked(running)
            await trio.lowlevel.checkpoint()
            came.append(before - parked(running))
        assert (max(came) <= 4, sum(came)) == (True, 6), "of two who run in turns one may run twice in a row"
        running.resume("desk")
        await trio.sleep(20)
        assert [each[1] for each in log if each[0] == "slept"] == [3, 0, 2, 4, 6, 1, 5]
        assert left(running) == 0
