"""What a handler tells, records and replies may be large: others have turns before it settles, and it counts once."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from attrs import frozen
from trio.testing import MockClock

from treewarden.agents import MESSAGE, Agent, AgentFailed, Checkpointed, Durability, MailboxSpec, Request, handles
from treewarden.supervisor.core.event import Recorded
from treewarden.supervisor.journal.port import START
from treewarden.topologies import child, open_tree, tree
from treewarden.topologies.running import Tree

from ..agents.trees import Disk, events, slot_of
from ..journals import on_disk
from .clerks import FEW, short_slices, turns

__all__ = ["short_slices"]

pytestmark = pytest.mark.usefixtures("short_slices")

LINES = tuple((n,) * 7 for n in range(50))
TOTAL = sum(map(sum, LINES))
ENOUGH = len(LINES) // 2
"""Turns that others have at least while that is encoded: about one for each line."""


@frozen
class Parcel:
    lines: tuple[tuple[int, ...], ...] = ()


@frozen
class Packed:
    lines: tuple[tuple[int, ...], ...] = ()


@frozen
class Send:
    """What a sender is to do with lines, and with how many of them at a time."""

    how: str
    at_once: int = 100


@frozen
class Bring(Request[Parcel]):
    pass


@frozen
class Count(Request[int]):
    pass


class Desk(Agent[int]):
    """Adds up what it gets, and brings all lines to whoever asks."""

    state = 0
    lines: tuple[Any, ...] = LINES

    @handles
    def parcel(self, message: Parcel) -> None:
        self.state += sum(map(sum, message.lines))

    @handles
    def bring(self, _: Bring) -> Parcel:
        return Parcel(self.lines)

    @handles
    def count(self, _: Count) -> int:
        return self.state


class Sender(Agent[int]):
    """How much it has sent, or asked for."""

    state = 0
    lines: tuple[Any, ...] = LINES

    @handles
    async def send(self, message: Send) -> None:
        desk = self.ref("desk")
        for start in range(0, len(self.lines), message.at_once):
            lines = self.lines[start : start + message.at_once]
            match message.how:
                case "tell":
                    await desk.tell(Parcel(lines))
                case "tell_nowait":
                    desk.tell_nowait(Parcel(lines))
                case "record":
                    self.record(Packed(lines))
                case "record again":
                    fact = Packed(lines)
                    self.record(fact)
                    self.record(fact)
                case "ask":
                    lines = (await desk.ask(Bring(), within=60)).lines
                case _:
                    pass
        self.state += 1

    @handles
    def count(self, _: Count) -> int:
        return self.state


class Wrong(Sender):
    lines: tuple[Any, ...] = (*LINES, ("no number",))


class Astray(Desk):
    lines: tuple[Any, ...] = (*LINES, ("no number",))


@asynccontextmanager
async def opened(
    journal: Disk | Path,
    sender: Any = Sender,
    durability: Durability = MESSAGE,
    *,
    deliveries: int = 1,
    desk: Any = Desk,
) -> AsyncGenerator[Tree]:
    shape = tree(
        child(desk, id="desk", mailbox=MailboxSpec(capacity=100)),
        child(sender, id="sender", mailbox=MailboxSpec(durability=durability, deliveries=deliveries)),
    )
    async with open_tree(shape, journal=journal) as running:
        await running.ref("sender").ask(Count(), within=60)
        await running.ref("desk").ask(Count(), within=60)
        yield running


async def turns_until_sent(running: Tree, message: Send) -> int:
    """How many turns others have from when it is told until it has settled."""
    seen, slot = 0, slot_of(running, "sender")
    settled = slot.handled
    await running.ref("sender").tell(message)
    while slot.handled == settled:
        await trio.lowlevel.checkpoint()
        seen += 1
    return seen


@pytest.mark.parametrize("at_once", [100, 1])
@pytest.mark.parametrize("how", ["tell", "tell_nowait", "record", "ask"])
async def test_others_have_turns_meanwhile(how: str, at_once: int, autojump_clock: MockClock) -> None:
    journal = Disk()
    async with opened(journal) as running:
        few = await turns_until_sent(running, Send("nothing", at_once))
        assert await turns_until_sent(running, Send(how, at_once)) - few >= ENOUGH
        assert await running.ref("sender").ask(Count()) == 2
        assert await running.ref("desk").ask(Count()) == (TOTAL if how.startswith("tell") else 0)
    recorded = [line for each in await events(journal, Recorded) for line in each.facts["lines"]]
    assert recorded == ([list(line) for line in LINES] if how == "record" else [])


async def test_also_of_one_that_is_kept_now_and_then(autojump_clock: MockClock) -> None:
    journal = Disk()
    async with opened(journal, durability=Checkpointed(messages=1000)) as running:
        few = await turns_until_sent(running, Send("nothing"))
        assert await turns_until_sent(running, Send("record")) - few >= ENOUGH
    assert [len(each.facts["lines"]) for each in await events(journal, Recorded)] == [len(LINES)]


async def test_a_fact_that_is_recorded_twice_stands_there_twice(autojump_clock: MockClock) -> None:
    journal = Disk()
    async with opened(journal) as running:
        await running.ref("sender").tell(Send("record again"))
        assert await running.ref("sender").ask(Count()) == 1
    first, second = await events(journal, Recorded)
    assert first.facts == second.facts == {"lines": [list(line) for line in LINES]}


@pytest.mark.parametrize("how", ["tell", "record"])
async def test_it_is_stored_as_it_is(how: str, tmp_path: Path) -> None:
    file = tmp_path / "tree.db"
    async with opened(file) as running:
        running.hold("desk")
        await running.ref("sender").tell(Send(how))
        assert await running.ref("sender").ask(Count()) == 1
    async with open_tree(tree(child(Desk, id="desk")), journal=file) as running:
        running.resume("desk")
        assert await running.ref("desk").ask(Count()) == (TOTAL if how == "tell" else 0)
    async with on_disk(file) as journal:
        facts = [each.event.facts for each in await journal.read(START, 100) if isinstance(each.event, Recorded)]
    assert facts == ([{"lines": [list(line) for line in LINES]}] if how == "record" else [])


async def test_what_comes_next_waits_for_it(autojump_clock: MockClock) -> None:
    async with opened(Disk()) as running:
        for how in ("tell", "nothing", "tell"):
            await running.ref("sender").tell(Send(how))
        await turns(FEW)
        assert running.ref("sender").statistics().depth >= 2
        assert await running.ref("desk").ask(Count()) == 0
        assert await running.ref("sender").ask(Count()) == 3
        assert await running.ref("desk").ask(Count()) == 2 * TOTAL


@pytest.mark.parametrize("how", ["tell", "record"])
@pytest.mark.parametrize("after", [1, FEW, ENOUGH])
async def test_killed_meanwhile_it_is_handled_again_and_leaves_once(
    after: int, how: str, autojump_clock: MockClock
) -> None:
    journal = Disk()
    async with opened(journal, deliveries=2) as running:
        await running.ref("sender").tell(Send(how))
        await turns(after)
        assert running.kill("sender")
        assert await running.ref("sender").ask(Count(), within=60) == 1
        assert await running.ref("desk").ask(Count()) == (TOTAL if how == "tell" else 0)
        assert running.ref("desk").statistics().reserved == 0
    assert len(await events(journal, Recorded)) == (how == "record")


@pytest.mark.parametrize("how", ["tell", "record"])
async def test_what_cannot_be_stored_fails_as_something_small_does(how: str, autojump_clock: MockClock) -> None:
    journal = Disk()
    async with opened(journal, Wrong) as running:
        await running.ref("sender").tell(Send(how))
        assert await running.ref("sender").ask(Count(), within=60) == 0
        assert await running.ref("desk").ask(Count()) == 0
        assert running.ref("desk").statistics().reserved == 0
        (letter,) = await running.dead_letters()
    assert r"lines[50][0] cannot be stored: 'no number' (str) is not int" in letter.reason


async def test_nor_is_a_reply_that_cannot(autojump_clock: MockClock) -> None:
    async with opened(Disk(), desk=Astray) as running:
        await running.ref("sender").tell(Send("ask"))
        assert await running.ref("sender").ask(Count(), within=60) == 0
        (letter,) = await running.dead_letters()
        assert AgentFailed.__name__ in letter.reason
        assert r"lines[50][0] cannot be stored" in letter.reason
