"""Where a handler cannot wait, and what becomes of one that catches what unwinds it."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
import trio
from attrs import frozen
from trio.testing import MockClock

from treewarden.agents import (
    VOLATILE,
    Agent,
    AgentFailed,
    Checkpointed,
    ConfigurationError,
    Durability,
    RateLimited,
    Request,
    every,
    handles,
)
from treewarden.supervisor.core.event import DeadLettered
from treewarden.supervisor.core.spec import NO_BACKOFF
from treewarden.topologies import child

from .effects_desk import Processes
from .trees import happened, slot_of
from .waits_desk import Note, Remind, desk, left, opened, parked
from .waits_desk import processes as processes


@frozen
class Asked(Request[int]):
    pass


class Odd(Agent[int]):
    """Does what it should not."""

    state = 0

    def __init__(self, how: str, log: list[Any]) -> None:
        self.how = how
        self.log = log

    async def sleep(self, when: Any = 5.0, **options: Any) -> None:
        try:
            await self.sleep_until(when, **options)
        except Exception as error:
            self.log.append(error)

    async def on_start(self) -> None:
        if self.how == "on_start":
            await self.sleep()

    @every(1e6)
    async def tick(self) -> None:
        if self.how == "tick":
            await self.sleep()

    @handles
    async def asked(self, message: Asked) -> int:
        await self.sleep()
        return 1

    @handles
    async def note(self, message: Note) -> None:
        await self.sleep()

    @handles
    async def remind(self, message: Remind) -> None:
        match self.how:
            case "after":
                self.after(1, Note())
            case "helper":
                self.start_soon(self.sleep)
            case "ask in a handler":
                await self.ref("../other").ask(Asked())
            case "no zone":
                await self.sleep(datetime(2026, 1, 1))
            case "no number":
                await self.sleep("tomorrow")
            case "infinite":
                await self.sleep(float("inf"))
            case "no name":
                await self.sleep(name="two words")
            case "two at once":
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self.sleep)
                    nursery.start_soon(self.sleep)
            case _:
                await self.sleep()


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("on_start", "no message is in hand here"),
        ("tick", "tick is in hand, which does not come again"),
        ("after", "Note is in hand, which does not come again"),
        ("helper", "no message is in hand here"),
        ("ask in a handler", "an ask is in hand, whose asker waits; tell a message"),
        ("ask", "an ask is in hand, whose asker waits; tell a message"),
        ("no zone", "names no zone; give one"),
        ("no number", "when is 'tomorrow'; give a datetime with a zone"),
        ("infinite", "when is inf; give a datetime with a zone, or seconds since 1970, as in now() + 3600"),
        ("no name", "its name is 'two words'; give letters"),
        ("two at once", "another step of this handler is running; await them one after the other"),
    ],
)
async def test_it_is_refused_with_a_remedy(how: str, says: str, autojump_clock: MockClock) -> None:
    log = list[Any]()
    odd = child(Odd, id="desk", args={"how": how, "log": log})
    other = child(Odd, id="other", args={"how": "", "log": log})
    async with opened(odd, other) as running:
        if how == "ask":
            assert await running.ref("desk").ask(Asked()) == 1
        elif how not in ("on_start", "tick"):
            await running.ref("desk").tell(Remind())
        await trio.sleep(2)
        (error,) = log
        assert isinstance(error, ConfigurationError)
        assert says in str(error)
        assert parked(running) == (how == "two at once")


@pytest.mark.parametrize("durability", [VOLATILE, Checkpointed(messages=1)], ids=["volatile", "checkpoint"])
async def test_it_has_to_be_on_disk(durability: Durability, autojump_clock: MockClock) -> None:
    async with opened(desk([], durability=durability)) as running:
        await running.ref("desk").tell(Remind(tells=False))
        (letter,) = await happened(running, DeadLettered)
        assert (
            "ConfigurationError: desk: sleep_until(name='sleep'): what waits for its agent is not on disk"
            in letter.reason
        )


@pytest.mark.parametrize("swallows", ["returns", "changes", "raises", "waits", "acts"])
async def test_one_that_goes_on_all_the_same_settles_nothing(
    processes: Processes, swallows: str, autojump_clock: MockClock
) -> None:
    class Greedy(Agent[int]):
        state = 0

        @handles
        async def remind(self, message: Remind) -> None:
            try:
                await self.sleep_until(10.0)
            except BaseException:
                if swallows == "changes":
                    self.state += 1
                    self.record(Note())
                elif swallows == "raises":
                    raise RateLimited(1.0) from None
                elif swallows == "waits":
                    await self.sleep_until(20.0)
                elif swallows == "acts":
                    await self.effect("charge", charge)

    async def charge(key: str) -> int:
        raise AssertionError("it was run")

    async with opened(child(Greedy, id="desk"), journal=processes()) as running:
        await running.ref("desk").tell(Remind())
        await trio.sleep(5)
        if swallows != "raises":
            (letter,) = await running.dead_letters()
            assert (
                "its handler failed 2 times; the last time: treewarden.agents.errors.ConfigurationError"
                in letter.reason
            )
            assert ("`Parked` was caught in it" in letter.reason) == (swallows != "acts")
            assert "; it waited for 'sleep' until 1970-01-01 00:00:10+00:00" in letter.reason
        await trio.sleep(100)
        assert (running.snapshot()[0].restarts, left(running)) == (0 if swallows == "raises" else 2, 0)


async def test_what_unwinds_passes_the_blocks_around_it(processes: Processes, autojump_clock: MockClock) -> None:
    log = list[Any]()

    class Careful(Agent[int]):
        state = 0

        @handles
        async def remind(self, message: Remind) -> None:
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self.sleep_until, datetime.fromtimestamp(10, UTC))
                    nursery.start_soon(trio.sleep, 1)
            except Exception as error:
                log.append(error)
            finally:
                log.append(trio.current_time())
            self.state += 1

    async with opened(child(Careful, id="desk"), journal=processes()) as running:
        await running.ref("desk").tell(Remind())
        await trio.sleep(5)
        assert (log, parked(running)) == ([0.0], 1)
        await trio.sleep(10)
        assert (log, parked(running), left(running)) == ([0.0, 11.0], 0, 0)


async def test_what_else_it_raises_counts(processes: Processes, autojump_clock: MockClock) -> None:
    class Torn(Agent[int]):
        state = 0

        async def fail(self) -> None:
            try:
                await trio.sleep_forever()
            finally:
                raise ValueError("on its way out")

        @handles
        async def remind(self, message: Remind) -> None:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.fail)
                await trio.testing.wait_all_tasks_blocked()
                nursery.start_soon(self.sleep_until, 10.0)

    async with opened(child(Torn, id="desk"), journal=processes()) as running:
        await running.ref("desk").tell(Remind())
        await trio.sleep(1)
        (letter,) = await running.dead_letters()
        assert "its handler failed 2 times; the last time: ValueError" in letter.reason
        assert left(running) == 0


async def test_an_asker_is_told_that_it_cannot_wait(autojump_clock: MockClock) -> None:
    class Plain(Agent[int]):
        state = 0

        @handles
        async def asked(self, message: Asked) -> int:
            await self.sleep_until(5.0)
            return 1

    async with opened(child(Plain, id="desk")) as running:
        with pytest.raises(AgentFailed, match="an ask is in hand"):
            await running.ref("desk").ask(Asked())


@pytest.mark.parametrize("step", ["sleep_until", "approval"])
async def test_a_handler_that_has_swallowed_it_may_take_another_way(
    processes: Processes, step: str, autojump_clock: MockClock
) -> None:
    """Its message was not parked, and nobody waits for what it had come to any more."""
    begun = list[int]()

    class Greedy(Agent[int]):
        state = 0

        @handles
        async def remind(self, message: Remind) -> None:
            begun.append(message.number)
            if len(begun) == 1:
                with suppress(BaseException):
                    if step == "approval":
                        await self.approval("pay", about=message.number)
                    else:
                        await self.sleep_until(10.0)
            self.state += 1

    async with opened(child(Greedy, id="desk", backoff=NO_BACKOFF), journal=processes()) as running:
        await running.ref("desk").tell(Remind())
        await trio.sleep(1)
        assert (len(begun), slot_of(running, "desk").state) == (2, 1)
        assert (await running.waits(), left(running)) == ((), 0)
