"""What stands in a mailbox and does not wait for its turn is counted for itself: parked messages, and events for which
nobody waits yet."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import trio
from attrs import evolve, frozen
from trio.testing import MockClock

from treewarden.agents import Agent, Happened, MailboxStatistics, handles
from treewarden.agents.core.path import Path as Slot
from treewarden.agents.statistics import together
from treewarden.supervisor.journal.port import ReplyRow
from treewarden.supervisor.open_waits import parked_in
from treewarden.topologies import open_tree, tree
from treewarden.topologies.cli import main

from ..journals import on_disk


@frozen
class Order:
    waits: str


class Desk(Agent[int]):
    state = 0

    @handles
    async def order(self, message: Order) -> None:
        match message.waits:
            case "time":
                await self.sleep_until(self.now() + 86_400)
            case "person":
                await self.approval("pay", about=1)
            case event:
                await self.wait_event(event)
        self.state += 1


def told(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    assert main(["tree", *words]) == 0
    return capsys.readouterr().out


async def test_they_are_no_part_of_what_waits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], autojump_clock: MockClock
) -> None:
    file = tmp_path / "desk.db"
    async with open_tree(tree(Desk), journal=on_disk(file)) as running:
        desk = running.ref("desk")
        assert (desk.statistics().parked, desk.statistics().events) == (0, 0)
        for waits in ("time", "person", "shipped", "paid"):
            await desk.tell(Order(waits))
        for event in ("paid", "lost", "found"):
            await desk.tell(Happened(event))
        await trio.sleep(1)
        (slot,) = running.snapshot()
        assert (slot.mailbox, slot.parked, slot.events) == (0, 3, 2)
        found = desk.statistics()
        assert (found.depth, found.parked, found.events) == (0, 3, 2)
        assert "3 parked; 2 events kept" in told(capsys, str(file))
    _, desk_row = json.loads(told(capsys, str(file), "--json"))["slots"]
    assert (desk_row["mailbox"], desk_row["parked"], desk_row["events"]) == (0, 3, 2)
    metrics = told(capsys, str(file), "--prometheus")
    for name, number in (("mailbox_messages", 0), ("parked_messages", 3), ("kept_events", 2)):
        assert f'treewarden_slot_{name}{{journal="{file}",path="desk"}} {number}' in metrics


def test_of_a_pool_they_add_up() -> None:
    one = MailboxStatistics(0, 1, 0, 0, 0.0, 0, 0, (), parked=2, events=3)
    both = together([one, evolve(one, events=4)])
    assert (both.parked, both.events) == (4, 7)


def test_a_wait_that_nobody_can_read_is_passed_over() -> None:
    rows = [ReplyRow("t-1>desk~sleep.1>begun", Slot("desk"), "waits", "{}", 9)]
    assert parked_in(rows, 0.0) == {}
