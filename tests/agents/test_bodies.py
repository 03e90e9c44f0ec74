"""What runs beside the handlers: bodies (`run`)."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from treewarden.agents.core.durability import MESSAGE, VOLATILE, Durability
from treewarden.agents.core.exit import Failed, Finished, Stopped
from treewarden.agents.errors import RateLimited, Stop
from treewarden.supervisor.core.event import ChildEnded, DeadLettered, Decided, Recorded
from treewarden.supervisor.core.spec import NO_BACKOFF, Grace, RestartPolicy
from treewarden.supervisor.journal.memory import MemoryJournal

from .bodies import LEVELS, Body, Draining, Fact
from .trees import Add, Bad, Counter, Disk, Gate, Held, Tally, Total, events, happened, kept, opened, slot_of


@pytest.fixture(params=list(LEVELS.values()), ids=list(LEVELS))
def durability(request: pytest.FixtureRequest) -> Durability:
    return request.param


async def for_ever(_: Body) -> None:
    await trio.sleep_forever()


async def test_a_body_runs_beside_the_handlers(durability: Durability, autojump_clock: MockClock) -> None:
    log: list[Any] = []

    async def work(body: Body) -> None:
        while True:
            await trio.sleep(1)
            log.append(body.state.total)

    async with opened(kept(Body, durability, args={"work": work, "log": log})) as running:
        await trio.sleep(0.5)
        await running.ref("body").tell(Add(3))
        await trio.sleep(1)
        assert await running.ref("body").ask(Total()) == 3
        await trio.sleep(1)
    assert log == [3, 3, Stopped("shutdown")]  # a body that does not drain is cancelled


async def test_the_end_of_a_body_is_the_end_of_the_agent(durability: Durability, autojump_clock: MockClock) -> None:
    log: list[Any] = []

    async def work(body: Body) -> str:
        await trio.sleep(1)
        body.state = Tally(7)
        body.record(Fact(1))
        return "result"

    journal = Disk()
    spec = kept(Body, durability, args={"work": work, "log": log}, restart=RestartPolicy.TRANSIENT)
    async with opened(spec, journal=journal) as running:
        slot = slot_of(running, "body")
        (ended,) = await happened(running, ChildEnded)
        assert ended.exit == "finished"
        assert log == [Finished("result")]
        assert slot.state == Tally(7)  # what it leaves counts
        assert [each.facts for each in await events(journal, Recorded)] == [{"number": 1}]
        if durability != VOLATILE:
            held = await journal.recover(slot.path)
            assert held.state is not None
            assert held.state.body == '{"total":7,"seen":[]}'


async def test_a_body_that_raises_fails_the_agent_by_its_own_exception(
    durability: Durability, autojump_clock: MockClock
) -> None:
    async def work(body: Body) -> None:
        body.state = Tally(7)
        await trio.sleep(1)
        try:
            raise KeyError("the cause")
        except KeyError as cause:
            raise ValueError("broken") from cause

    log: list[Any] = []
    async with opened(kept(Body, durability, args={"work": work, "log": log})) as running:
        (ended,) = await happened(running, ChildEnded)
        assert ended.failure is not None
        assert (ended.failure.type, ended.failure.text, ended.failure.parts) == ("ValueError", "broken", ())
        assert "the cause" in ended.failure.trace
        assert isinstance(log[0], Failed)
        assert slot_of(running, "body").state == Tally()


async def test_a_handler_that_raises_ends_the_body(autojump_clock: MockClock) -> None:
    log: list[Any] = []

    async def work(body: Body) -> None:
        try:
            await trio.sleep_forever()
        finally:
            log.append("body ended")

    args = {"work": work, "log": log, "gate": Gate()}
    async with opened(kept(Counter, VOLATILE), kept(Body, VOLATILE, args=args)) as running:
        await running.ref("body").tell(Bad())
        (ended,) = await happened(running, ChildEnded)
        assert ended.failure is not None
        assert ended.failure.type == "ValueError"
        assert log[0] == "body ended"


@pytest.mark.parametrize("reason", [None, "enough"])
async def test_a_body_may_end_its_agent_in_order(
    reason: str | None, durability: Durability, autojump_clock: MockClock
) -> None:
    async def work(body: Body) -> None:
        body.state = Tally(3)
        raise Stop(reason)

    log: list[Any] = []
    spec = kept(Body, durability, args={"work": work, "log": log}, restart=RestartPolicy.TRANSIENT)
    async with opened(spec) as running:
        slot = slot_of(running, "body")
        (ended,) = await happened(running, ChildEnded)
        assert (ended.exit, ended.failure) == ("finished" if reason is None else "stopped", None)
        assert log == [Finished() if reason is None else Stopped(reason)]
        assert slot.state == Tally(3)


async def test_the_message_in_hand_is_finished_when_the_body_ends(
    durability: Durability, autojump_clock: MockClock
) -> None:
    gate, replies = Gate(shut=True), list[str]()

    async def work(_: Body) -> None:
        await trio.sleep(1)

    args = {"work": work, "log": list[Any](), "gate": gate}
    async with opened(kept(Body, durability, args=args, restart=RestartPolicy.TRANSIENT)) as running:

        async def ask() -> None:
            replies.append(await running.ref("body").ask(Held("x"), within=60))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await trio.sleep(5)
            assert replies == []
            gate.open()
        assert replies == ["x"]


async def test_a_body_that_is_asked_to_slow_down_begins_again(
    durability: Durability, autojump_clock: MockClock
) -> None:
    tries: list[float] = []

    async def work(body: Body) -> None:
        tries.append(trio.current_time())
        if len(tries) == 1:
            raise RateLimited(7.0)
        await trio.sleep_forever()

    async with opened(kept(Body, durability, args={"work": work, "log": list[Any]()})) as running:
        (decided,) = await happened(running, Decided)
        assert (decided.action, decided.details) == ("throttle", {"seconds": 7.0})
        await trio.sleep(10)
        assert tries[1] - tries[0] == pytest.approx(7.0, abs=0.1)
        assert [each.restarts for each in running.snapshot()] == [0]


async def test_a_body_that_waits_to_begin_again_does_not_hold_up_the_end(autojump_clock: MockClock) -> None:
    async def work(body: Body) -> None:
        raise RateLimited(1000.0)

    log: list[Any] = []
    async with opened(kept(Draining, VOLATILE, args={"work": work, "log": log}, shutdown=Grace(100.0))) as running:
        await happened(running, Decided)
        before = trio.current_time()
    assert trio.current_time() - before < 1
    assert log == [Stopped("shutdown")]


# -- what it says counts by itself


async def test_a_body_keeps_its_state_when_it_says_so(durability: Durability, autojump_clock: MockClock) -> None:
    async def work(body: Body) -> None:
        for number in range(1, 4):
            await trio.sleep(1)
            body.state = Tally(number)
            if number == 2:
                body.record(Fact(2))
                body.keep()
        await trio.sleep_forever()

    journal = MemoryJournal()
    spec = kept(Body, durability, args={"work": work, "log": list[Any]()})
    async with opened(spec, journal=journal) as running:
        await trio.sleep(10)
        assert slot_of(running, "body").state == Tally(2)
        assert [each.facts for each in await events(journal, Recorded)] == [{"number": 2}]
        if durability != VOLATILE:
            held = await journal.recover(running.ref("body").path)
            assert held.state is not None
            assert held.state.body == '{"total":2,"seen":[]}'


async def test_what_a_body_tells_leaves_whatever_becomes_of_the_message_in_hand(
    durability: Durability, autojump_clock: MockClock
) -> None:
    gate, heard = Gate(shut=True), trio.Event()

    async def work(body: Body) -> None:
        await heard.wait()
        await body.ref("counter").tell(Add(1))
        body.record(Fact(1))
        gate.open()
        await trio.sleep_forever()

    args = {"work": work, "log": list[Any](), "gate": gate}
    journal = MemoryJournal()
    body_spec = kept(Body, durability, args=args, backoff=NO_BACKOFF)
    async with opened(kept(Counter, durability), body_spec, journal=journal) as running:
        await running.ref("body").tell(Bad())
        await wait_all_tasks_blocked()
        heard.set()
        await happened(running, DeadLettered)
        amounts = slot_of(running, "counter").state.seen  # type: ignore[attr-defined]
        assert 1 in amounts
        assert (100 in amounts) == (durability != MESSAGE)  # the handler's tell went with the handler


async def test_a_body_that_drains_ends_by_itself_and_what_it_keeps_is_kept(
    durability: Durability, autojump_clock: MockClock
) -> None:
    log: list[Any] = []

    async def work(body: Body) -> None:
        await body.stop_requested.wait()
        for number in (1, 2):
            await trio.sleep(1)
            body.state = Tally(number)
            body.keep()
        await trio.sleep(1)
        body.state = Tally(3)
        log.append("drained")

    journal = Disk()
    spec = kept(Draining, durability, args={"work": work, "log": log}, shutdown=Grace(10.0))
    async with opened(spec, journal=journal) as running:
        slot = slot_of(running, "draining")
        await wait_all_tasks_blocked()
    assert log == ["drained", Stopped("shutdown")]
    assert slot.state == Tally(3)
    if durability != VOLATILE:
        bodies = [state.body for commit in journal.seen for state in commit.states]
        assert [body[9] for body in bodies] == ["1", "2", "3"]


async def test_an_order_for_one_life_never_reaches_the_next(autojump_clock: MockClock) -> None:
    """The body ends in the moment in which a handler fails: the word of its end is not the next body's."""
    gate = Gate(shut=True)
    rounds: list[float] = []

    async def work(body: Body) -> None:
        rounds.append(trio.current_time())
        if len(rounds) == 1:
            await gate.pass_by("body")
            return
        await trio.sleep_forever()

    args = {"work": work, "log": list[Any](), "gate": gate}
    body_spec = kept(Body, VOLATILE, args=args, backoff=NO_BACKOFF)
    async with opened(kept(Counter, VOLATILE), body_spec) as running:
        await running.ref("body").tell(Bad())
        await wait_all_tasks_blocked()
        assert sorted(gate.entered) == ["bad", "body"]
        gate.open()
        await trio.sleep(1)
        assert len(rounds) == 2
        assert [each.incarnation for each in running.snapshot()] == [1, 2]
