"""The ladder in a tree that runs: each of its promises, with the default limits, from signal to outcome."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, ClassVar, TypeVar

import pytest
import trio
import trio.testing
from attrs import frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import VOLATILE, MailboxSpec
from treewarden.agents.core.lifecycle import SlotState
from treewarden.agents.core.message import Request
from treewarden.agents.errors import RateLimited
from treewarden.agents.worker import Job, worker
from treewarden.supervisor.core import event as events
from treewarden.topologies.child import child
from treewarden.topologies.open import open_tree
from treewarden.topologies.running import Tree
from treewarden.topologies.tree import tree

E = TypeVar("E")


@frozen
class Put:
    n: int


@frozen
class Get(Request[int]):
    """Ask for the number."""


class Number(Agent[int]):
    """Cannot live with a number above 99, and notices only when it starts or is asked to add to it."""

    state = 0

    async def on_start(self) -> None:
        if self.state > 99:
            raise ValueError("this is no number for me")

    @handles
    async def put(self, message: Put) -> None:
        self.state = message.n

    @handles
    def get(self, message: Get) -> int:
        return self.state


class Fragile(Agent[int]):
    """Dies on 13 and on nothing else."""

    state = 0

    @handles
    async def put(self, message: Put) -> None:
        self.state += message.n
        if message.n == 13:
            raise ValueError("thirteen")

    @handles
    def get(self, message: Get) -> int:
        return self.state


class Sleeper(Agent[int]):
    """Never comes back from a 1, unless it says that it goes on."""

    state = 0

    @handles
    async def put(self, message: Put) -> None:
        for step in range(100):
            if message.n == 2:
                self.progress(step)
            await trio.sleep(1)
        self.state += 1

    @handles
    def get(self, message: Get) -> int:
        return self.state


async def facts(running: Tree, kind: type[E]) -> list[E]:
    """Every committed event of one kind so far."""
    found: list[E] = []
    head = running.head
    async with running.events() as records:
        async for record in records:
            if isinstance(record.event, kind):
                found.append(record.event)
            if record.seq >= head:
                return found
    raise AssertionError("the journal ended before its head")


async def actions(running: Tree, path: str) -> list[str]:
    return [fact.action for fact in await facts(running, events.Decided) if fact.path == path]


def lives(running: Tree, path: str) -> int:
    return next(slot.incarnation for slot in running.snapshot() if slot.path == path)


async def test_a_429_throttles_and_restarts_nothing(autojump_clock: trio.testing.MockClock) -> None:
    calls: list[float] = []

    async def limited() -> None:
        calls.append(trio.current_time())
        if len(calls) == 1:
            raise RateLimited(30.0)

    async with open_tree(tree(worker(limited, every=1))) as running:
        await trio.sleep(20)
        (slot,) = running.snapshot()
        assert slot.note.startswith("throttled")
        await trio.sleep(40)
        assert await actions(running, "limited") == ["throttle"]
        assert lives(running, "limited") == 1
    assert calls[1] - calls[0] == pytest.approx(30, abs=1), "not before it was allowed, and then at once"
    assert len(calls) > 20


async def test_an_exception_that_carries_a_429_is_one(autojump_clock: trio.testing.MockClock) -> None:
    class Response:
        status_code = 429
        headers: ClassVar = {"Retry-After": "12"}

    class ClientError(Exception):
        response = Response()

    calls: list[float] = []

    async def limited() -> None:
        calls.append(trio.current_time())
        if len(calls) == 1:
            raise ClientError

    async with open_tree(tree(worker(limited, every=5))) as running:
        await trio.sleep(60)
        assert await actions(running, "limited") == ["throttle"]
    assert calls[1] - calls[0] >= 12


async def test_a_message_that_kills_twice_is_set_aside(autojump_clock: trio.testing.MockClock) -> None:
    async with open_tree(tree(Fragile)) as running:
        ref = running.ref("fragile")
        for n in (1, 13, 2):
            await ref.tell(Put(n))
        assert await ref.ask(Get(), within=60) == 3
        assert await actions(running, "fragile") == ["restart", "set_aside"]
        (dead,) = await facts(running, events.DeadLettered)
        assert "2 times" in dead.reason
        await trio.sleep(60)
        (closed,) = await facts(running, events.IncidentClosed)
        assert closed.outcome == "fixed"


async def test_dying_on_the_restored_state_rolls_it_back(autojump_clock: trio.testing.MockClock) -> None:
    async with open_tree(tree(Number)) as running:
        ref = running.ref("number")
        for n in (1, 2, 3, 4, 100):
            await ref.tell(Put(n))
        assert await ref.ask(Get()) == 100
        running.kill("number")
        await trio.sleep(60)
        assert await ref.ask(Get()) in (1, 2, 3, 4), "an earlier state, and none that kills"
        (rolled,) = await facts(running, events.RolledBack)
        assert rolled.to is not None
        assert (await actions(running, "number"))[-1] == "roll_back"


async def test_a_poller_keeps_its_state_while_its_remote_talks_nonsense(autojump_clock: trio.testing.MockClock) -> None:
    nonsense = False
    seen: list[int] = []

    async def poll(job: Job) -> None:
        if nonsense:
            raise ValueError("that is no number")
        seen.append((job.value or 0) + 1)
        job.checkpoint(seen[-1])

    async with open_tree(tree(worker(poll, every=1))) as running:
        await trio.sleep(30.5)
        nonsense = True
        await trio.sleep(60)
        nonsense = False
        await trio.sleep(60)
        assert "roll_back" not in await actions(running, "poll")
        assert not await facts(running, events.RolledBack)
        assert seen[-1] > 30, "it went on where it was"


async def test_an_agent_that_cannot_be_made_never_loses_its_state(autojump_clock: trio.testing.MockClock) -> None:
    broken = False

    def make() -> Number:
        if broken:
            raise ValueError("no such host")
        return Number()

    async with open_tree(tree(child(make, id="number"))) as running:
        ref = running.ref("number")
        for n in (1, 2, 3):
            await ref.tell(Put(n))
        assert await ref.ask(Get()) == 3
        broken = True
        running.kill("number")
        await trio.sleep(20)
        broken = False
        await trio.sleep(300)
        if next(slot.state for slot in running.snapshot()) is SlotState.HELD:
            running.resume("number")
        assert await ref.ask(Get(), within=60) == 3
        assert "roll_back" not in await actions(running, "number")


async def test_a_hang_is_ended_and_progress_is_none(autojump_clock: trio.testing.MockClock) -> None:
    volatile = MailboxSpec(durability=VOLATILE)
    spec = tree(child(Sleeper, progress_within=5.0, mailbox=volatile))
    async with open_tree(spec) as running:
        await running.ref("sleeper").tell(Put(2))
        await trio.sleep(90)
        assert lives(running, "sleeper") == 1, "it reports a new step every second"
        await trio.sleep(15)
        await running.ref("sleeper").tell(Put(1))
        await trio.sleep(15)
        assert lives(running, "sleeper") == 2
        assert await running.ref("sleeper").ask(Get()) == 1
        (noted,) = await facts(running, events.SignalNoted)
        assert noted.kind == "Stalled"


async def test_ten_that_fail_alike_are_one_dead_dependency(autojump_clock: trio.testing.MockClock) -> None:
    down = True
    calls: list[tuple[float, str]] = []

    def poller(name: str) -> Callable[[], Awaitable[Any]]:
        async def poll() -> None:
            calls.append((trio.current_time(), name))
            if down:
                raise ConnectionRefusedError("nobody listens")

        poll.__name__ = name
        return poll

    async with open_tree(tree(*[worker(poller(f"p{n}"), every=1) for n in range(10)])) as running:
        await trio.sleep(30)
        found = [fact.action for fact in await facts(running, events.Decided)]
        assert "break" in found
        assert "escalate" not in found, "ten crashes would have used up the intensity"
        assert len(calls) < 60, "they are kept quiet, and do not all hammer on it"
        down = False
        await trio.sleep(400)
        assert all(slot.state is SlotState.UP for slot in running.snapshot())
        before = len(calls)
        await trio.sleep(10)
        assert len(calls) - before == pytest.approx(100, abs=10), "all of them work again"


async def test_a_dead_dependency_is_decided_once_and_not_for_each_of_its_users(
    autojump_clock: trio.testing.MockClock,
) -> None:
    def poller(n: int) -> Callable[[], Awaitable[Any]]:
        async def poll() -> None:
            raise ConnectionRefusedError("nobody listens")

        poll.__name__ = f"p{n}"
        return poll

    async with open_tree(tree(*[worker(poller(n), every=1) for n in range(40)])) as running:
        await trio.sleep(3.5)
        found = [fact.action for fact in await facts(running, events.Decided)]
        assert found.count("break") == 1
        opened = await facts(running, events.IncidentOpened)
        assert len({fact.path for fact in opened}) == 40, "each of them is in trouble, and says so"
        waits = "waits for what makes siblings fail alike (ConnectionRefusedError)"
        assert [slot.note for slot in running.snapshot()] == [waits] * 40


async def test_what_nothing_helps_is_held_for_a_person(autojump_clock: trio.testing.MockClock) -> None:
    broken = True

    async def hopeless() -> None:
        if broken:
            raise RuntimeError("no")

    async with open_tree(tree(worker(hopeless, every=1))) as running:
        await trio.sleep(1000)
        (slot,) = running.snapshot()
        assert slot.state is SlotState.HELD
        assert slot.note.startswith("held")
        assert (await actions(running, "hopeless"))[-1] == "hold"
        broken = False
        running.resume("hopeless", by="ada")
        await trio.sleep(30)
        (slot,) = running.snapshot()
        assert slot.state is SlotState.UP


async def test_every_decision_is_journaled_with_what_it_rejected(autojump_clock: trio.testing.MockClock) -> None:
    async with open_tree(tree(Fragile)) as running:
        await running.ref("fragile").tell(Put(13))
        await running.ref("fragile").ask(Get(), within=60)
        for fact in await facts(running, events.Decided):
            assert fact.because
            assert fact.rejected
            assert all(option.why and 0 <= option.confidence <= 1 for option in fact.rejected)
            assert 0 < fact.confidence < 1
