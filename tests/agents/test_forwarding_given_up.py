"""Handing on to somebody who has no room, for as long as one likes: given up, it was not handed on."""

from __future__ import annotations

import pytest
import trio
import trio.testing
from attrs import frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import MESSAGE, VOLATILE, Durability, MailboxSpec
from treewarden.agents.core.message import Request
from treewarden.topologies.child import child

from .trees import opened, slot_of


@frozen
class What(Request[str]):
    number: int


@frozen
class Note:
    number: int


class Back(Agent[None]):
    """Takes ten seconds for each note."""

    def __init__(self, seen: list[int]) -> None:
        self.seen = seen

    @handles
    async def note(self, message: Note) -> None:
        self.seen.append(message.number)
        await trio.sleep(10)

    @handles
    def what(self, message: What) -> str:
        self.seen.append(message.number)
        return "by the one behind"


class Front(Agent[None]):
    """Answers itself what it cannot hand on within two seconds."""

    @handles
    async def what(self, message: What) -> str:
        with trio.move_on_after(2):
            await self.forward("back")
        return "by the one in front"

    @handles
    async def note(self, message: Note) -> None:
        with trio.move_on_after(2):
            await self.forward("back")


@pytest.mark.parametrize("durability", [VOLATILE, MESSAGE])
async def test_what_is_given_up_stays_with_its_handler(
    durability: Durability, autojump_clock: trio.testing.MockClock
) -> None:
    seen: list[int] = []
    back = child(Back, args={"seen": seen}, mailbox=MailboxSpec(capacity=1, durability=durability))
    async with opened(back, child(Front, mailbox=MailboxSpec(durability=durability))) as running:
        for number in (1, 2):
            await running.ref("back").tell(Note(number))
            await trio.testing.wait_all_tasks_blocked()
        assert await running.ref("front").ask(What(3), within=5) == "by the one in front"
        await running.ref("front").tell(Note(4))
        await trio.sleep(5)
        assert slot_of(running, "back").reserved == 0
        await trio.sleep(60)
        assert seen == [1, 2]
        assert await running.ref("front").ask(What(5), within=5) == "by the one behind"
