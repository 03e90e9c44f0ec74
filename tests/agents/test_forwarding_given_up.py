"""Handing on to somebody who has no room, for as long as one likes: given up, it was not handed on."""

from __future__ import annotations

import math

import pytest
import trio
import trio.testing
from attrs import frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import MESSAGE, VOLATILE, Durability, MailboxSpec
from treewarden.agents.core.message import Request
from treewarden.agents.errors import AskTimeout
from treewarden.topologies.child import child

from .trees import opened, slot_of

_BEHIND = "by the one behind"


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
        return _BEHIND


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
        assert await running.ref("front").ask(What(5), within=5) == _BEHIND


class Patient(Agent[None]):
    """Hands on what it is asked, whenever there is room."""

    def __init__(self, refused: list[str]) -> None:
        self.refused = refused

    @handles
    async def what(self, message: What) -> str:
        try:
            await self.forward("back")
        except AskTimeout as error:
            self.refused.append(f"{trio.current_time():g}: {error}")
            await trio.sleep(1)  # its asker is told by its own limit first
        return "by the one in front"


@pytest.mark.parametrize("durability", [VOLATILE, MESSAGE])
@pytest.mark.parametrize(("within", "answer"), [(5.0, None), (30.0, _BEHIND), (math.inf, _BEHIND)])
async def test_room_is_waited_for_as_long_as_the_asker_waits(
    within: float, answer: str | None, durability: Durability, autojump_clock: trio.testing.MockClock
) -> None:
    seen, refused = list[int](), list[str]()
    back = child(Back, args={"seen": seen}, mailbox=MailboxSpec(capacity=1, durability=durability))
    front = child(Patient, id="front", args={"refused": refused}, mailbox=MailboxSpec(durability=durability))
    async with opened(back, front) as running:
        for number in (1, 2):
            await running.ref("back").tell(Note(number))
            await trio.testing.wait_all_tasks_blocked()
        if answer is None:
            with pytest.raises(AskTimeout):
                await running.ref("front").ask(What(3), within=within)
        else:
            assert await running.ref("front").ask(What(3), within=within) == answer
        await trio.sleep(30)
        full = "5: back: no reply to What within 5 s: its mailbox was full all the time (1 of 1 wait)"
        assert refused == ([full] if answer is None else [])
        assert slot_of(running, "back").reserved == 0
        assert seen == ([1, 2] if answer is None else [1, 2, 3])
