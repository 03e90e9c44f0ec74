"""A handler is killed while it is on its way to the disk that its wait begins."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from treewarden.agents import Agent, AgentStopped, Approved, Happened, handles
from treewarden.supervisor.core.event import ApprovalNoted, WaitNoted
from treewarden.supervisor.core.spec import NO_BACKOFF
from treewarden.topologies import child

from .test_waits_ended import Died
from .trees import Disk, events, happened, opened, slot_of
from .waits_desk import Remind, killed_on_its_way, left

KINDS = ("time", "event", "approval")


class Stubborn(Agent[tuple[str, ...]]):
    """Each of its lives waits in the next of these ways, under one name."""

    state = ()

    def __init__(self, disk: Disk, ways: list[str], log: list[Any], shield: Callable[[], trio.CancelScope]) -> None:
        self.disk = disk
        self.ways = ways
        self.log = log
        self.shield = shield

    @handles
    async def remind(self, message: Remind) -> None:
        first = not self.log
        self.log.append("begun")
        if not first:
            await self.wait(self.ways[1])
            self.state = (*self.state, self.ways[1])
            return
        self.disk.slow = True
        try:
            with self.shield():
                await self.wait(self.ways[0])
        except BaseException as error:
            self.log.append(type(error))
            raise

    def wait(self, way: str) -> Awaitable[Any]:
        match way:
            case "time":
                return self.sleep_until(self.now() + 100.0, name="go")
            case "event":
                return self.wait_event("shipped", name="go")
            case _:
                return self.approval("go", about=1)


def stubborn(disk: Disk, log: list[Any], *ways: str, limit: float = 1e6, shield: bool = True) -> Any:
    """Shields its first wait, unless that takes longer than the limit."""

    def scope() -> trio.CancelScope:
        return trio.CancelScope(shield=shield, deadline=trio.current_time() + limit)

    args = {"disk": disk, "ways": list(ways), "log": log, "shield": scope}
    return child(Stubborn, id="desk", args=args, backoff=NO_BACKOFF)


async def noted(running: Any, count: int) -> list[str]:
    """What becomes of the waits, in order."""
    found: list[str] = []
    with trio.fail_after(600):
        async with running.events() as records:
            async for record in records:
                if isinstance(record.event, (WaitNoted, ApprovalNoted)):
                    found.append(record.event.what)
                    if len(found) == count:
                        break
    return found


@pytest.mark.parametrize("fails", [False, True], ids=["", "fails"])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_life_that_was_left_behind_is_told_so(kind: str, fails: bool, autojump_clock: MockClock) -> None:
    disk, log = Disk(), list[Any]()
    async with opened(stubborn(disk, log, kind, kind), journal=disk) as running:
        await killed_on_its_way(running, disk, fails=fails)
        await trio.sleep(1)
        assert [each for each in log if isinstance(each, type)] == [AgentStopped]
        assert [each.wait for each in await running.waits()] == ["go"]
        await come(running, kind)
        assert slot_of(running, "desk").state == (kind,)
        assert left(running) == 0


async def come(running: Any, kind: str) -> None:
    match kind:
        case "time":
            await trio.sleep(200)
        case "event":
            await running.ref("desk").tell(Happened("shipped"))
        case _:
            (wait,) = await running.waits()
            await running.rule("desk", Approved("ada"), key=wait.key)
    await trio.sleep(1)


@pytest.mark.parametrize(("before", "now"), [(a, b) for a in KINDS for b in KINDS if a != b])
async def test_one_of_another_kind_begins_when_that_is_on_disk(
    before: str, now: str, autojump_clock: MockClock
) -> None:
    """What had come for the old one, or is said of it, is not meant for the new one."""
    disk, log = Disk(), list[Any]()
    async with opened(stubborn(disk, log, before, now), journal=disk) as running:
        if before == "event":
            await running.ref("desk").tell(Happened("shipped"))
            await trio.sleep(1)
        await killed_on_its_way(running, disk)
        await trio.sleep(1)
        assert [(each.wait, each.what) for each in await running.waits()] == [("go", now)]
        assert len(await noted(running, 3)) == 3
        await come(running, now)
        assert slot_of(running, "desk").state == (now,)
        assert left(running) == 0


async def test_one_that_was_called_off_late_takes_nothing_of_the_next_life(autojump_clock: MockClock) -> None:
    """Its own limit ends the shield: the next life has come to that wait by then."""
    disk, log = Disk(), list[Any]()
    async with opened(stubborn(disk, log, "time", "time", limit=30), journal=disk) as running:
        await killed_on_its_way(running, disk)
        await trio.sleep(1)
        (wait,) = await running.waits()
    async with opened(stubborn(disk, log, "time", "time"), journal=disk) as running:
        await trio.sleep(1)
        assert await running.waits() == (wait,)
        found = await happened(running, WaitNoted, 3)
        assert [each.what for each in found] == ["begun", "passed by", "begun"]


async def test_each_that_begins_ends(autojump_clock: MockClock) -> None:
    disk, log = Disk(), list[Any]()
    async with opened(stubborn(disk, log, "time", "time", shield=False), journal=disk) as running:
        await killed_on_its_way(running, disk)
        await trio.sleep(200)
        assert log[1] is trio.Cancelled
        assert slot_of(running, "desk").state == ("time",)
        found = await happened(running, WaitNoted, 4)
        assert [each.what for each in found] == ["begun", "passed by", "begun", "over"]
        assert found[1].text == "its handler was cancelled while it began"


async def test_one_that_was_called_off_and_is_refused_has_never_begun(autojump_clock: MockClock) -> None:
    disk, log = Disk(), list[Any]()
    async with opened(stubborn(disk, log, "time", "time", shield=False), journal=disk) as running:
        await killed_on_its_way(running, disk, fails=True)
        disk.go()
        await trio.sleep(200)
        assert slot_of(running, "desk").state == ("time",)
        assert left(running) == 0
        assert [each.what for each in await happened(running, WaitNoted, 2)] == ["begun", "over"]


@pytest.mark.parametrize("refused", [False, True])
async def test_one_that_is_called_off_as_it_ends_says_what_it_was(refused: bool, autojump_clock: MockClock) -> None:
    """Cancelled before its handler had heard that it was refused, it was said to be passed by, and had never begun."""
    disk, log, scope = Disk(), list[Any](), trio.CancelScope()
    args = {"disk": disk, "ways": ["time"], "log": log, "shield": lambda: scope}
    async with opened(child(Stubborn, id="desk", args=args), journal=disk) as running:
        await running.ref("desk").tell(Remind())
        await trio.sleep(1)
        disk.slow = False
        scope.cancel()
        if refused:
            disk.fail("desk", 1)
        disk.go()
        await trio.sleep(1)
        assert left(running) == 0
        assert [each.what for each in await events(disk, WaitNoted)] == ([] if refused else ["begun", "passed by"])


class Fickle(Agent[tuple[str, ...]]):
    """Waits for one thing, then for another one in its place, on a slow disk, and then for nothing."""

    state = ()

    def __init__(self, disk: Disk, log: list[Any]) -> None:
        self.disk = disk
        self.log = log

    @handles
    async def remind(self, message: Remind) -> None:
        self.log.append("begun")
        if len(self.log) == 1:
            await self.sleep_until(10.0, name="first")
        elif len(self.log) == 2:
            self.disk.slow = True
            await self.sleep_until(100.0, name="second")
        self.state = ("settled",)


async def test_one_whose_place_was_taken_on_the_way_ends_once(autojump_clock: MockClock) -> None:
    disk, log = Disk(), list[Any]()
    desk = child(Fickle, id="desk", args={"disk": disk, "log": log}, backoff=NO_BACKOFF)
    async with opened(desk, journal=disk) as running:
        await running.ref("desk").tell(Remind())
        await trio.sleep(20)
        running.kill("desk")
        await trio.sleep(20)
        assert len(log) == 3, "it has run again, and the disk is still slow"
        disk.slow = False
        disk.go()
        await trio.sleep(20)
        assert (slot_of(running, "desk").state, left(running)) == (("settled",), 0)
    found = [(each.wait, each.what) for each in await events(disk, WaitNoted)]
    assert sorted(found) == [("first", "begun"), ("first", "passed by"), ("second", "begun"), ("second", "passed by")]


async def test_one_whose_message_had_come_back_after_a_death_ends_once_too(autojump_clock: MockClock) -> None:
    disk, log = Died(), list[Any]()
    desk = child(Fickle, id="desk", args={"disk": disk, "log": log}, backoff=NO_BACKOFF)
    async with opened(desk, journal=disk) as running:
        await running.ref("desk").tell(Remind())
        await trio.sleep(1)
    await trio.sleep(20)
    async with opened(desk, journal=disk) as running:
        await trio.sleep(20)
        running.kill("desk")
        await trio.sleep(20)
        assert len(log) == 3, "it has run again, and the disk is still slow"
        disk.slow = False
        disk.go()
        await trio.sleep(20)
        assert (slot_of(running, "desk").state, left(running)) == (("settled",), 0)
    found = [(each.wait, each.what) for each in await events(disk, WaitNoted)]
    assert sorted(found) == [("first", "begun"), ("first", "passed by"), ("second", "begun"), ("second", "passed by")]
