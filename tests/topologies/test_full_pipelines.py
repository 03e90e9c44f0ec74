"""A line of stages that runs full: who is stopped while it waits for room ends at once, and nothing is lost."""

from __future__ import annotations

from collections import Counter

import pytest
import trio
import trio.testing
from attrs import field, frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import MESSAGE, VOLATILE, Durability, MailboxSpec
from treewarden.supervisor.core.event import DeadLettered
from treewarden.supervisor.core.policies import otp
from treewarden.supervisor.core.spec import ChildSpec, Grace, Intensity
from treewarden.supervisor.journal.memory import MemoryJournal
from treewarden.topologies.child import Child, child
from treewarden.topologies.open import open_tree
from treewarden.topologies.pipeline import pipeline, stage
from treewarden.topologies.pool import pool
from treewarden.topologies.tree import tree

CLOCK = trio.testing.MockClock
LEVELS = pytest.mark.parametrize("level", [VOLATILE, MESSAGE], ids=["in memory", "on disk"])
OFTEN = Intensity(100, within=1)


@frozen
class Item:
    n: int


@frozen(eq=False)
class Works:
    """What the stages do, and what they have done."""

    seconds: float = 10
    crash: set[int] = field(factory=set[int])
    """On which items the sink raises, once each."""
    crashed_at: list[float] = field(factory=list[float])
    handled: list[tuple[str, int, float]] = field(factory=list[tuple[str, int, float]])

    def by(self, name: str) -> list[int]:
        return [n for path, n, _ in self.handled if path.startswith(name)]

    def note(self, agent: Agent[None], item: Item) -> None:
        self.handled.append((agent.path.removeprefix("line/"), item.n, trio.current_time()))


class Member(Agent[None]):
    state = None

    def __init__(self, works: Works) -> None:
        self.works = works


class Stage(Member):
    @handles
    def item(self, item: Item) -> Item:
        self.works.note(self, item)
        return item


class Sink(Member):
    @handles
    async def item(self, item: Item) -> None:
        await trio.sleep(self.works.seconds)
        if item.n in self.works.crash:
            self.works.crash.discard(item.n)
            self.works.crashed_at.append(trio.current_time())
            raise RuntimeError("on purpose")
        self.works.note(self, item)


class Careful(Member):
    """Takes its time before it has its result."""

    @handles
    async def item(self, item: Item) -> Item:
        await trio.sleep(1)
        self.works.note(self, item)
        return item


def one(kind: type[Member], id: str, works: Works, level: Durability, grace: float = 5) -> ChildSpec:
    mailbox = MailboxSpec(capacity=1, durability=level)
    return child(kind, id=id, args={"works": works}, mailbox=mailbox, shutdown=Grace(grace))


@pytest.mark.parametrize("workers", [1, 3])
@LEVELS
async def test_a_sink_that_fails_costs_no_grace_and_no_message(
    level: Durability, workers: int, autojump_clock: CLOCK
) -> None:
    works = Works(crash={2})
    middle = one(Stage, "middle", works, level)
    middles = middle if workers == 1 else pool(middle, size=workers, id="middle")
    line = pipeline(
        one(Stage, "source", works, level), middles, one(Sink, "sink", works, level), id="line", restarts=OFTEN
    )
    async with open_tree(tree(line, policy=otp()), journal=MemoryJournal()) as running:
        for n in range(1, 13):
            await running.ref("line/source").tell(Item(n), within=1000)
        await trio.sleep(200)
        assert {str(each.path): each.incarnation for each in running.snapshot()}["line/source"] == 2
        assert await running.dead_letters() == ()
    lost = {2} if level == VOLATILE else set[int]()  # what it failed on
    assert set(works.by("sink")) == set(range(1, 13)) - lost
    again = min(at for path, _, at in works.handled if path == "sink" and at > works.crashed_at[0])
    assert again == works.crashed_at[0] + works.seconds
    for name in ("source", "middle", "sink"):
        assert max(Counter(works.by(name)).values()) == 1


@LEVELS
@pytest.mark.parametrize(("feeders", "beyond"), [(1, 16), (20, 20)])
async def test_what_goes_beyond_the_capacity_is_bounded(
    feeders: int, beyond: int, level: Durability, autojump_clock: CLOCK
) -> None:
    """A sink that never gets on is not filled by stages that are stopped again and again; but each is let in once."""
    works = Works(seconds=10_000)
    source = one(Stage, "source", works, level)
    sources = source if feeders == 1 else pool(source, size=feeders, id="source")
    async with open_tree(
        tree(pipeline(sources, one(Sink, "sink", works, level, grace=0), id="line")), journal=MemoryJournal()
    ) as running:
        sink, supervisor = running.ref("line/sink"), running.supervisor("line")
        took: list[float] = []
        for _ in range(beyond // feeders + 4):
            for n in range(feeders):
                await running.ref("line/source").tell(Item(n))
            await trio.sleep(1)
            begun = trio.current_time()
            await supervisor.terminate_child("source")
            took.append(trio.current_time() - begun)
            await supervisor.restart_child("source")
        assert sink.statistics().depth == 1 + beyond
        assert took.count(0) == beyond // feeders + (2 if feeders == 1 else 0)  # one in its hand, and one within
        assert took[-1] == 5  # each waits out its grace, those of a pool together


async def test_a_message_that_fails_each_time_costs_no_grace(autojump_clock: CLOCK) -> None:
    """The sink takes nothing else meanwhile, and who feeds it is stopped each time."""
    works, failed_at = Works(), list[float]()

    class Poisoned(Sink):
        @handles
        async def item(self, item: Item) -> None:
            if item.n == 2 and len(failed_at) < 6:
                failed_at.append(trio.current_time())
                raise RuntimeError("on purpose")
            await trio.sleep(works.seconds)
            works.note(self, item)

    mailbox = MailboxSpec(capacity=1, durability=MESSAGE, deliveries=9)
    sink = child(Poisoned, id="sink", args={"works": works}, mailbox=mailbox)
    line = pipeline(one(Stage, "source", works, MESSAGE), sink, id="line", restarts=OFTEN)
    async with open_tree(tree(line, policy=otp()), journal=MemoryJournal()) as running:
        for n in range(1, 9):
            await running.ref("line/source").tell(Item(n), within=1000)
        await trio.sleep(200)
    assert failed_at == [works.seconds] * 6
    assert works.by("sink") == list(range(1, 9))


async def test_all_that_a_stage_sends_to_take_its_last_result(autojump_clock: CLOCK) -> None:
    works = Works(seconds=10_000)
    line = pipeline(
        stage(one(Careful, "source", works, VOLATILE), to=["left", "right"]),
        stage(one(Sink, "left", works, VOLATILE, grace=0), to=[]),
        one(Sink, "right", works, VOLATILE, grace=0),
        id="line",
    )
    async with open_tree(tree(line), journal=MemoryJournal()) as running:
        for n in range(3):
            await running.ref("line/source").tell(Item(n))
        await trio.sleep(5)
        depths = [running.ref(f"line/{name}").statistics().depth for name in ("left", "right")]
        assert depths == [1, 1]
        begun = trio.current_time()
        await running.supervisor("line").terminate_child("source")
        assert trio.current_time() == begun
        assert [running.ref(f"line/{name}").statistics().depth for name in ("left", "right")] == [2, 2]


async def test_who_is_told_to_stop_before_it_has_its_result_does_not_wait_either(autojump_clock: CLOCK) -> None:
    works = Works(seconds=10_000)
    stages = (one(Careful, "source", works, VOLATILE), one(Sink, "sink", works, VOLATILE, grace=0))
    async with open_tree(tree(pipeline(*stages, id="line")), journal=MemoryJournal()) as running:
        for n in range(3):
            await running.ref("line/source").tell(Item(n))
        await trio.sleep(1.5)
        begun = trio.current_time()
        await running.supervisor("line").terminate_child("source")
        assert trio.current_time() == begun + 0.5
        assert works.by("source") == [0, 1, 2]
        assert running.ref("line/sink").statistics().depth == 2


async def test_an_end_in_order_handles_what_waits(autojump_clock: CLOCK) -> None:
    """What is drained has more to hand on than the one result, and waits for room within its grace."""
    works = Works(seconds=1)
    stages = (one(Stage, "source", works, VOLATILE, grace=60), one(Sink, "sink", works, VOLATILE, grace=60))
    async with open_tree(tree(pipeline(*stages, id="line")), journal=MemoryJournal()) as running:
        for n in range(6):
            await running.ref("line/source").tell(Item(n), within=100)
        running.stop()
        await running.wait_ended()
        assert trio.current_time() == 6
    assert works.by("sink") == list(range(6))


@pytest.mark.parametrize("workers", [1, 3])
async def test_the_end_of_the_tree_takes_one_grace_however_long_the_full_line(
    workers: int, autojump_clock: CLOCK
) -> None:
    """Each stage hands on what waits for it, beyond all capacities, and only who does not get on uses up its grace."""
    works = Works(seconds=10_000)
    names = ("source", "first", "second", "third")
    stages: list[Child] = [one(Stage, name, works, VOLATILE) for name in names]
    if workers > 1:
        stages[2] = pool(one(Stage, "second", works, VOLATILE), size=workers, id="second")
    line = pipeline(*stages, one(Sink, "sink", works, VOLATILE), id="line")
    journal = MemoryJournal()
    async with open_tree(tree(line), journal=journal) as running:
        sent = 2 * (len(stages) + workers)
        for n in range(sent):
            await running.ref("line/source").tell(Item(n))
        await trio.testing.wait_all_tasks_blocked()
        begun = trio.current_time()
        running.stop()
        await running.wait_ended()
        assert trio.current_time() == begun + 5
        given_up = [each.event for each in await journal.read() if isinstance(each.event, DeadLettered)]
        assert [sorted(set(works.by(name))) for name in names] == [list(range(sent))] * 4
    assert [(each.path, each.kind) for each in given_up] == [("line/sink", "Item")] * sent


async def test_a_sink_has_its_whole_grace_for_what_all_stages_before_it_have_left(autojump_clock: CLOCK) -> None:
    works = Works(seconds=1)
    stages = [one(Stage, name, works, VOLATILE) for name in ("source", "first", "second")]
    async with open_tree(
        tree(pipeline(*stages, one(Sink, "sink", works, VOLATILE, grace=60), id="line")), journal=MemoryJournal()
    ) as running:
        for n in range(7):
            await running.ref("line/source").tell(Item(n))
        begun = trio.current_time()
        running.stop()
        await running.wait_ended()
        assert trio.current_time() == begun + 7
    assert works.by("sink") == list(range(7))
