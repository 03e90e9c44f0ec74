"""A trace that has a name of the user's: where it may begin, what it may be called, and that ids stay unique."""

from __future__ import annotations

import math
from typing import ClassVar

import pytest
import trio
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import VOLATILE, MailboxSpec, Overflow
from treewarden.agents.core.message import Request, trace_of
from treewarden.agents.errors import CommitFailed, ConfigurationError
from treewarden.agents.traced import checked_trace
from treewarden.supervisor.core.event import DeadLettered
from treewarden.supervisor.core.spec import NO_BACKOFF
from treewarden.supervisor.journal.port import Commit
from treewarden.topologies.child import child
from treewarden.topologies.pool import pool
from treewarden.topologies.topic import topic

from .trees import Disk, events, kept, opened, slot_of

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@frozen
class Order:
    of: str = ""


@frozen
class Begin:
    """Charges, tells the yard in its own trace, and fails the first time."""


@frozen
class Place(Request[str]):
    of: str = ""


@frozen
class Pack:
    of: str = ""


class Desk(Agent[int]):
    """Sells, charges, and tells the yard; through a ref of its own where `of` names a trace."""

    state = 0
    charged: ClassVar[list[str]] = []
    begun: ClassVar[list[str]] = []

    async def charge(self, key: str) -> int:
        Desk.charged.append(key)
        return 1

    async def sell(self, of: str) -> None:
        yard = self.ref("../yard")
        await (yard.traced(of) if of else yard).tell(Pack(of))

    @handles
    async def order(self, message: Order) -> None:
        await self.sell(message.of)

    @handles
    async def begin(self, message: Begin) -> None:
        await self.effect("charge", self.charge)
        await self.sell(self.trace)
        Desk.begun.append(self.trace)
        if len(Desk.begun) == 1:
            raise RuntimeError("it broke")

    @handles
    async def place(self, message: Place) -> str:
        await self.effect("charge", self.charge)
        await self.sell(message.of)
        return self.trace


class Round(Agent[None]):
    """Hands on to itself what it is told."""

    @handles
    async def order(self, message: Order) -> None:
        await self.forward(self.ref("../round"))


class Yard(Agent[None]):
    seen: ClassVar[list[tuple[str, str]]] = []

    @handles
    def pack(self, message: Pack) -> None:
        Yard.seen.append((self.trace, self.life.turn.message))


@pytest.fixture(autouse=True)
def nothing_seen() -> None:
    Yard.seen, Desk.charged, Desk.begun = [], [], []


async def test_what_is_told_is_in_the_trace_and_has_an_id_of_its_own(autojump_clock: MockClock) -> None:
    async with opened(child(Desk), child(Yard)) as running:
        desk = running.ref("desk").traced("order-17")
        assert desk.path == running.ref("desk").path
        for _ in range(3):
            await desk.tell(Order())
        await running.ref("desk").traced(PARENT).tell(Order())
        await running.ref("desk").tell(Order())
        await wait_all_tasks_blocked()
    traces, ids = zip(*Yard.seen, strict=True)
    assert traces[:4] == (*["order-17"] * 3, "4bf92f3577b34da6a3ce929d0e0e4736")
    assert traces[4] not in ("", *traces[:4])
    assert len(set(ids)) == 5


async def test_each_ask_is_in_it_and_has_effects_of_its_own(autojump_clock: MockClock) -> None:
    async with opened(child(Desk), child(Yard)) as running:
        asked = [await running.ref("desk").traced("order-17").ask(Place()) for _ in range(2)]
        await wait_all_tasks_blocked()
        with pytest.raises(ConfigurationError, match="no Request"):
            await running.ref("desk").traced("order-17").ask(Order())  # type: ignore[arg-type]
    assert asked == ["order-17"] * 2
    assert [trace for trace, _ in Yard.seen] == ["order-17"] * 2
    assert len(set(Desk.charged)) == 2, "two keys: the second one is no repetition"


async def test_a_handler_goes_on_in_another_trace(autojump_clock: MockClock) -> None:
    async with opened(child(Desk), child(Yard)) as running:
        await running.ref("desk").traced("order-17").tell(Order("parcel-3"))
        await wait_all_tasks_blocked()
    assert [trace for trace, _ in Yard.seen] == ["parcel-3"]


async def test_in_a_pool_each_copy_is_in_it(autojump_clock: MockClock) -> None:
    async with opened(pool(child(Yard), size=3, route="broadcast", id="yard")) as running:
        await running.ref("yard").traced("order-17").tell(Pack())
        await wait_all_tasks_blocked()
    assert [trace for trace, _ in Yard.seen] == ["order-17"] * 3
    assert len({id for _, id in Yard.seen}) == 3


async def test_who_lives_in_memory_keeps_none(autojump_clock: MockClock) -> None:
    async with opened(kept(Yard, VOLATILE), topic("../yard", id="hall")) as running:
        await running.ref("yard").traced("order-17").tell(Pack())
        with pytest.raises(ConfigurationError, match="hall: a topic begins a trace"):
            await running.ref("hall").traced("order-17").tell(Pack())
        await wait_all_tasks_blocked()
    assert Yard.seen == [("", "")]


async def test_one_that_a_full_mailbox_drops_is_a_dead_letter_of_its_own(autojump_clock: MockClock) -> None:
    journal = Disk()
    yard = child(Yard, mailbox=MailboxSpec(capacity=1, overflow=Overflow.DROP_NEWEST))
    async with opened(yard, journal=journal) as running:
        slot_of(running, "yard").pause("held")
        for _ in range(3):
            await running.ref("yard").traced("order-17").tell(Pack())
        letters = [letter.id for letter in await running.dead_letters("yard")]
        assert [trace_of(id) for id in letters] == ["order-17"] * 2
        assert len(set(letters)) == 2
        assert {each.message for each in await events(journal, DeadLettered)} == set(letters)


async def test_one_that_is_dropped_takes_nothing_from_the_message_that_its_trace_began_with(
    autojump_clock: MockClock,
) -> None:
    """Before it waits it has the id of that message: what was done for it is no affair of the one that is dropped."""
    yard = child(Yard, mailbox=MailboxSpec(capacity=1, overflow=Overflow.DROP_NEWEST))
    async with opened(child(Desk, backoff=NO_BACKOFF), yard) as running:
        slot_of(running, "yard").pause("held")
        await running.ref("yard").tell(Pack())
        await running.ref("desk").tell(Begin())
        await wait_all_tasks_blocked()
        letters = await running.dead_letters("yard")
    assert len(Desk.charged) == 1
    assert [letter.reason for letter in letters] == ["the mailbox was full: the newest was dropped"]


async def test_what_a_handler_tells_is_given_up_in_its_trace(autojump_clock: MockClock) -> None:
    """Dropped by a full mailbox, and handed on in a circle."""
    yard = child(Yard, mailbox=MailboxSpec(capacity=1, overflow=Overflow.DROP_NEWEST))
    async with opened(child(Desk, backoff=NO_BACKOFF), child(Round), yard) as running:
        slot_of(running, "yard").pause("held")
        await running.ref("yard").tell(Pack())
        await running.ref("desk").traced("order-17").tell(Order())
        await running.ref("round").traced("order-18").tell(Order())
        await wait_all_tasks_blocked()
        dropped, circled = [(await running.dead_letters(path))[0].id for path in ("yard", "round")]
        assert (trace_of(dropped), trace_of(circled)) == ("order-17", "order-18")
        slot_of(running, "yard").resume("held")
        await wait_all_tasks_blocked()
        await running.replay(dropped)
        await wait_all_tasks_blocked()
    assert [trace for trace, _ in Yard.seen][1:] == ["order-17"]


@pytest.mark.parametrize("trace", ["", "order-17"])
async def test_one_that_the_disk_refuses_for_a_while_is_in_its_trace(trace: str, autojump_clock: MockClock) -> None:
    """Tried again it has another row; neither its first one, nor the trace, may stand in its id twice."""
    journal = Disk()
    full = [True]

    def broken(commit: Commit) -> bool:
        if full[0] and commit.accepted:
            failed = CommitFailed("the disk is full")
            failed.refuses_all = True
            raise failed
        return False

    journal.broken = broken
    async with opened(child(Yard, backoff=NO_BACKOFF), journal=journal) as running, trio.open_nursery() as nursery:
        yard = running.ref("yard")

        async def tell() -> None:
            await (yard.traced(trace) if trace else yard).tell(Pack(), within=60)

        nursery.start_soon(tell)
        await wait_all_tasks_blocked()
        full[0] = False
    ((found, id),) = Yard.seen
    assert found == (trace or id)
    assert id.count("/") == bool(trace)
    assert "." not in id


@given(st.text("aZ09_.:-", min_size=1, max_size=64))
def test_names(name: str) -> None:
    assert checked_trace(name) == trace_of(checked_trace(name)) == name


@pytest.mark.parametrize("name", ["", "a/b", "a>b", "a b", "a\n", "ä", "x" * 65, None, 17, math.nan])
def test_what_names_no_trace_is_refused_with_the_remedy(name: object) -> None:
    with pytest.raises(ConfigurationError, match="can name no trace; give 1 to 64 letters"):
        checked_trace(name)
