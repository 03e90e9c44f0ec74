"""Which message led to which: what handlers tell is in the trace of the message in hand, however it goes."""

from __future__ import annotations

from typing import ClassVar

import pytest
import trio
import trio.testing
from attrs import frozen
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from treewarden.agents.agent import Agent, every, handles
from treewarden.agents.core.durability import MailboxSpec, Overflow
from treewarden.agents.core.message import Request, told_id, trace_of
from treewarden.supervisor.core.event import DeadLettered, Recorded
from treewarden.supervisor.core.spec import NO_BACKOFF, ChildSpec, Intensity
from treewarden.topologies.child import child
from treewarden.topologies.pool import pool
from treewarden.topologies.topic import subscriber, topic

from .trees import Disk, events, happened, opened, volatile

TREE = "9f"


@frozen
class Job:
    """Who handles it tells, asks and hands on what comes after it."""

    of: int
    """With which message from outside it all began."""
    then: tuple[Job, ...] = ()
    to: str = "a"
    how: str = "tell"
    fails: bool = False
    """When it is delivered for the first time."""


@frozen
class Sub(Request[str]):
    """As `Job`, to be answered."""

    job: Job


class Worker(Agent[int]):
    state = 0
    seen: ClassVar[list[tuple[int, str, str]]] = []
    """What was handled: of which beginning, in which trace, under which id."""
    failed: ClassVar[set[Job]] = set()

    async def go_on(self, job: Job) -> None:
        Worker.seen.append((job.of, self.trace, self.life.turn.message))
        for each in job.then:
            if each.how == "ask":
                await self.ref(f"/{each.to}").ask(Sub(each), within=60)
            elif each.how == "forward":
                await self.forward(f"/{each.to}", each)
            else:
                await self.ref(f"/{each.to}").tell(each)
        if job.fails and job not in Worker.failed:
            Worker.failed.add(job)
            raise RuntimeError("once")
        self.state += 1

    @handles
    async def job(self, message: Job) -> None:
        await self.go_on(message)

    @handles
    async def sub(self, message: Sub) -> str:
        await self.go_on(message.job)
        return self.trace


def jobs(of: int, to: str = "a") -> st.SearchStrategy[Job]:
    """Asks go on to those behind only, so that nobody ever waits for itself."""
    told = st.sampled_from(["a", "b", "c", "crew", "hall"])

    def job(below: st.SearchStrategy[Job]) -> st.SearchStrategy[Job]:
        return st.builds(
            Job, of=st.just(of), then=st.lists(below, max_size=3).map(tuple), to=told, how=st.just("tell"),
            fails=st.booleans(),
        )  # fmt: skip

    asked = st.builds(Job, of=st.just(of), to=st.just("last"), how=st.just("ask"), then=st.lists(
        st.builds(Job, of=st.just(of), to=told, fails=st.booleans()), max_size=2).map(tuple))  # fmt: skip
    handed = st.builds(Job, of=st.just(of), to=st.sampled_from(["b", "c"]), how=st.just("forward"))
    leaf = st.one_of(st.builds(Job, of=st.just(of), to=told), asked, handed)
    return st.recursive(leaf, job, max_leaves=8)


def place(name: str) -> ChildSpec:
    return child(Worker, id=name, mailbox=MailboxSpec(capacity=500), backoff=NO_BACKOFF)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.integers(0, 3), min_size=1, max_size=4).flatmap(lambda of: st.tuples(*map(jobs, range(len(of))))))
def test_whatever_follows_from_a_message_is_in_its_trace(plans: tuple[Job, ...]) -> None:
    Worker.seen, Worker.failed = [], set()
    journal = Disk()

    async def work() -> None:
        crew = pool(child(Worker, mailbox=MailboxSpec(capacity=500), backoff=NO_BACKOFF), size=2, id="crew")
        hall = topic(*(subscriber(f"/{each}", overflow=Overflow.WAIT) for each in ("b", "c")), id="hall")
        async with opened(
            *map(place, ("a", "b", "c", "last")), crew, hall, journal=journal, restarts=Intensity(1000, 1.0)
        ) as running:
            for plan in plans:
                await running.ref("a").tell(plan)
            await trio.sleep(600)

    trio.run(work, clock=trio.testing.MockClock(autojump_threshold=0))
    traces = [{trace for of, trace, _ in Worker.seen if of == n} for n in range(len(plans))]
    assert all(len(each) == 1 and "" not in each for each in traces)
    assert len(set[str]().union(*traces)) == len(plans)
    ids = [row.id for commit in journal.seen for row in commit.accepted]
    assert len(set(ids)) == len(ids)
    assert {trace_of(id) for id in ids} == set[str]().union(*traces)
    assert max(map(len, ids)) <= len(TREE) * 20 + 40


TREES = st.sampled_from(["9f", "a0", "9"])


@given(st.text(), st.lists(st.tuples(st.integers(0, 20), TREES, st.booleans()), min_size=1, max_size=40))
def test_ids_are_unique_and_short_and_in_one_trace_whatever_they_began_with(
    first: str, told: list[tuple[int, str, bool]]
) -> None:
    """Each is told by one of those before it, or asked by it and told then, by whichever journal has it now."""
    ids = [first or "x"]
    for row, (by, tree_id, asked) in enumerate(told, 1):
        cause = ids[by % len(ids)]
        ids.append(told_id(f"{cause}>desk:Count:1:00.1" if asked else cause, tree_id, row))
    assert {trace_of(id) for id in ids} == {trace_of(ids[0])}
    assert len(set(ids)) == len(ids)
    assert max(map(len, ids)) <= 2 * len(ids[0]) + 20


@frozen
class Begin:
    how: str


@frozen
class Begun(Request[None]):
    how: str


@frozen
class Told:
    n: int


class Beginner(Agent[None]):
    """Tells two messages, in each way in which something comes to it."""

    seen: ClassVar[list[tuple[str, str]]] = []

    def __init__(self, ticks: bool = False) -> None:
        self.ticks = ticks

    async def tell(self, how: str) -> None:
        Beginner.seen.append((how, self.trace))
        for n in (1, 2):
            await self.ref("/end").tell(Told(n))

    @handles
    async def begin(self, message: Begin) -> None:
        if message.how == "after":
            self.after(5, Begin("later"))
        elif message.how == "helper":
            self.start_soon(self.tell, "helper")
            await trio.sleep(1)
        else:
            await self.tell(message.how)

    @handles
    async def begun(self, message: Begun) -> None:
        await self.tell(message.how)

    @every(5)
    async def tick(self) -> None:
        if self.ticks:
            self.ticks = False
            await self.tell("tick")


class End(Agent[None]):
    seen: ClassVar[list[tuple[str, str]]] = []

    @handles
    def told(self, message: Told) -> None:
        End.seen.append((self.trace, self.life.turn.message))
        self.record(message)


@pytest.fixture(autouse=True)
def nothing_seen() -> None:
    Beginner.seen, End.seen = [], []


async def began(how: str, agent: ChildSpec, message: object = None) -> tuple[str, list[tuple[str, str]]]:
    """What the beginner said its trace was, and in which traces and under which ids its two messages came."""
    async with opened(agent, child(End)) as running:
        if isinstance(message, Begun):
            await running.ref("beginner").ask(message)
        elif message is not None:
            await running.ref("beginner").tell(message)
        await trio.sleep(7)
    ((said, trace),) = Beginner.seen
    assert said == how
    return trace, End.seen


async def test_what_a_timer_tells_is_in_the_trace_of_who_set_it(autojump_clock: MockClock) -> None:
    trace, ends = await began("later", child(Beginner), Begin("after"))
    assert trace
    assert [each for each, _ in ends] == [trace, trace]
    assert trace not in {id for _, id in ends}


@pytest.mark.parametrize("how", ["tick", "ask"])
async def test_what_began_without_an_id_begins_its_trace_with_what_it_tells_first(
    how: str, autojump_clock: MockClock
) -> None:
    trace, ends = await began(how, child(Beginner, args={"ticks": how == "tick"}), Begun(how) if how == "ask" else None)
    assert trace == ""
    (first, id), (second, other) = ends
    assert first == second == id != other


async def test_a_fact_says_of_which_message_it_is(autojump_clock: MockClock) -> None:
    journal = Disk()
    async with opened(child(Beginner), child(End), volatile(End, id="other"), journal=journal) as running:
        await running.ref("beginner").tell(Begin("told"))
        await wait_all_tasks_blocked()
        await running.ref("other").tell(Told(3))
        await wait_all_tasks_blocked()
        assert [(each.facts["n"], each.message) for each in await events(journal, Recorded)] == [
            (1, End.seen[0][1]),
            (2, End.seen[1][1]),
            (3, ""),
        ]
        assert "" not in dict(End.seen[:2])


@pytest.mark.parametrize("how", ["memory", "helper"])
async def test_an_agent_in_memory_and_a_helper_end_the_trace(how: str, autojump_clock: MockClock) -> None:
    beginner = volatile(Beginner) if how == "memory" else child(Beginner)
    trace, ends = await began(how, beginner, Begin(how))
    assert trace == ""
    assert all(each == id for each, id in ends)
    assert len({id for _, id in ends}) == 2


async def test_a_dead_letter_that_is_put_back_is_in_its_trace(autojump_clock: MockClock) -> None:
    Worker.seen, Worker.failed = [], set()
    job = Job(1, then=(Job(1, to="b", fails=True),))
    once = child(Worker, id="b", mailbox=MailboxSpec(deliveries=1), backoff=NO_BACKOFF)
    async with opened(place("a"), once) as running:
        await running.ref("a").tell(job)
        (dead,) = await happened(running, DeadLettered)
        again = await running.replay(dead.message)
        await wait_all_tasks_blocked()
        assert trace_of(dead.message) == trace_of(again) == Worker.seen[-1][1] == Worker.seen[0][1]
        assert again != dead.message
        assert Worker.seen[-1][2] == again
