"""Rulings that meet each other on their way to the disk, or a handler there; and pools whose queue is one."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import trio
from attrs import evolve
from trio.testing import MockClock

from treewarden.agents import (
    AgentSpec,
    AlreadyRuled,
    Approved,
    CommitFailed,
    ConfigurationError,
    Priority,
    Refused,
    Superseded,
    handles,
)
from treewarden.agents.core.approval import APPROVAL, Asked, about_of
from treewarden.agents.core.path import Path
from treewarden.agents.core.wait import Wait
from treewarden.supervisor.approvals import known_in, ruled_row
from treewarden.topologies import child, pool
from treewarden.topologies.running import Tree

from .approvals_desk import Desk, Pay, desk, left, opened, story, waiting
from .approvals_desk import processes as processes
from .effects_desk import Processes
from .trees import Disk


async def test_a_pool_with_one_queue(processes: Processes, autojump_clock: MockClock) -> None:
    """Whoever takes the message next goes on; of one subject one waits, whichever worker has asked."""
    log = list[Any]()
    workers = pool(AgentSpec(Desk, {"log": log, "shown": {}}, "desk"), 2, route="shared", id="desks")
    async with opened(workers, journal=processes()) as running:
        await running.ref("desks").tell(Pay("one", subject="api"))
        await waiting(running)
        await running.ref("desks").tell(Pay("two", subject="api"))
        await trio.sleep(1)
        (wait,) = await waiting(running)
        await running.rule(str(wait.path.parent), Approved("ada"), key=wait.key)
        await trio.sleep(1)
        assert [(to, each.approved) for to, each in log] == [("one", False), ("two", True)]
    async with opened(workers, journal=processes()) as running:
        await running.ref("desks").tell(Pay("three"))
        (wait,) = await waiting(running)
    async with opened(workers, journal=processes()) as running:
        await running.rule("desks", Approved("eve"), key=wait.key)
        await trio.sleep(1)
        assert [each.approved for _, each in log[2:]] == [True]


async def test_one_that_nobody_has_read_yet(processes: Processes, autojump_clock: MockClock) -> None:
    """Held from the beginning: what waits there is only in the journal."""
    log = list[Any]()
    async with opened(desk(log), journal=processes()) as running:
        await running.ref("desk").tell(Pay())
        (wait,) = await waiting(running)
        running.hold("desk", text="until tomorrow")
        await trio.sleep(1)
    async with opened(desk(log), journal=processes()) as running:
        await trio.sleep(1)
        assert (running.snapshot()[0].held, running.snapshot()[0].incarnation) == (True, 0)
        with pytest.raises(ConfigurationError, match="no approval"):
            await running.rule("desk", Approved("ada"), key="x")
        await running.rule("desk", Approved("ada"), key=wait.key)
        with pytest.raises(AlreadyRuled, match="approved by ada"):
            await running.rule("desk", Refused("eve"), key=wait.key)
        assert log == []
        running.resume("desk")
        await trio.sleep(1)
        assert [each.by for _, each in log] == ["ada"]
        assert left(running) == 0


@pytest.mark.parametrize("slow", [False, True])
async def test_of_two_workers_who_ask_at_once_the_earlier_message_is_superseded(
    slow: bool, autojump_clock: MockClock
) -> None:
    log, disk = list[Any](), Disk()
    workers = pool(AgentSpec(Desk, {"log": log, "shown": {}}, "desk"), 3, route="shared", id="desks")
    async with opened(workers, journal=disk) as running:
        for to in ("one", "two", "three"):
            await running.ref("desks").tell(Pay(to, subject="api", after=5.0))
        await trio.sleep(4)
        disk.slow = slow
        for _ in range(30):
            await trio.sleep(1)
            disk.go()
        disk.slow = False
        await trio.sleep(1)
        (wait,) = await waiting(running)
        assert wait.about["to"] == "three"
        assert sorted(to for to, _ in log) == ["one", "two"]
        assert all(isinstance(each, Superseded) for _, each in log)
        await running.rule("desks", Approved("ada"), key=wait.key)
        await trio.sleep(6)
        assert [(to, each.approved) for to, each in log[2:]] == [("three", True)]


async def test_while_the_disk_takes_nothing(autojump_clock: MockClock) -> None:
    """A ruling that is not kept is none; it may be said again."""
    log, disk = list[Any](), Disk()
    async with opened(desk(log), journal=disk) as running:
        await running.ref("desk").tell(Pay())
        (wait,) = await waiting(running)
        disk.broken = lambda commit: any(each.kind == "ruled" for each in commit.replies)
        with pytest.raises(CommitFailed):
            await running.rule("desk", Approved("ada"), key=wait.key)
        await trio.sleep(1)
        assert log == []
        assert len(await running.waits()) == 1
        disk.broken = lambda commit: False
        await running.rule("desk", Refused("ada"), key=wait.key)
        await trio.sleep(1)
        assert [each.approved for _, each in log] == [False]
        assert left(running) == 0


async def test_a_cancelled_ruling_counts_or_does_not(autojump_clock: MockClock) -> None:
    log, disk = list[Any](), Disk()
    async with opened(desk(log), journal=disk) as running:
        await running.ref("desk").tell(Pay())
        (wait,) = await waiting(running)
        disk.slow = True
        async with trio.open_nursery() as nursery:
            with trio.CancelScope() as scope:
                nursery.start_soon(_let_go, disk, scope)
                await running.rule("desk", Approved("ada"), key=wait.key)
        with pytest.raises(AlreadyRuled, match="approved by ada"):
            await running.rule("desk", Refused("eve"), key=wait.key)
        await trio.sleep(1)
        assert [each.approved for _, each in log] == [True]


async def _let_go(disk: Disk, scope: trio.CancelScope) -> None:
    await trio.sleep(1)
    scope.cancel()
    await trio.sleep(1)
    disk.slow = False
    disk.go()


async def test_the_handler_of_a_later_message_may_have_come_there_first(autojump_clock: MockClock) -> None:
    log = list[Any]()
    async with opened(desk(log)) as running:
        running.hold("desk")
        await trio.sleep(1)
        await running.ref("desk").tell(Pay("one", subject="api"))
        await running.ref("desk").tell(Pay("two", subject="api"), priority=Priority.HIGH)
        running.resume("desk")
        await trio.sleep(1)
        (wait,) = await waiting(running)
        ((to, ruling),) = log
        assert (to, ruling) == ("one", Superseded(ruling.at, wait.message))
        await running.rule("desk", Approved("ada"), key=wait.key)
        await trio.sleep(1)
        assert [each.approved for _, each in log] == [False, True]
        assert left(running) == 0


async def test_a_ruling_on_its_way_is_waited_for(autojump_clock: MockClock) -> None:
    """By a handler whose time is over."""
    log, disk = list[Any](), Disk()
    async with opened(desk(log), journal=disk) as running, trio.open_nursery() as nursery:
        await running.ref("desk").tell(Pay("one", subject="api"))
        (wait,) = await waiting(running)
        await trio.sleep_until((wait.until or 0.0) - 1)
        disk.slow = True
        nursery.start_soon(partial(running.rule, "desk", Approved("ada"), key=wait.key))
        await trio.sleep(5)
        assert log == []
        disk.slow = False
        disk.go()
        await trio.sleep(1)
        assert [(to, each.approved) for to, each in log] == [("one", True)]
        assert [each[0] for each in await story(running, 2)] == ["asked", "approved"]


async def test_it_is_asked_anew_when_the_disk_works_again(autojump_clock: MockClock) -> None:
    log, disk, shown = list[Any](), Disk(), dict[str, int]()
    async with opened(desk(log, shown), journal=disk) as running:
        disk.broken = lambda commit: any(each.kind == "waits" for each in commit.replies)
        await running.ref("desk").tell(Pay())
        await trio.sleep(1)
        assert await running.waits() == ()
        disk.broken = lambda commit: False
        (wait,) = await waiting(running)
        disk.broken = lambda commit: bool(commit.forget_replies)
        shown["bob"] = 7
        await running.rule("desk", Approved("ada"), key=wait.key)
        await trio.sleep(1)
        disk.broken = lambda commit: False
        await trio.sleep(60)
        (other,) = await waiting(running)
        assert other.about["cents"] == 7
    async with opened(desk(log, shown), journal=disk) as running:
        assert [(each.key, each.about) for each in await running.waits()] == [(other.key, other.about)], "on disk, too"
        await running.rule("desk", Refused("eve"), key=other.key)
        await trio.sleep(1)
        assert [each.by for _, each in log] == ["eve"]
        assert left(running) == 0


async def test_a_ruling_on_its_way_is_no_more_superseded(autojump_clock: MockClock) -> None:
    log, disk = list[Any](), Disk()
    async with opened(desk(log), journal=disk) as running, trio.open_nursery() as nursery:
        await running.ref("desk").tell(Pay("one", subject="api"))
        (wait,) = await waiting(running)
        await running.ref("desk").tell(Pay("two", subject="api", after=3.0))
        await trio.sleep(1)
        disk.slow = True
        nursery.start_soon(partial(running.rule, "desk", Approved("ada"), key=wait.key))
        await trio.sleep(5)
        assert log == []
        disk.slow = False
        disk.go()
        await trio.sleep(1)
        assert [(to, each.approved) for to, each in log] == [("one", True)]
        (other,) = await waiting(running)
        assert other.about["to"] == "two"


async def test_who_rules_while_it_is_superseded_is_told_so(autojump_clock: MockClock) -> None:
    log, disk = list[Any](), Disk()
    told: list[str] = []

    async def rule(running: Tree, key: str) -> None:
        with pytest.raises(AlreadyRuled) as error:
            await running.rule("desk", Approved("ada"), key=key)
        told.append(str(error.value))

    async with opened(desk(log), journal=disk) as running, trio.open_nursery() as nursery:
        await running.ref("desk").tell(Pay("one", subject="api"))
        (wait,) = await waiting(running)
        disk.slow = True
        nursery.start_soon(partial(running.ref("desk").tell, Pay("two", subject="api")))
        await trio.sleep(1)
        disk.go()
        await trio.sleep(1)
        nursery.start_soon(rule, running, wait.key)
        await trio.sleep(1)
        assert (log, told) == ([], [])
        disk.slow = False
        disk.go()
        await trio.sleep(1)
        assert [(to, type(each)) for to, each in log] == [("one", Superseded)]
        assert "was superseded" in told[0]


async def test_a_ruling_comes_before_its_handler_is_unwound(autojump_clock: MockClock) -> None:
    log = list[Any]()

    class Slowly(Desk):
        @handles
        async def pay(self, message: Pay) -> None:
            try:
                await super().pay(message)
            finally:
                with trio.CancelScope(shield=True):
                    await trio.sleep(5)

    async with opened(child(Slowly, id="desk", args={"log": log, "shown": {}})) as running:
        await running.ref("desk").tell(Pay())
        (wait,) = await waiting(running)
        await running.rule("desk", Approved("ada"), key=wait.key)
        assert log == []
        await trio.sleep(20)
        assert [each.approved for _, each in log] == [True]
        assert left(running) == 0


async def test_its_life_ends_while_it_asks(autojump_clock: MockClock) -> None:
    """Whom it has superseded is superseded, and it goes on with what is on disk."""
    log, disk = list[Any](), Disk()
    async with opened(desk(log), journal=disk) as running, trio.open_nursery() as nursery:
        await running.ref("desk").tell(Pay("one", subject="api"))
        await running.ref("desk").tell(Pay("two", subject="api", after=3.0))
        (one,) = await waiting(running)
        disk.slow = True
        await trio.sleep(3)
        assert running.kill("desk")
        await trio.sleep(1)
        disk.slow = False
        disk.go()
        await trio.sleep(10)
        assert [(to, type(each)) for to, each in log] == [("one", Superseded)]
        (two,) = await waiting(running)
        nursery.start_soon(partial(running.rule, "desk", Approved("ada"), key=two.key))
        await trio.sleep(5)
        assert [(to, type(each)) for to, each in log] == [("one", Superseded), ("two", Approved)]
        assert [each[::2] for each in await story(running, 4)] == [
            ("asked", one.key), ("asked", two.key), ("superseded", one.key), ("approved", two.key)
        ]  # fmt: skip


def test_a_ruling_counts_for_no_other() -> None:
    """Not even where it stands in its place."""
    one = Asked(
        step="9f-1>desk~pay.1", name="pay", path=Path("desk"), mail=Path("desk"), kind="Pay", about=5, of="data",
        digest="ab", since=1.0, due=2.0,
    )  # fmt: skip
    other = evolve(one, digest="cd")
    row = ruled_row(one, Approved("ada", 1.5))
    for asked, ruling in ((one, Approved("ada", 1.5)), (other, None)):
        wait = Wait(
            step=asked.step, name="pay", what=APPROVAL, about=about_of(asked), place=1, path=asked.path,
            mail=asked.mail, kind="Pay", since=1.0, until=2.0,
        )  # fmt: skip
        assert known_in({"a": wait, row.id: row}) == [(asked, ruling)]
