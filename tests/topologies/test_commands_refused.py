"""Commands from another process that nobody carries out: refused with the reason, or taken back."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import MailboxSpec
from treewarden.agents.core.lifecycle import SlotState
from treewarden.agents.core.path import Path as Slot
from treewarden.agents.errors import JournalError
from treewarden.supervisor.core.command import Command
from treewarden.supervisor.core.event import CommandAnswered
from treewarden.supervisor.journal.canonical import dump
from treewarden.supervisor.journal.sending import Outcome, send
from treewarden.supervisor.testing import inline_run_sync
from treewarden.topologies.child import child
from treewarden.topologies.open import open_tree
from treewarden.topologies.tree import tree

from ..journals import on_disk
from .commanded import SHAPE, Add, Total, events, order, status, tell

CLOCK = trio.testing.MockClock


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "tree.db"


async def test_what_takes_too_long_is_refused(file: Path, autojump_clock: CLOCK) -> None:
    class Busy(Agent[None]):
        @handles
        async def add(self, message: Add) -> None:
            await trio.sleep(1000)

    shape = tree(child(Busy, mailbox=MailboxSpec(capacity=1)))
    async with open_tree(shape, journal=on_disk(file)) as running:
        await running.ref("busy").tell(Add(1))
        await trio.sleep(1)
        await running.ref("busy").tell(Add(2))
        command = Command(what="tell", path=Slot("busy"), fields={"kind": "Add", "data": {"amount": 1}}, within=3.0)
        outcome = await send(file, command, "c1", within=60.0, run_sync=inline_run_sync)
        assert (outcome.state, outcome.text) == ("refused", "it took longer than 3 s; what it began may go on")
        running.kill("busy")


async def test_what_nobody_answers_is_taken_back(file: Path, autojump_clock: CLOCK) -> None:
    async with on_disk(file):
        outcome = await tell(file, "counter", 2)
        assert (outcome.state, outcome.text) == ("withdrawn", "its owner did not answer in time, and nothing was done")
    async with open_tree(SHAPE, journal=on_disk(file)) as running:
        await trio.sleep(60)
        assert await running.ref("counter").ask(Total()) == 0


async def test_nobody_waits_for_an_owner_that_has_closed_the_file(file: Path, autojump_clock: CLOCK) -> None:
    told: list[Outcome] = []

    async def ask() -> None:
        told.append(await tell(file, "counter", 2))

    began = trio.current_time()
    async with trio.open_nursery() as nursery, on_disk(file) as journal:
        nursery.start_soon(ask)
        await journal.commands()
    assert trio.current_time() - began < 1
    (outcome,) = told
    assert (outcome.state, outcome.text) == (
        "withdrawn",
        "its owner closed the file before it began, and nothing was done",
    )


async def test_a_command_for_an_owner_that_has_gone_is_refused(file: Path, autojump_clock: CLOCK) -> None:
    async with on_disk(file):
        pass
    with closing(sqlite3.connect(file)) as connection:
        body = '{"v":1,"what":"stop","path":"/","by":"ann","within":30,"fields":{}}'
        connection.execute("INSERT INTO commands VALUES ('old', ?, 0.0, 'waiting', '', 1)", (body,))
        connection.commit()
    async with open_tree(SHAPE, journal=on_disk(file)) as running:
        await trio.sleep(60)
        assert status(running, "counter") is SlotState.UP
        (event,) = await events(running, CommandAnswered)
        assert event.text == "it was meant for the owner of epoch 1, which has gone"


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("nonsense", "Expecting value"),
        ("[]", "a command is an object"),
        ('{"v":2}', "this command is of version 2, and this treewarden reads 1"),
        ('{"v":1,"what":"fly"}', "there is no command 'fly'; there is tell, ask, signal, stop"),
        ("[" * 100_000, "it is nested too deeply"),
        (b'"\xff"', "a command is an object"),
    ],
    ids=range(6),
)
async def test_what_is_no_command_is_refused(body: str | bytes, why: str, file: Path, autojump_clock: CLOCK) -> None:
    async with open_tree(SHAPE, journal=on_disk(file)) as running:
        with closing(sqlite3.connect(file)) as connection:
            # Of whoever has no text for an id nobody is answered, and nobody is disturbed.
            connection.execute("INSERT INTO commands VALUES (CAST(X'FF' AS TEXT), '{}', 0.0, 'waiting', '', 1)")
            connection.execute("INSERT INTO commands VALUES ('c1', CAST(? AS TEXT), 0.0, 'waiting', '', 1)", (body,))
            connection.commit()
        await trio.sleep(30)
        (event,) = await events(running, CommandAnswered)
        assert not event.applied
        assert why in event.text


async def test_nobody_is_there(file: Path, autojump_clock: CLOCK) -> None:
    with pytest.raises(JournalError, match="there is no journal"):
        await tell(file, "counter", 2)
    async with on_disk(file):
        pass
    with pytest.raises(JournalError, match=r"nobody runs a tree on .* \(closed in order by .*\): start it first"):
        await tell(file, "counter", 2)


async def test_an_owner_whose_clock_went_ahead_is_waited_for(file: Path, autojump_clock: CLOCK) -> None:
    """As after the machine has slept: its lease is over, and it prolongs it with its next turn."""
    async with open_tree(SHAPE, journal=on_disk(file)):
        with closing(sqlite3.connect(file)) as connection:
            connection.execute("UPDATE owner SET lease_until = 1")
            connection.commit()
        assert (await tell(file, "counter", 2)).state == "applied"


async def test_a_commit_that_fails_leaves_no_half_of_it(
    file: Path, autojump_clock: CLOCK, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sender takes it back just before the owner commits: then the message is not there either."""
    from treewarden.supervisor.settling import SlotStore

    bring_in: Callable[..., Any] = SlotStore.bring_in

    async def late(self: SlotStore, *args: Any) -> None:
        with closing(sqlite3.connect(file)) as connection:
            connection.execute("DELETE FROM commands")
            connection.commit()
        await bring_in(self, *args)

    monkeypatch.setattr(SlotStore, "bring_in", late)
    async with open_tree(SHAPE, journal=on_disk(file)) as running:
        assert (await tell(file, "counter", 2)).state == "withdrawn"
        assert running.ref("counter").statistics().reserved == 0
        assert await running.ref("counter").ask(Total()) == 0
        assert await events(running, CommandAnswered) == []


@pytest.mark.parametrize(
    ("what", "path", "fields", "advice"),
    [
        ("drain", "counter", {}, "Ask for it again if you still want it"),
        ("roll_back", "counter", {"to": None}, "Look whether it was done"),
        ("stop", "light", {}, "Ask for it again"),
    ],
)
async def test_what_an_owner_died_over_is_answered_by_the_next_and_not_done_again(
    what: str, path: str, fields: dict[str, Any], advice: str, file: Path, autojump_clock: CLOCK
) -> None:
    async with open_tree(SHAPE, journal=on_disk(file)):
        await tell(file, "counter", 2, "c0")
    body = dump(Command(what=what, path=Slot(path), fields=fields, by="ann").as_data())
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("INSERT INTO commands VALUES ('c1', ?, 0, 'taken', '', 1)", (body,))
    async with open_tree(SHAPE, journal=on_disk(file)) as running:
        outcome = await order(file, what, path, **fields)
        assert (outcome.state, outcome.duplicate) == ("unknown", True)
        assert outcome.text.startswith("the owner of epoch 1 began it and did not end it. ")
        assert advice in outcome.text
        assert status(running, path) is SlotState.UP
        assert await running.ref("counter").ask(Total()) == 2
        told = [event for event in await events(running, CommandAnswered) if event.command == "c1"]
        assert [(event.what, event.applied) for event in told] == [(what, False)]
    async with open_tree(SHAPE, journal=on_disk(file)):
        assert (await order(file, what, path, **fields)).text == outcome.text
