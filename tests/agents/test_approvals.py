"""A handler asks a person, and goes on with what was said: once, about what was shown, be it in another process."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest
import trio
from attrs import frozen
from trio.testing import MockClock

from treewarden.agents import (
    AlreadyRuled,
    Approved,
    ConfigurationError,
    Expired,
    Refused,
    Superseded,
    handles,
)
from treewarden.supervisor.core.event import ApprovalNoted, WaitNoted
from treewarden.supervisor.core.spec import NO_BACKOFF
from treewarden.supervisor.open_waits import OpenWait
from treewarden.topologies import child, open_tree, tree

from .approvals_desk import Desk, Note, Pay, desk, left, opened, story, waiting
from .approvals_desk import processes as processes
from .effects_desk import Processes
from .trees import happened, slot_of


@frozen
class Other:
    event: bool


async def test_a_person_approves(processes: Processes, autojump_clock: MockClock) -> None:
    log = list[Any]()
    async with opened(desk(log), journal=processes()) as running:
        await running.ref("desk").tell(Pay())
        await running.ref("desk").tell(Note(2))
        (wait,) = await waiting(running)
        await trio.sleep(5)
        assert log == [("note", 2)], "others go on"
        assert (wait.path, wait.wait, wait.what, wait.kind) == ("desk", "pay", "approval", "Pay")
        assert (wait.of, wait.about, wait.until) == ("data", {"to": "bob", "cents": 500}, wait.since + 100.0)
        at = trio.current_time()
        asked = await running.rule("desk", Approved("ada", comment="well"), key=wait.key)
        assert (asked.message, asked.key) == (wait.message, wait.key)
        await trio.sleep(1)
        ruling = Approved("ada", at, "well")
        assert log[1:] == [("bob", ruling)]
        assert slot_of(running, "desk").state == (ruling,)
        assert (left(running), await running.waits()) == (0, ())
        noted = await happened(running, ApprovalNoted, 2)
        assert [(each.what, each.by, each.text) for each in noted] == [("asked", "", ""), ("approved", "ada", "well")]
        assert noted[0].about == {"data": {"cents": 500, "to": "bob"}}
        assert noted[0].digest == noted[1].digest
        assert running.snapshot()[0].restarts == 0
        with pytest.raises(AlreadyRuled, match=f"the pay for {wait.message} was approved by ada at 1970"):
            await running.rule("desk", Refused("eve"), key=wait.key)


async def test_one_is_heard_and_the_others_are_told(processes: Processes, autojump_clock: MockClock) -> None:
    log, told = list[Any](), list[str]()
    async with opened(desk(log), journal=processes()) as running:
        await running.ref("desk").tell(Pay())
        (wait,) = await waiting(running)

        async def rule(by: str) -> None:
            try:
                await running.rule("desk", Approved(by) if by == "ada" else Refused(by), key=wait.key)
                told.append(by)
            except AlreadyRuled as error:
                told.append(str(error))

        async with trio.open_nursery() as nursery:
            for by in ("ada", "bob", "eve"):
                nursery.start_soon(rule, by)
        heard = [each for each in told if each in ("ada", "bob", "eve")]
        assert len(heard) == 1
        what = "approved" if heard == ["ada"] else "refused"
        assert sum(f"was {what} by {heard[0]} at" in each for each in told) == 2
        await trio.sleep(1)
        assert [each.by for _, each in log] == heard
        assert [each[:2] for each in await story(running, 2)] == [("asked", ""), (what, heard[0])]


async def test_its_message_was_given_up(autojump_clock: MockClock) -> None:
    async with opened(desk()) as running:
        await running.ref("desk").tell(Pay())
        (wait,) = await waiting(running)
        await running.supervisor().terminate_child("desk")
        with pytest.raises(AlreadyRuled, match=f"the pay for {wait.message} waits no more: its message was given up$"):
            await running.rule("desk", Approved("ada"), key=wait.key)


async def test_nobody_has_said_anything(processes: Processes, autojump_clock: MockClock) -> None:
    log = list[Any]()
    async with opened(desk(log), journal=processes()) as running:
        await running.ref("desk").tell(Pay(fails=1))
        (wait,) = await waiting(running)
        assert wait.until is not None
        await trio.sleep_until(wait.until - 1)
        assert log == []
        await trio.sleep(2)
        assert log == [("bob", Expired(wait.until))] * 2, "also when its handler failed after that"
        when = datetime.fromtimestamp(wait.until, UTC).isoformat(sep=" ", timespec="seconds")
        with pytest.raises(AlreadyRuled, match=re.escape(f"the pay for {wait.message} expired at {when}")):
            await running.rule("desk", Approved("ada"), key=wait.key)
        assert [each[0] for each in await story(running, 2)] == ["asked", "expired"]
        assert left(running) == 0


async def test_it_expires_although_the_clock_is_set_back(processes: Processes, autojump_clock: MockClock) -> None:
    """Its time was over, and its message has come back: it does not wait once more."""
    log, back, looks = list[Any](), 0.0, 0

    def wall() -> float:
        nonlocal looks
        looks += 1
        assert looks < 10_000, "it goes round, and no time passes"
        return trio.current_time() - back

    async with open_tree(tree(desk(log)), journal=processes(), wall=wall) as running:
        await running.ref("desk").tell(Pay())
        (wait,) = await waiting(running)
        running.hold("desk")
        await trio.sleep(101)
        back = 50.0
        running.resume("desk")
        await trio.sleep(1)
        assert log == [("bob", Expired(wait.until or 0.0))]
        assert (left(running), await running.waits()) == (0, ())


@pytest.mark.parametrize("down", ["stopped", "killed"])
async def test_it_expires_while_no_process_runs(processes: Processes, down: str, autojump_clock: MockClock) -> None:
    log, waits = list[Any](), list[OpenWait]()
    with trio.CancelScope() as power:
        async with opened(desk(log), journal=processes()) as running:
            await running.ref("desk").tell(Pay())
            waits += await waiting(running)
            if down == "killed":
                power.cancel()
                await trio.sleep_forever()
    await trio.sleep(200)
    async with opened(desk(log), journal=processes()) as running:
        with pytest.raises(AlreadyRuled, match="expired at"):
            await running.rule("desk", Approved("ada"), key=waits[0].key)
        await trio.sleep(1)
        assert log == [("bob", Expired(waits[0].until or 0.0))]
        assert [each[0] for each in await story(running, 2)] == ["asked", "expired"]
        assert (left(running), await running.waits()) == (0, ())


@pytest.mark.parametrize("down", ["stopped", "killed"])
async def test_the_next_process_has_what_was_said(processes: Processes, down: str, autojump_clock: MockClock) -> None:
    """Before its handler has run, or after that, and it failed."""
    log = list[Any]()
    keys: list[str] = []
    with trio.CancelScope() as power:
        async with opened(desk(log), journal=processes()) as running:
            await running.ref("desk").tell(Pay("bob"))
            await running.ref("desk").tell(Pay("ada"))
            keys = [each.key for each in await waiting(running, 2)]
            if down == "killed":
                power.cancel()
                await trio.sleep_forever()
    async with opened(desk(log), journal=processes()) as running:
        found = await running.waits()
        assert [each.key for each in found] == keys
        await trio.sleep(1)
        assert log == [], "no handler has run again"
        await running.rule("desk", Refused("eve", reason="no"), key=keys[1])
        await trio.sleep(1)
        assert [(to, each.by) for to, each in log] == [("ada", "eve")]
    async with opened(desk(log), journal=processes()) as running:
        await running.rule("desk", Approved("eve"), key=keys[0])
        await trio.sleep(1)
        assert [(to, each.by) for to, each in log] == [("ada", "eve"), ("bob", "eve")]
        assert left(running) == 0


async def test_the_ruling_is_of_what_was_shown(processes: Processes, autojump_clock: MockClock) -> None:
    """The code, or what it read, has changed since: nobody has approved that."""
    log, shown = list[Any](), dict[str, int]()
    async with opened(desk(log, shown), journal=processes()) as running:
        await running.ref("desk").tell(Pay())
        (wait,) = await waiting(running)
        shown["bob"] = 5_000_000
        await running.rule("desk", Approved("ada"), key=wait.key)
        await trio.sleep(1)
        assert log == []
        (other,) = await waiting(running)
        assert other.key != wait.key
        assert other.about["cents"] == 5_000_000
        with pytest.raises(AlreadyRuled, match=r"was superseded at .*: its handler shows something else now"):
            await running.rule("desk", Approved("ada"), key=wait.key)
        await running.rule("desk", Refused("ada"), key=other.key)
        await trio.sleep(1)
        assert [each.approved for _, each in log] == [False]
        assert await story(running, 5) == [
            ("asked", "", wait.key), ("approved", "ada", wait.key), ("superseded", wait.message, wait.key),
            ("asked", "", other.key), ("refused", "ada", other.key),
        ]  # fmt: skip
        assert left(running) == 0


async def test_what_is_shown_changes_between_two_processes(processes: Processes, autojump_clock: MockClock) -> None:
    log = list[Any]()
    async with opened(desk(log), journal=processes()) as running:
        await running.ref("desk").tell(Pay(fails=1))
        (wait,) = await waiting(running)
    async with opened(desk(log, {"bob": 7}), journal=processes()) as running:
        await running.rule("desk", Approved("ada"), key=wait.key)
        await trio.sleep(1)
        (other,) = await waiting(running)
    async with opened(desk(log, {"bob": 7}), journal=processes()) as running:
        assert [each.key for each in await running.waits()] == [other.key]
        await running.rule("desk", Approved("eve"), key=other.key)
        await trio.sleep(1)
        assert [each.by for _, each in log] == ["eve", "eve"], "and again, when its handler failed after that"
        assert left(running) == 0


async def test_a_later_message_supersedes_an_earlier_one(processes: Processes, autojump_clock: MockClock) -> None:
    log = list[Any]()
    async with opened(desk(log), journal=processes()) as running:
        await running.ref("desk").tell(Pay("one", subject="api"))
        await running.ref("desk").tell(Pay("web", subject="web"))
        first, _ = await waiting(running, 2)
        await running.ref("desk").tell(Pay("two", subject="api"))
        await trio.sleep(1)
        last = (await waiting(running, 2))[1]
        ((to, ruling),) = log
        assert (to, ruling) == ("one", Superseded(ruling.at, last.message))
        with pytest.raises(AlreadyRuled, match=f"was superseded by {last.message} at"):
            await running.rule("desk", Approved("ada"), key=first.key)
    async with opened(desk(log), journal=processes()) as running:
        assert {each.subject for each in await running.waits()} == {"api", "web"}
        await running.ref("desk").tell(Pay("three", subject="api"))
        await trio.sleep(1)
        assert [each[0] for each in log] == ["one", "two"]


class Waiting(Desk):
    """Has other reasons to wait, too."""

    @handles
    async def other(self, message: Other) -> None:
        if message.event:
            await self.wait_event("api", returns=int, until=self.now() + 1000.0)
        else:
            await self.sleep_until(self.now() + 1000.0)


async def test_what_waits_beside_it_for_something_else_is_of_no_subject(
    processes: Processes, autojump_clock: MockClock
) -> None:
    """And what waits elsewhere is of another one."""
    log, args = list[Any](), dict[str, Any]()
    args |= {"log": log, "shown": {}}
    desks = [child(Waiting, id=id, args=args, backoff=NO_BACKOFF) for id in ("desk", "elsewhere")]
    async with opened(*desks, journal=processes()) as running:
        await running.ref("elsewhere").tell(Pay("three", subject="api"))
        for message in (Other(event=True), Other(event=False), Pay("one", subject="api"), Pay("two", subject="api")):
            await running.ref("desk").tell(message)
        await trio.sleep(1)
        assert sorted(each.what for each in await running.waits()) == ["approval", "approval", "event", "time"]
        assert [to for to, _ in log] == ["one"]


async def test_several_of_one_handler(processes: Processes, autojump_clock: MockClock) -> None:
    log = list[Any]()
    async with opened(desk(log), journal=processes()) as running:
        await running.ref("desk").tell(Pay(times=2, subject="api"))
        (one,) = await waiting(running)
        await running.rule("desk", Approved("ada"), key=one.key)
        await trio.sleep(1)
        (two,) = await waiting(running)
        assert two.key != one.key
        await running.rule("desk", Refused("eve"))
        await trio.sleep(1)
        assert [each.by for _, each in log] == ["ada", "ada", "eve"]
        assert left(running) == 0


async def test_what_cannot_be_ruled(autojump_clock: MockClock) -> None:
    async with opened(desk()) as running:
        await running.ref("desk").tell(Pay())
        (wait,) = await waiting(running)
        for verdict, key, text in (
            (Approved("ada"), "", f"desk: name the key of what is approved.*{wait.key}"),
            (Approved("ada"), "0123", f"no approval with the key '0123' waits there, but {wait.key} \\(pay of Pay\\)"),
            (Approved(""), wait.key, "desk: by is ''"),
            ("yes", wait.key, "desk: 'yes' is no ruling of a person"),
        ):
            with pytest.raises(ConfigurationError, match=text):
                await running.rule("desk", verdict, key=key)
        with pytest.raises(ConfigurationError, match="other: no approval with the key"):
            await running.rule("other", Approved("ada"), key=wait.key)
        assert len(await running.waits()) == 1
        assert [each.what for each in await happened(running, ApprovalNoted)] == ["asked"]
        with trio.move_on_after(1):
            await happened(running, WaitNoted)
            raise AssertionError("it is said once")
