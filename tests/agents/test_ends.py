"""How an agent ends in order, and what it still does then."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from attrs import evolve, frozen
from trio.testing import MockClock, wait_all_tasks_blocked

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import MESSAGE, VOLATILE, Checkpointed, Durability
from treewarden.agents.core.exit import Exit, Failed, Finished, Stopped
from treewarden.agents.errors import Stop
from treewarden.supervisor.core.event import ChildEnded, DeadLettered, Recorded
from treewarden.supervisor.core.spec import NO_BACKOFF, Grace, RestartPolicy

from .trees import Add, Bad, Counter, Disk, Gate, Held, Tally, Total, events, happened, kept, opened, slot_of


@pytest.fixture(params=[MESSAGE, VOLATILE, Checkpointed(messages=2)], ids=["message", "volatile", "checkpointed"])
def durability(request: pytest.FixtureRequest) -> Durability:
    return request.param


@frozen
class Leave:
    reason: str | None = None
    grouped: bool = False


@frozen
class Note:
    text: str


class Leaver(Agent[Tally]):
    state = Tally()

    def __init__(self, log: list[Any]) -> None:
        self.log = log

    @handles
    async def leave(self, message: Leave) -> None:
        self.state = evolve(self.state, total=self.state.total + 1)
        self.record(Note("leaving"))
        await self.ref("counter").tell(Add(1))
        if message.grouped:
            raise ExceptionGroup("from a nursery", [Stop(message.reason)])
        raise Stop(message.reason)

    async def on_stop(self, exit: Exit) -> None:
        self.log.append(exit)


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("reason", [None, "enough"])
async def test_a_handler_that_ends_its_agent_settles_first(
    reason: str | None, grouped: bool, durability: Durability, autojump_clock: MockClock
) -> None:
    log: list[Any] = []
    leaver = kept(Leaver, durability, args={"log": log}, restart=RestartPolicy.TRANSIENT)
    async with opened(kept(Counter, durability), leaver) as running:
        await running.ref("leaver").tell(Leave(reason, grouped))
        (ended,) = await happened(running, ChildEnded)
        assert (ended.exit, ended.failure) == ("finished" if reason is None else "stopped", None)
        assert log == [Finished() if reason is None else Stopped(reason)]
        assert (await happened(running, Recorded))[0].facts == {"text": "leaving"}
        assert await running.ref("counter").ask(Total()) == 1
        with pytest.raises(trio.TooSlowError):
            await happened(running, DeadLettered, within=1)


class OnStop(Counter):
    def __init__(self, log: list[Any], error: BaseException | None = None, seconds: float = 0.0) -> None:
        super().__init__()
        self.log = log
        self.error = error
        self.seconds = seconds

    async def on_stop(self, exit: Exit) -> None:
        self.log.append((exit, self.state.total))
        if self.seconds:
            await trio.sleep(self.seconds)
        if self.error is not None:
            raise self.error


async def test_on_stop_sees_the_exit(autojump_clock: MockClock) -> None:
    log: list[Any] = []
    async with opened(kept(OnStop, VOLATILE, args={"log": log}, backoff=NO_BACKOFF)) as running:
        await running.ref("on_stop").tell(Add(2))
        await running.ref("on_stop").tell(Bad())
        await happened(running, ChildEnded)
        assert isinstance(log[0][0], Failed)
        assert log[0][0].failure.text == "unlucky"
    assert log[1:] == [(Stopped("shutdown"), 2)]


async def test_an_on_stop_that_fails_makes_the_end_a_failure(autojump_clock: MockClock) -> None:
    args = {"log": list[Any](), "error": ValueError("cannot stop")}
    async with opened(kept(OnStop, VOLATILE, args=args)) as running:
        await running.supervisor().terminate_child("on_stop")
        (ended,) = await happened(running, ChildEnded)
        assert ended.failure is not None
        assert ended.failure.text == "cannot stop"


async def test_the_first_failure_counts(autojump_clock: MockClock) -> None:
    args = {"log": list[Any](), "error": ValueError("cannot stop")}
    async with opened(kept(OnStop, VOLATILE, args=args)) as running:
        await running.ref("on_stop").tell(Bad("first"))
        (ended,) = await happened(running, ChildEnded)
        assert ended.failure is not None
        assert ended.failure.text == "first"


async def test_an_on_stop_after_a_failure_has_its_grace_and_no_longer(autojump_clock: MockClock) -> None:
    args = {"log": list[Any](), "seconds": 1000.0}
    spec = kept(OnStop, VOLATILE, args=args, shutdown=Grace(3.0), backoff=NO_BACKOFF)
    async with opened(spec) as running:
        await running.ref("on_stop").tell(Bad("first"))
        await trio.sleep(4)
        (ended,) = await happened(running, ChildEnded)
        assert ended.failure is not None
        assert ended.failure.text == "first"
        assert ended.uptime == pytest.approx(3.0, abs=0.1)


async def test_an_agent_that_is_stopped_finishes_the_message_in_hand(
    durability: Durability, autojump_clock: MockClock
) -> None:
    gate = Gate(shut=True)
    async with opened(kept(Counter, durability, args={"gate": gate}, shutdown=Grace(10.0))) as running:
        counter, replies = running.ref("counter"), list[str]()

        async def ask() -> None:
            replies.append(await counter.ask(Held("x"), within=100))

        async def stop() -> None:
            await running.supervisor().terminate_child("counter")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await wait_all_tasks_blocked()
            nursery.start_soon(stop)
            await trio.sleep(5)
            assert replies == []
            gate.open()
        assert replies == ["x"]


async def test_a_backlog_in_memory_is_drained_when_the_tree_ends(autojump_clock: MockClock) -> None:
    log: list[Any] = []
    async with opened(kept(OnStop, VOLATILE, args={"log": log})) as running:
        slot_of(running, "on_stop").pause("held")
        for _ in range(50):
            await running.ref("on_stop").tell(Add(1))
        slot_of(running, "on_stop").resume("held")
    assert log == [(Stopped("shutdown"), 50)]


class Talkative(Counter):
    """Tells itself the next message."""

    @handles
    def add(self, message: Add) -> None:
        super().add(message)
        self.ref(self.path).tell_nowait(message)


async def test_draining_is_handling_what_waited_and_not_what_comes_of_it(autojump_clock: MockClock) -> None:
    journal, gate = Disk(), Gate(shut=True)
    async with opened(kept(Talkative, VOLATILE, args={"gate": gate}), journal=journal) as running:
        slot = slot_of(running, "talkative")
        await running.ref("talkative").tell(Held())
        await wait_all_tasks_blocked()
        for number in range(5):
            await running.ref("talkative").tell(Add(number))
        running.stop()
        await wait_all_tasks_blocked()
        gate.open()
        await running.wait_ended()
    assert slot.state == Tally(10, (0, 1, 2, 3, 4))
    assert len(await events(journal, DeadLettered)) == 5


class Mourned(Counter):
    async def on_start(self) -> None:
        await self.ref("counter").tell(Add(1))

    async def on_stop(self, exit: Exit) -> None:
        await self.ref("counter").tell(Add(10))


async def test_what_on_stop_tells_leaves_also_after_a_failure(
    durability: Durability, autojump_clock: MockClock
) -> None:
    """It is no part of the message that failed, with which all that its handler has told is dropped."""
    mourned = kept(Mourned, durability, restart=RestartPolicy.TEMPORARY)
    async with opened(kept(Counter, durability), mourned) as running:
        await running.ref("mourned").tell(Bad())
        await happened(running, ChildEnded)
        assert await running.ref("counter").ask(Total()) == 11
