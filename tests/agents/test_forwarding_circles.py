"""Messages that are handed on in a circle: they end, by name, and those that find somebody do not."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing
from attrs import frozen
from trio.testing import MockClock

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import MESSAGE, VOLATILE, Durability, MailboxSpec, Overflow
from treewarden.agents.core.message import Request
from treewarden.agents.errors import ForwardCycle, MailboxFull
from treewarden.supervisor.core.event import DeadLettered
from treewarden.topologies.child import child
from treewarden.topologies.pool import pool

from .trees import happened, opened, slot_of

LEVELS = pytest.mark.parametrize("durability", [VOLATILE, MESSAGE], ids=["volatile", "message"])


@frozen
class What(Request[str]):
    text: str = ""


@frozen
class Note:
    text: str = ""


class Passing(Agent[int]):
    """Hands everything on, until it has seen so many."""

    state = 0

    def __init__(self, to: str, until: int = 10_000) -> None:
        self.to = to
        self.until = until

    @handles
    async def what(self, message: What) -> str:
        self.state += 1
        if self.state < self.until:
            await self.forward(self.to)
        return f"{self.path} after {self.state}"

    @handles
    async def note(self, message: Note) -> None:
        self.state += 1
        if self.state < self.until:
            await self.forward(self.to, Note(message.text + "."))


def ring(durability: Durability, *ids: str, **args: Any) -> list[Any]:
    """Each hands on to the next, and the last to the first."""
    after = [*ids[1:], ids[0]]
    mailbox = MailboxSpec(durability=durability)
    return [
        child(Passing, id=id, args={"to": f"/{to}", **args}, mailbox=mailbox) for id, to in zip(ids, after, strict=True)
    ]


@LEVELS
@pytest.mark.parametrize("ids", [("a", "b"), ("a", "b", "c")])
async def test_an_ask_that_goes_round_is_an_error_that_names_the_circle(
    durability: Any, ids: tuple[str, ...], autojump_clock: MockClock
) -> None:
    async with opened(*ring(durability, *ids)) as running:
        with pytest.raises(ForwardCycle) as refused:
            await running.ref("a").ask(What(), within=1000)
        assert trio.current_time() < 1
        circle = " hands it to ".join((*ids, "a"))
        assert f"a: What goes round in a circle, {circle}, and has done so 8 times" in str(refused.value)
        assert not refused.value.retry_safe
        assert [slot.incarnation for slot in running.snapshot()] == [1] * len(ids)
        with pytest.raises(ForwardCycle):
            await running.ref("b").ask(What(), within=1000)


@LEVELS
async def test_what_is_told_and_goes_round_becomes_a_dead_letter(durability: Any, autojump_clock: MockClock) -> None:
    async with opened(*ring(durability, "a", "b")) as running:
        await running.ref("a").tell(Note())
        (letter,) = await happened(running, DeadLettered)
        assert letter.path == "a"
        assert "Note goes round in a circle, a hands it to b hands it to a, and has done so 8 times" in letter.reason
        await trio.sleep(10)
        assert [running.ref(id).statistics().depth for id in "ab"] == [0, 0]
        assert len(await running.dead_letters()) == (1 if durability is MESSAGE else 0)


@LEVELS
async def test_what_finds_somebody_after_a_few_rounds_is_handled(durability: Any, autojump_clock: MockClock) -> None:
    async with opened(*ring(durability, "a", "b", until=7)) as running:
        assert await running.ref("a").ask(What()) == "a after 7"


async def test_who_hands_on_to_itself_is_a_circle_too(autojump_clock: MockClock) -> None:
    async with opened(*ring(VOLATILE, "a")) as running:
        with pytest.raises(ForwardCycle, match="a hands it to a, and"):
            await running.ref("a").ask(What(), within=1000)


async def test_who_hands_on_to_itself_waits_for_no_room(autojump_clock: MockClock) -> None:
    """It would wait for itself: what it has in hand goes behind what waits, in a place of its own."""
    mailbox = MailboxSpec(capacity=1, durability=VOLATILE)
    async with opened(child(Passing, id="a", args={"to": "/a", "until": 3}, mailbox=mailbox)) as running:
        found: list[str] = []

        async def ask() -> None:
            found.append(await running.ref("a").ask(What(), within=10))

        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(ask)
        assert sorted(found) == ["a after 3", "a after 4", "a after 5"]
        assert slot_of(running, "a").reserved == 0


async def test_a_pool_hands_on_in_a_circle(autojump_clock: MockClock) -> None:
    mailbox = MailboxSpec(durability=VOLATILE)
    worker = child(Passing, id="worker", args={"to": "/p"}, mailbox=mailbox)
    async with opened(pool(worker, size=2, route="round_robin", id="p")) as running:
        with pytest.raises(ForwardCycle, match="p/0 hands it to p/1 hands it to p/0"):
            await running.ref("p").ask(What(), within=1000)


class Persistent(Agent[int]):
    """Hands on what is asked as soon as there is room."""

    state = 0

    @handles
    async def what(self, message: What) -> str:
        for _ in range(20):
            try:
                return str(await self.forward("/busy"))
            except MailboxFull:
                await trio.sleep(1)
        return "never"


class Busy(Agent[int]):
    state = 0

    @handles
    async def note(self, message: Note) -> None:
        await trio.sleep(float(message.text))

    @handles
    def what(self, message: What) -> str:
        return "done"


@LEVELS
async def test_what_could_not_be_handed_on_has_not_gone_round(durability: Any, autojump_clock: MockClock) -> None:
    full = MailboxSpec(capacity=1, overflow=Overflow.REFUSE, durability=VOLATILE)
    front = child(Persistent, id="front", mailbox=MailboxSpec(durability=durability))
    async with opened(child(Busy, id="busy", mailbox=full), front) as running:
        busy = running.ref("busy")
        await busy.tell(Note("14.5"))
        await trio.testing.wait_all_tasks_blocked()
        await busy.tell(Note("0"))
        assert await running.ref("front").ask(What(), within=60) == "done"
