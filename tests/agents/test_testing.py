"""`run_handler`: what a test of an agent sees of one message; and the clock that is moved by hand."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from attrs import evolve, frozen
from trio.testing import MockClock

from treewarden.agents.agent import Agent, every, handles
from treewarden.agents.core.durability import MESSAGE, VOLATILE, Checkpointed, Durability
from treewarden.agents.core.exit import Finished, Stopped
from treewarden.agents.core.message import Priority, Request
from treewarden.agents.core.path import Path
from treewarden.agents.errors import AskCycle, Ignore, NotHandled, RateLimited, Stop
from treewarden.agents.slot import current_turn
from treewarden.agents.testing import ManualClock, Signalled, Tick, Told, run_handler


@frozen
class Add:
    amount: int = 1


@frozen
class Total(Request[int]):
    pass


@frozen
class Do:
    what: str


@frozen
class Tally:
    total: int = 0


@frozen
class Fact:
    number: int


class Desk(Agent[Tally]):
    state = Tally()

    @handles
    def add(self, message: Add) -> None:
        self.state = evolve(self.state, total=self.state.total + message.amount)

    @handles
    async def total(self, message: Total) -> int:
        return self.state.total

    @handles
    async def do(self, message: Do) -> None:
        self.state = Tally(99)
        await self.ref("../sink").tell(Add(1))
        await self.ref("sink/0").tell(Add(2), priority=Priority.HIGH)
        self.record(Fact(1))
        match message.what:
            case "raise":
                raise ValueError("unlucky")
            case "stop":
                raise Stop
            case "stop because":
                raise Stop("enough")
            case "slow down":
                raise RateLimited(7.0)
            case "signal":
                self.signal("slow", 0.5, "it took long", seconds=3)
                self.recovered("slow")
            case "keep":
                self.checkpoint("before")
            case "ask":
                self.state = Tally(await self.ref("bank").ask(Total()))
            case "ask oneself":
                await self.ref("desk").ask(Total())
            case "help":
                helped = trio.Event()
                self.start_soon(self.help, helped)
                await helped.wait()
            case _:
                pass

    async def help(self, helped: trio.Event) -> None:
        await self.ref("sink").tell(Add(3))
        helped.set()
        raise KeyError("helper")


class Poller(Agent[Tally]):
    state = Tally()

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    async def on_start(self) -> None:
        if self.error is not None:
            raise self.error
        self.opened = True

    @every(10)
    async def poll(self) -> None:
        assert self.opened
        self.state = Tally(int(self.now()))


async def test_the_state_that_it_leaves() -> None:
    run = await run_handler(Desk(), Add(3), state=Tally(4))
    assert run.state == Tally(7)
    assert (run.told, run.recorded, run.signals, run.error, run.exit) == ([], [], [], None, None)


async def test_the_reply() -> None:
    run = await run_handler(Desk(), Total(), state=Tally(4))
    assert run.reply == 4


async def test_there_is_no_reply_to_what_asks_for_none() -> None:
    run = await run_handler(Desk(), Add(3))
    with pytest.raises(NotHandled, match="there is no reply"):
        _ = run.reply


@pytest.mark.parametrize("durability", [MESSAGE, VOLATILE, Checkpointed(messages=1)])
async def test_what_it_tells_and_records(durability: Durability) -> None:
    run = await run_handler(Desk(), Do("nothing more"), path="office/desk", durability=durability)
    assert run.told == [Told(Path("office/sink"), Add(1)), Told(Path("sink/0"), Add(2), Priority.HIGH)]
    assert run.recorded == [Fact(1)]
    assert run.state == Tally(99)


async def test_a_handler_that_raises() -> None:
    run = await run_handler(Desk(), Do("raise"), state=Tally(4))
    assert isinstance(run.error, ValueError)
    assert (run.state, run.told, run.recorded) == (Tally(4), [], [])
    with pytest.raises(ValueError, match="unlucky"):
        _ = run.reply


async def test_what_a_volatile_one_tells_has_left() -> None:
    run = await run_handler(Desk(), Do("raise"), durability=VOLATILE)
    assert [told.message for told in run.told] == [Add(1), Add(2)]
    assert run.state == Tally()


async def test_a_handler_that_ends_its_agent() -> None:
    assert (await run_handler(Desk(), Do("stop"))).exit == Finished()
    run = await run_handler(Desk(), Do("stop because"))
    assert (run.exit, run.error, run.state) == (Stopped("enough"), None, Tally(99))


async def test_a_handler_that_is_asked_to_slow_down() -> None:
    run = await run_handler(Desk(), Do("slow down"), state=Tally(4))
    assert (run.limited, run.retry_after, run.error) == (True, 7.0, None)
    assert (run.state, run.told, run.recorded) == (Tally(4), [], [])


async def test_what_it_says_to_its_supervisor() -> None:
    run = await run_handler(Desk(), Do("signal"))
    assert run.signals == [Signalled("slow", 0.5, "it took long", {"seconds": 3}), Signalled("slow", None)]


async def test_what_it_keeps() -> None:
    assert (await run_handler(Desk(), Do("keep"))).checkpoints == ["before"]


async def test_whom_it_asks_is_played_by_the_test() -> None:
    asked: list[tuple[str, object]] = []

    def answer(path: Path, message: object) -> int:
        asked.append((path, message))
        return 5

    run = await run_handler(Desk(), Do("ask"), answers=answer)
    assert run.state == Tally(5)
    assert asked == [("bank", Total())]


async def test_an_answer_may_be_an_error() -> None:
    def answer(path: Path, message: object) -> int:
        raise TimeoutError("closed")

    run = await run_handler(Desk(), Do("ask"), answers=answer)
    assert isinstance(run.error, TimeoutError)


async def test_an_ask_without_answers_fails_and_says_so(autojump_clock: MockClock) -> None:
    before = trio.current_time()
    run = await run_handler(Desk(), Do("ask"))
    assert "bank: Total was asked; give run_handler `answers` to reply to it" in str(run.error)
    assert trio.current_time() == before


async def test_asking_oneself_is_a_cycle_as_in_a_tree() -> None:
    run = await run_handler(Desk(), Do("ask oneself"), path="desk")
    assert isinstance(run.error, AskCycle)


async def test_a_helper_is_part_of_it() -> None:
    run = await run_handler(Desk(), Do("help"))
    assert isinstance(run.error, KeyError)
    assert Told(Path("sink"), Add(3)) in run.told


async def test_what_it_does_not_handle() -> None:
    class Strange(Request[str]):
        pass

    with pytest.raises(NotHandled, match="agent: no handler for"):
        _ = (await run_handler(Desk(), Strange())).reply


async def test_on_start_runs_first_and_ticks_run_too() -> None:
    run = await run_handler(Poller(), Tick("poll"), clock=ManualClock(wall=1000.0))
    assert run.state == Tally(1000)


@pytest.mark.parametrize("error", [Ignore(), ValueError("cannot start")])
async def test_an_on_start_that_raises(error: Exception) -> None:
    assert (await run_handler(Poller(error), Tick("poll"))).error is error


async def test_it_leaves_the_task_as_it_was() -> None:
    await run_handler(Desk(), Do("ask oneself"), path="desk")
    assert current_turn.get() is None


async def test_cancelling_it_cancels_the_handler() -> None:
    class Sleeper(Agent[None]):
        @handles
        async def sleep(self, message: Add) -> None:
            await trio.sleep_forever()

    with trio.CancelScope() as scope:
        scope.cancel()
        await run_handler(Sleeper(), Add())
    assert scope.cancelled_caught


def test_time_passes_when_it_is_told_to() -> None:
    clock = ManualClock(now=5.0, wall=100.0)
    log: list[Any] = []
    clock.at(7.0, lambda: log.append(("b", clock.now(), clock.wall())))
    clock.at(6.0, lambda: log.append(("a", clock.now(), clock.wall())))
    cancelled = clock.at(6.5, lambda: log.append("cancelled"))
    clock.at(2.0, lambda: log.append(("past", clock.now(), clock.wall())))
    clock.at(9.0, lambda: log.append("later"))
    cancelled.cancel()
    assert log == []
    clock.advance(3.0)
    assert log == [("past", 5.0, 100.0), ("a", 6.0, 101.0), ("b", 7.0, 102.0)]
    assert (clock.now(), clock.wall()) == (8.0, 103.0)


def test_what_an_alarm_asks_for_comes_in_the_same_step() -> None:
    clock = ManualClock()
    log: list[float] = []

    def again() -> None:
        log.append(clock.now())
        clock.at(clock.now() + 1, again)

    clock.at(1, again)
    clock.advance(3.5)
    assert log == [1, 2, 3]
