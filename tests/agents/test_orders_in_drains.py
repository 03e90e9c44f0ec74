"""What comes up while an agent that is asked to stop handles what waits: it takes no message's turn."""

from __future__ import annotations

import trio
import trio.testing
from attrs import frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import VOLATILE, MailboxSpec
from treewarden.supervisor import Grace
from treewarden.supervisor.core.event import DeadLettered, Recorded
from treewarden.supervisor.journal.memory import MemoryJournal
from treewarden.topologies.child import child

from .trees import opened


@frozen
class Work:
    number: int


@frozen
class Said:
    second: int


class Talker(Agent[None]):
    """Takes two seconds for each message, and has a helper that records a fact in each second."""

    def __init__(self, numbers: list[int]) -> None:
        self.numbers = numbers

    async def on_start(self) -> None:
        self.start_soon(self.talk)

    async def talk(self) -> None:
        for second in range(100):
            await trio.sleep(1)
            self.record(Said(second))

    @handles
    async def work(self, message: Work) -> None:
        self.numbers.append(message.number)
        await trio.sleep(2.5)


async def test_what_a_helper_records_meanwhile_leaves_no_message_behind(
    autojump_clock: trio.testing.MockClock,
) -> None:
    handled: list[int] = []
    journal = MemoryJournal()
    talker = child(Talker, args={"numbers": handled}, mailbox=MailboxSpec(durability=VOLATILE), shutdown=Grace(60))
    async with opened(talker, journal=journal) as running:
        for number in range(5):
            await running.ref("talker").tell(Work(number))
        await trio.sleep(0.1)
        running.stop()
        await running.wait_ended()
    records = await journal.read(limit=1000)
    assert handled == [0, 1, 2, 3, 4]
    assert not [each.event for each in records if isinstance(each.event, DeadLettered)]
    assert [each.event for each in records if isinstance(each.event, Recorded)]
