"""A life that was left behind with an effect: what it is told, and that whoever was held over that goes on."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from treewarden.agents import Agent, AgentStopped, CommitFailed, Done, MailboxSpec, handles
from treewarden.supervisor.core.event import EffectNoted
from treewarden.supervisor.core.spec import NO_BACKOFF
from treewarden.supervisor.journal.commit import Commit
from treewarden.topologies import child

from .effects_desk import left
from .trees import Disk, events, opened, slot_of
from .waits_desk import Remind, killed_on_its_way


class Stubborn(Agent[int]):
    """Shields itself in that of its deliveries, and may have the disk slow then."""

    state = 0

    def __init__(self, way: str, delivery: int, limit: float, disk: Disk, log: list[Any]) -> None:
        self.way = way
        self.delivery = delivery
        self.limit = limit
        self.disk = disk
        self.log = log

    @handles
    async def remind(self, message: Remind) -> None:
        self.log.append("delivered")
        shields = self.log.count("delivered") == self.delivery
        if shields:
            self.disk.slow = self.way in ("begins", "known")
        try:
            with trio.CancelScope(shield=shields, deadline=trio.current_time() + self.limit):
                await self.effect("go", self.call, verify=self.verify if self.way == "verify" else None)
        except BaseException as error:
            if shields:
                self.log.append(type(error))
            raise
        if self.log.count("delivered") < self.delivery:
            raise ValueError("it has to come again")
        self.state += 1

    async def call(self, key: str) -> int:
        self.log.append("called")
        if self.way == "call":
            await trio.sleep(30)
        if self.way == "verify":
            raise ValueError("the line went dead")
        return 1

    async def verify(self, key: str) -> Done[int]:
        await trio.sleep(30)
        return Done(1)


class Abandons(Agent[int]):
    """Gives its effect up while it is on its way to a slow disk that it begins. If it comes again, it does nothing."""

    state = 0

    def __init__(self, disk: Disk, log: list[Any], scope: trio.CancelScope) -> None:
        self.disk = disk
        self.log = log
        self.scope = scope

    @handles
    async def remind(self, message: Remind) -> None:
        self.disk.slow = not self.log
        with self.scope:
            if self.log:
                return
            try:
                await self.effect("go", self.call)
            except BaseException as error:
                self.log.append(type(error))
                raise

    async def call(self, key: str) -> int:
        self.log.append("called")
        return 1


async def left_behind(way: str, *, delivery: int = 1, limit: float = 1e6, fails: bool = False) -> list[Any]:
    disk, log = Disk(), list[Any]()
    args = {"way": way, "delivery": delivery, "limit": limit, "disk": disk, "log": log}
    desk = child(Stubborn, id="desk", args=args, backoff=NO_BACKOFF, mailbox=MailboxSpec(deliveries=9))
    async with opened(desk, journal=disk) as running:
        await killed_on_its_way(running, disk, fails=fails)
        await trio.sleep(120)
        log.extend(each.what for each in await events(disk, EffectNoted) if each.what == "done")
        assert (slot_of(running, "desk").state, left(running), running.snapshot()[0].held) == (1, 0, False)
    return log


@pytest.mark.parametrize(("way", "delivery"), [("call", 1), ("verify", 2), ("known", 2)])
async def test_it_is_told_that_it_has_ended(way: str, delivery: int, autojump_clock: MockClock) -> None:
    log = await left_behind(way, delivery=delivery)
    assert [each for each in log if isinstance(each, type)] == [AgentStopped]
    assert log.count("called") == log.count("done") == 1


async def test_it_does_nothing_outside(autojump_clock: MockClock) -> None:
    log = await left_behind("begins")
    assert [each for each in log if each != "delivered"] == [AgentStopped, "called", "done"]


@pytest.mark.parametrize(("limit", "fails"), [(1e6, True), (30, False)], ids=["fails", "called off"])
async def test_who_is_held_over_one_that_never_began_goes_on(
    limit: float, fails: bool, autojump_clock: MockClock
) -> None:
    log = await left_behind("begins", limit=limit, fails=fails)
    assert [each for each in log if each != "delivered"] == [*([AgentStopped] if fails else []), "called", "done"]


@pytest.mark.parametrize("refused", ["no", "as it is called off", "later"])
async def test_one_that_is_called_off_was_not_done_only_if_it_had_begun(
    refused: str, autojump_clock: MockClock
) -> None:
    """The disk refused it, and the chain was told all the same that it was not done."""
    disk, log, scope = Disk(), list[Any](), trio.CancelScope()
    desk = child(Abandons, id="desk", args={"disk": disk, "log": log, "scope": scope})
    async with opened(desk, journal=disk) as running:
        await running.ref("desk").tell(Remind())
        await trio.sleep(1)
        scope.cancel()
        if refused != "as it is called off":
            await wait_all_tasks_blocked()
        disk.slow = False
        if refused != "no":
            disk.fail("desk", 1)
        disk.go()
        await trio.sleep(1)
        assert (log, left(running), running.snapshot()[0].held) == ([trio.Cancelled], 0, False)
        noted = [each.what for each in await events(disk, EffectNoted)]
        assert noted == (["begun", "not done"] if refused == "no" else [])


def full(commit: Commit) -> bool:
    error = CommitFailed("the disk is full")
    error.refuses_all = True
    raise error


@pytest.mark.parametrize("outage", [False, True])
async def test_that_one_was_not_done_is_said_though_the_disk_refuses_that_alone(
    outage: bool, autojump_clock: MockClock
) -> None:
    disk, log, scope = Disk(), list[Any](), trio.CancelScope()
    desk = child(Abandons, id="desk", args={"disk": disk, "log": log, "scope": scope})
    async with opened(desk, journal=disk) as running:
        await running.ref("desk").tell(Remind())
        await trio.sleep(1)
        scope.cancel()
        await wait_all_tasks_blocked()
        disk.go(1)
        disk.slow = False
        if outage:
            disk.broken = full
            disk.go()
        else:
            disk.fail("desk")
        await trio.sleep(1)
        disk.broken = lambda _: False
        await trio.sleep(1)
        assert (log, left(running), running.snapshot()[0].held) == ([trio.Cancelled], 0, False)
        assert [each.what for each in await events(disk, EffectNoted)] == ["begun", "not done"]
