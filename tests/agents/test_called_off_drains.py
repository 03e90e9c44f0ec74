"""A drain that is called off: what comes because of the time comes again, once, and nothing is forgotten."""

from __future__ import annotations

import trio
import trio.testing
from attrs import frozen

from treewarden.agents.agent import Agent, every, handles
from treewarden.agents.core.durability import VOLATILE, Checkpointed, Durability, MailboxSpec
from treewarden.agents.errors import RateLimited
from treewarden.supervisor.journal.memory import MemoryJournal
from treewarden.topologies.child import Child, child
from treewarden.topologies.running import Tree

from .trees import opened

CLOCK = trio.testing.MockClock


@frozen
class Work:
    seconds: float
    period: float = 1.0


class Busy(Agent[int]):
    """Notes when its ticks come, from its first message on."""

    state = 0

    def __init__(self, ticks: list[float]) -> None:
        self.ticks = ticks
        self.period = 1.0
        self.begun: float | None = None

    @every("period")
    def tick(self) -> None:
        if self.begun is not None:
            self.ticks.append(trio.current_time() - self.begun)

    @handles
    async def work(self, message: Work) -> None:
        self.begun = trio.current_time()
        self.period = message.period
        self.state += 1
        await trio.sleep(message.seconds)


class Counting(Agent[int]):
    """To which nothing comes because of the time, but that its state is kept."""

    state = 0

    @handles
    async def work(self, message: Work) -> None:
        self.state += 1
        await trio.sleep(message.seconds)


class Limited(Agent[None]):
    """Whose body is told to slow down at once."""

    def __init__(self, begun: list[float]) -> None:
        self.begun = begun

    async def run(self) -> None:
        self.begun.append(trio.current_time())
        if len(self.begun) == 1:
            raise RateLimited(2, "slow down")
        await trio.sleep_forever()

    @handles
    async def work(self, message: Work) -> None:
        await trio.sleep(message.seconds)


def at(agent: type[Agent[int]] | type[Agent[None]], durability: Durability = VOLATILE, **args: object) -> Child:
    return child(agent, id="busy", args=args, mailbox=MailboxSpec(durability=durability))


async def drained_for(running: Tree, seconds: float, path: str = "busy") -> bool:
    """Whether a drain came to its end before it was called off."""
    with trio.move_on_after(seconds) as limit:
        await running.drain(path, within=60)
    return not limit.cancelled_caught


async def test_the_end_of_one_of_two_drains_lets_nothing_come(autojump_clock: CLOCK) -> None:
    ticks: list[float] = []
    async with opened(at(Busy, ticks=ticks)) as running, trio.open_nursery() as nursery:
        await running.ref("busy").tell(Work(5))
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(drained_for, running, 1)
        assert await drained_for(running, 30, "")
    assert ticks == []


async def test_after_two_drains_each_tick_comes_once(autojump_clock: CLOCK) -> None:
    ticks: list[float] = []
    async with opened(at(Busy, ticks=ticks)) as running:
        await running.ref("busy").tell(Work(5.5))
        await trio.testing.wait_all_tasks_blocked()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(drained_for, running, 1)
            nursery.start_soon(drained_for, running, 2, "")
        await trio.sleep(6.25)
        assert [round(tick, 1) for tick in ticks] == [5.5, 6.0, 7.0, 8.0]


async def test_a_period_that_holds_from_the_next_life_on_is_no_fault_of_the_drain(autojump_clock: CLOCK) -> None:
    ticks: list[float] = []
    async with opened(at(Busy, ticks=ticks)) as running:
        await running.ref("busy").tell(Work(2, period=-1))
        await trio.testing.wait_all_tasks_blocked()
        assert not await drained_for(running, 1)
        await trio.sleep(3)
        assert ticks


async def test_a_body_that_was_told_to_slow_down_begins_again(autojump_clock: CLOCK) -> None:
    begun: list[float] = []
    async with opened(at(Limited, begun=begun)) as running:
        await trio.testing.wait_all_tasks_blocked()
        await running.ref("busy").tell(Work(5))
        assert not await drained_for(running, 1)
        await trio.sleep(5)
        assert len(begun) == 2


async def test_what_is_kept_because_of_the_time_is_kept(autojump_clock: CLOCK) -> None:
    journal = MemoryJournal()
    stuck = child(Counting, id="stuck", mailbox=MailboxSpec(durability=VOLATILE))
    async with opened(at(Counting, Checkpointed(seconds=5)), stuck, journal=journal) as running:
        await running.ref("busy").tell(Work(0))
        await running.ref("stuck").tell(Work(1000))
        await trio.testing.wait_all_tasks_blocked()
        assert not await drained_for(running, 1, "")
        await trio.sleep(5)
        state = (await journal.recover(running.ref("busy").path)).state
        assert state is not None
        assert state.body == "1"
        running.force()


class Set(Agent[None]):
    """Sets itself something again and again with its first message, and notes when it comes."""

    def __init__(self, came: list[float]) -> None:
        self.came = came
        self.begun = 0.0

    @handles
    async def work(self, message: Work) -> None:
        self.begun = trio.current_time()
        self.after(1, 0, every=message.period)
        await trio.sleep(message.seconds)

    @handles
    def due(self, message: int) -> None:
        self.came.append(round(trio.current_time() - self.begun, 2))


async def test_a_tick_that_waited_comes_as_soon_as_the_drain_is_called_off(autojump_clock: CLOCK) -> None:
    ticks: list[float] = []
    async with opened(at(Busy, ticks=ticks)) as running:
        await running.ref("busy").tell(Work(1.875))
        await trio.sleep(1.25)
        assert ticks == []
        assert not await drained_for(running, 0.5)
        await trio.sleep(1)
        assert [round(tick, 2) for tick in ticks] == [1.88, 2.0]


async def test_what_was_set_again_and_again_comes_as_soon_as_the_drain_is_called_off(autojump_clock: CLOCK) -> None:
    came: list[float] = []
    async with opened(at(Set, came=came)) as running:
        await running.ref("busy").tell(Work(1.875, period=10))
        await trio.sleep(1.25)
        async with trio.open_nursery() as nursery:  # the later one finds nothing that waits
            nursery.start_soon(drained_for, running, 0.5)
            nursery.start_soon(drained_for, running, 0.375, "")
        await trio.sleep(10)
        assert came == [1.88, 11.0]
