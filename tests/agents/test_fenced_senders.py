"""A sender that is fenced off while it waits for room: nothing that it still does counts, and it keeps no room."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

import pytest
import trio
import trio.testing
from attrs import frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.message import Request
from treewarden.agents.errors import AgentFailed, AgentStopped, TreewardenError
from treewarden.agents.ref import Ref
from treewarden.supervisor.core.spec import RestartPolicy

from .trees import opened, slot_of, volatile


@frozen
class Note:
    number: int


@frozen
class Question(Request[None]):
    number: int


class Clerk(Agent[None]):
    """Notes whatever comes when the gate is open."""

    def __init__(self, gate: trio.Event, noted: list[int]) -> None:
        self.gate = gate
        self.noted = noted

    @handles
    async def note(self, message: Note) -> None:
        await self.gate.wait()
        self.noted.append(message.number)

    @handles
    def question(self, message: Question) -> None:
        self.noted.append(message.number)


async def by_tell(agent: Agent[None], message: Note | Question) -> None:
    await agent.ref("clerk").tell(message, within=1000)


async def by_ask(agent: Agent[None], message: Note | Question) -> None:
    await agent.ref("clerk").ask(Question(message.number), within=1000)


async def by_forward(agent: Agent[None], message: Note | Question) -> None:
    await agent.forward("clerk")


Way: TypeAlias = Callable[[Agent[None], Note | Question], Awaitable[None]]


class Sender(Agent[None]):
    """Hands on what it is told, and does not let itself be cancelled at that."""

    def __init__(self, way: Way, raised: list[Exception]) -> None:
        self.way = way
        self.raised = raised

    @handles
    async def note(self, message: Note) -> None:
        await self.hand_on(message)

    @handles
    async def question(self, message: Question) -> None:
        await self.hand_on(message)

    async def hand_on(self, message: Note | Question) -> None:
        try:
            with trio.CancelScope(shield=True):
                await self.way(self, message)
        except TreewardenError as error:
            self.raised.append(error)


async def send(ref: Ref, message: Note | Question) -> None:
    if isinstance(message, Note):
        await ref.tell(message)
    else:
        with pytest.raises(AgentFailed):
            await ref.ask(message, within=1000)


@pytest.mark.parametrize(
    ("way", "message"),
    [(by_tell, Note(3)), (by_ask, Note(3)), (by_forward, Note(3)), (by_forward, Question(3))],
    ids=["tell", "ask", "forward", "forward an ask"],
)
async def test_who_is_fenced_off_before_it_is_let_in_has_told_nobody(
    way: Way, message: Note | Question, autojump_clock: trio.testing.MockClock
) -> None:
    gate, noted, raised = trio.Event(), list[int](), list[Exception]()
    clerk = volatile(Clerk, capacity=1, args={"gate": gate, "noted": noted})
    sender = volatile(Sender, restart=RestartPolicy.TEMPORARY, args={"way": way, "raised": raised})
    async with opened(clerk, sender) as running, trio.open_nursery() as nursery:
        for number in (1, 2):
            await running.ref("clerk").tell(Note(number))
            await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(send, running.ref("sender"), message)
        await trio.testing.wait_all_tasks_blocked()
        running.kill("sender")
        await trio.sleep(20)
        assert running.zombies == ("sender",)
        gate.set()
        await trio.testing.wait_all_tasks_blocked()
        assert noted == [1, 2]
        assert [type(error) for error in raised] == [AgentStopped]
        assert slot_of(running, "clerk").reserved == 0
        running.ref("clerk").tell_nowait(Note(4))
        await trio.testing.wait_all_tasks_blocked()
        assert noted == [1, 2, 4]


class Late(Agent[None]):
    """Hands on its first message when it is fenced off, and another one lives there."""

    def __init__(self, gate: trio.Event, raised: list[Exception]) -> None:
        self.gate = gate
        self.raised = raised

    @handles
    async def note(self, message: Note) -> None:
        if message.number > 1:
            await trio.sleep(2)
            return
        try:
            with trio.CancelScope(shield=True):
                await self.gate.wait()
                await self.forward("clerk")
        except TreewardenError as error:
            self.raised.append(error)

    @handles
    async def question(self, message: Question) -> None:
        await trio.sleep(2)


@pytest.mark.parametrize("second", [Note(2), Question(2), None], ids=["told", "asked", "at rest"])
async def test_who_is_fenced_off_hands_on_nothing_of_who_lives_there_now(
    second: Note | Question | None, autojump_clock: trio.testing.MockClock
) -> None:
    gate, noted, raised = trio.Event(), list[int](), list[Exception]()
    open_gate = trio.Event()
    open_gate.set()
    clerk = volatile(Clerk, args={"gate": open_gate, "noted": noted})
    async with (
        opened(clerk, volatile(Late, args={"gate": gate, "raised": raised})) as running,
        trio.open_nursery() as nursery,
    ):
        late = running.ref("late")
        await late.tell(Note(1))
        await trio.testing.wait_all_tasks_blocked()
        running.kill("late")
        await trio.sleep(20)
        assert running.zombies == ("late",)
        if isinstance(second, Note):
            await late.tell(second)
        elif second is not None:
            nursery.start_soon(late.ask, second)
        await trio.testing.wait_all_tasks_blocked()
        gate.set()
        await trio.sleep(10)
        assert noted == []
        assert [type(error) for error in raised] == [AgentStopped]
