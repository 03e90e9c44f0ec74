"""`@at` in a tree, over restarts and process deaths. Its report is due at 08:01 and at 08:05."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import trio
from attrs import evolve
from trio.testing import MockClock, wait_all_tasks_blocked

from treewarden.agents.agent import Agent, at, every, handles
from treewarden.agents.core.durability import MESSAGE, VOLATILE, Checkpointed, Durability, MailboxSpec
from treewarden.agents.core.timetable import timetable
from treewarden.agents.errors import RateLimited, Stop
from treewarden.agents.worker import Job, worker
from treewarden.supervisor.core.event import ChildEnded
from treewarden.supervisor.core.spec import NO_BACKOFF, Grace, Strategy
from treewarden.supervisor.journal.memory import MemoryJournal
from treewarden.topologies.child import child
from treewarden.topologies.open import open_tree
from treewarden.topologies.tree import tree

from .trees import Add, Bad, Counter, Disk, Tally, events, happened, kept, slot_of

HOUR, DAY = 3600.0, 86400.0
BERLIN = ZoneInfo("Europe/Berlin")


class World:
    """A wall clock that tests set, and what was done at which time there."""

    def __init__(self, begin: str = "2026-05-05T08:00") -> None:
        self.offset = datetime.fromisoformat(begin).replace(tzinfo=BERLIN).timestamp() - trio.current_time()
        self.log: list[str] = []

    def wall(self) -> float:
        return self.offset + trio.current_time()

    def set(self, seconds: float) -> None:
        self.offset += seconds

    def done(self) -> None:
        self.log.append(datetime.fromtimestamp(round(self.wall()), BERLIN).strftime("%H:%M:%S"))

    def opened(self, *children: Any, journal: Any = None, **options: Any) -> Any:
        return open_tree(tree(*children, **options), journal=journal, wall=self.wall)


class Report(Agent[Tally]):
    state = Tally()

    def __init__(
        self, world: World, takes: float = 0.0, errors: Any = None, times: Any = "08:01,08:05", days: str = ""
    ) -> None:
        self.world = world
        self.takes = takes
        self.errors: list[Exception] = errors
        self.times = timetable(times, "Europe/Berlin", days)

    @at("times")
    async def report(self) -> None:
        self.world.done()
        self.state = evolve(self.state, total=self.state.total + 1)
        await trio.sleep(self.takes)
        if self.errors:
            raise self.errors.pop(0)

    @handles
    def add(self, message: Add) -> None:
        self.state = evolve(self.state, seen=(*self.state.seen, message.amount))


@pytest.fixture(params=[MESSAGE, VOLATILE, Checkpointed(messages=1)], ids=["message", "volatile", "checkpointed"])
def durability(request: pytest.FixtureRequest) -> Durability:
    return request.param


def reporting(world: World, durability: Durability = MESSAGE, *, args: Any = None, **options: Any) -> Any:
    return kept(Report, durability, args={"world": world, **(args or {})}, **options)


async def test_what_was_missed_while_no_process_ran_is_done_once(autojump_clock: MockClock) -> None:
    """Also the very first time, before which nothing has ever settled."""
    world, journal = World(), MemoryJournal()
    async with world.opened(reporting(world), journal=journal):
        await trio.sleep(30)
    world.set(600)
    async with world.opened(reporting(world), journal=journal) as running:
        await trio.sleep(30)
        assert slot_of(running, "report").state == Tally(1)
    assert world.log == ["08:10:30"]


async def test_what_no_process_has_promised_is_not_missed(autojump_clock: MockClock) -> None:
    world = World("2026-05-05T08:01:01")
    async with world.opened(reporting(world)):
        await trio.sleep(60)
    assert world.log == []


async def test_another_timetable_counts_from_the_next_process_on(autojump_clock: MockClock) -> None:
    world, journal = World(), MemoryJournal()
    other = reporting(world, args={"times": "08:05"})
    async with world.opened(reporting(world), journal=journal):
        pass
    async with world.opened(other, journal=journal):
        await trio.sleep(30)
    world.set(60)  # over 08:01, which is not its time any more
    async with world.opened(other, journal=journal):
        await trio.sleep(300)
    assert world.log == ["08:05:00"]


async def test_what_was_cancelled_on_the_way_comes_again(durability: Durability, autojump_clock: MockClock) -> None:
    world = World()
    spec = reporting(world, durability, args={"takes": 20.0})
    other = kept(Counter, VOLATILE, id="other", backoff=NO_BACKOFF)
    async with world.opened(evolve(spec, shutdown=Grace(1.0)), other, strategy=Strategy.ONE_FOR_ALL) as running:
        await trio.sleep(70)
        await running.ref("other").tell(Bad())
        await trio.sleep(60)
        assert slot_of(running, "report").state == Tally(1)
        assert world.log == ["08:01:00", "08:01:11"]
        await trio.sleep(180)
    assert world.log[2:] == ["08:05:00"]


async def test_what_a_process_died_over_comes_again_in_the_next(autojump_clock: MockClock) -> None:
    world, journal = World(), MemoryJournal()
    spec = reporting(world, args={"takes": 20.0})
    with trio.CancelScope() as death:
        async with world.opened(spec, journal=journal):
            await trio.sleep(70)
            death.cancel()
    async with world.opened(spec, journal=journal):
        await trio.sleep(240)
    assert world.log == ["08:01:00", "08:01:10", "08:05:00"]


async def test_what_failed_is_left_to_the_next_time(durability: Durability, autojump_clock: MockClock) -> None:
    world = World()
    spec = reporting(world, durability, args={"errors": [ValueError("once")]}, backoff=NO_BACKOFF)
    async with world.opened(spec) as running:
        await trio.sleep(320)
        (ended,) = await happened(running, ChildEnded)
    assert ended.failure is not None
    assert ended.failure.message_kind == "at:report"
    assert world.log == ["08:01:00", "08:05:00"]


async def test_what_failed_comes_with_the_next_process_if_that_is_sooner(autojump_clock: MockClock) -> None:
    world, journal = World(), MemoryJournal()
    spec = reporting(world, args={"errors": [ValueError("once")]}, backoff=NO_BACKOFF)
    async with world.opened(spec, journal=journal):
        await trio.sleep(100)
    async with world.opened(spec, journal=journal):
        await trio.sleep(220)
    assert world.log == ["08:01:00", "08:01:40", "08:05:00"]


async def test_a_hang_is_a_failure(autojump_clock: MockClock) -> None:
    world = World()
    async with world.opened(reporting(world, args={"takes": 200.0}, progress_within=5.0)) as running:
        await trio.sleep(400)
        assert running.snapshot()[0].restarts == 2
    assert world.log == ["08:01:00", "08:05:00"]


async def test_a_rate_limit_puts_it_off(durability: Durability, autojump_clock: MockClock) -> None:
    world = World()
    async with world.opened(reporting(world, durability, args={"errors": [RateLimited(45.0)]})) as running:
        await trio.sleep(180)
        assert world.log == ["08:01:00", "08:01:45"]  # and not only when the clock is looked at again
        assert running.snapshot()[0].restarts == 0
        assert slot_of(running, "report").state == Tally(1)
        await trio.sleep(180)
    assert world.log[2:] == ["08:05:00"]


async def test_a_process_that_ends_while_it_is_put_off_leaves_it_to_the_next(autojump_clock: MockClock) -> None:
    world, journal = World(), MemoryJournal()
    spec = reporting(world, args={"errors": [RateLimited(60.0)]})
    async with world.opened(spec, journal=journal):
        await trio.sleep(90)
    async with world.opened(spec, journal=journal):
        await trio.sleep(120)
    assert world.log == ["08:01:00", "08:01:30"]


async def test_a_commit_that_failed_lets_it_come_again(autojump_clock: MockClock) -> None:
    world, journal = World(), Disk()
    async with world.opened(reporting(world, backoff=NO_BACKOFF), journal=journal) as running:
        journal.broken = lambda commit: bool(commit.states)
        await trio.sleep(60.01)
        journal.broken = lambda _: False
        await trio.sleep(60)
        assert slot_of(running, "report").state == Tally(1)
        (ended,) = await events(journal, ChildEnded)
        assert ended.failure is not None
        assert ended.failure.type == "CommitFailed"
        await trio.sleep(200)
    assert world.log == ["08:01:00", "08:01:00", "08:05:00"]


async def test_a_first_time_that_could_not_be_stored_is_stored_by_the_next_life(autojump_clock: MockClock) -> None:
    """Else the next process would not know what it was down for."""
    world, journal = World(), Disk()
    journal.broken = lambda commit: bool(commit.timers)
    async with world.opened(reporting(world, backoff=NO_BACKOFF), journal=journal):
        journal.broken = lambda _: False
        await trio.sleep(10)
    world.set(600)
    async with world.opened(reporting(world), journal=journal):
        await trio.sleep(10)
    assert world.log == ["08:10:10"]


async def test_one_that_ends_its_agent_has_settled(durability: Durability, autojump_clock: MockClock) -> None:
    world = World()
    async with world.opened(reporting(world, durability, args={"errors": [Stop("done")]})) as running:
        await trio.sleep(180)
        assert slot_of(running, "report").state == Tally(1)
        assert running.snapshot()[0].restarts == 1
    assert world.log == ["08:01:00"]


async def test_what_came_due_while_it_was_busy_is_one(durability: Durability, autojump_clock: MockClock) -> None:
    world = World()
    args = {"takes": 150.0, "times": "08:01,08:02,08:03,08:10"}
    async with world.opened(reporting(world, durability, args=args)):
        await trio.sleep(700)
    assert world.log == ["08:01:00", "08:03:30", "08:10:00"]


async def test_it_comes_before_messages_and_what_is_held_waits(autojump_clock: MockClock) -> None:
    world = World()
    async with world.opened(reporting(world)) as running:
        slot = slot_of(running, "report")
        slot.pause("held")
        await running.ref("report").tell(Add(1))
        await trio.sleep(400)
        slot.resume("held")
        await wait_all_tasks_blocked()
        assert world.log == ["08:06:40"]
        assert slot.state == Tally(1, (1,))


@pytest.mark.parametrize(
    ("first", "silent", "log"),
    [
        (10.0, 20.0, ["08:01:00", "08:05:00"]),
        (50.0, 20.0, ["08:01:10", "08:05:00"]),
        (65.0, 5.0, ["08:01:00", "08:05:00"]),  # with it in hand
        (65.0, 60.0, ["08:01:00", "08:05:00"]),  # and it ends meanwhile
        (65.0, 240.0, ["08:01:00", "08:05:05"]),
    ],
)
async def test_nothing_comes_due_in_silence_and_nothing_twice_after_it(
    first: float, silent: float, log: list[str], autojump_clock: MockClock
) -> None:
    """As in a drain that is called off."""
    world = World()
    async with world.opened(reporting(world, args={"takes": 20.0})) as running:
        agent = slot_of(running, "report").agent
        assert agent is not None
        await trio.sleep(first)
        agent.life.silence()
        await trio.sleep(silent)
        agent.life.go_on()
        await trio.sleep(400)
    assert world.log == log


async def test_what_waits_when_silence_begins_comes_once_after_it(autojump_clock: MockClock) -> None:
    world = World()
    async with world.opened(reporting(world)) as running:
        slot = slot_of(running, "report")
        assert slot.agent is not None
        slot.pause("held")
        await trio.sleep(70)
        slot.agent.life.silence()
        slot.resume("held")
        await trio.sleep(10)
        assert world.log == []
        slot.agent.life.go_on()
        await trio.sleep(300)
    assert world.log == ["08:01:20", "08:05:00"]


async def test_times_in_the_class(autojump_clock: MockClock) -> None:
    world = World()

    class Two(Agent[None]):
        @at("08:02,08:06", zone="Europe/Berlin", days="tue")
        def often(self) -> None:
            world.done()

        @at(["06:04"])  # by the clock of UTC
        async def early(self) -> None:
            world.done()

        @every(500)
        def again(self) -> None:
            world.done()

    async with world.opened(kept(Two, VOLATILE)):
        await trio.sleep(520)
    assert world.log == ["08:00:00", "08:02:00", "08:04:00", "08:06:00", "08:08:20"]


async def test_a_worker_at_times_of_day(durability: Durability, autojump_clock: MockClock) -> None:
    world = World()

    async def nightly(job: Job) -> None:
        world.done()
        job.checkpoint(len(world.log))

    spec = child(worker(nightly, at="08:02,08:04", zone="Europe/Berlin"), mailbox=MailboxSpec(durability=durability))
    async with world.opened(spec):
        await trio.sleep(300)
    assert world.log == ["08:02:00", "08:04:00"]
