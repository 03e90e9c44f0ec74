"""An `async def` in which nothing is awaited is as quick as a plain `def`, and else the same."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine
from functools import wraps
from types import CoroutineType
from typing import Any, cast

import pytest
import trio
from attrs import frozen
from trio.testing import MockClock, wait_all_tasks_blocked

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import VOLATILE
from treewarden.agents.core.message import Request
from treewarden.agents.errors import AgentFailed

from .trees import kept, opened

Where = tuple[trio.lowlevel.Task, Any]


@frozen
class Nothing(Request[Where]):
    pass


@frozen
class Nested(Request[Where]):
    pass


@frozen
class Awaits(Request[Where]):
    pass


@frozen
class AwaitsAtTheEnd(Request[Where]):
    pass


@frozen
class Within(Request[Where]):
    pass


@frozen
class Loops(Request[Where]):
    pass


@frozen
class Collects(Request[Where]):
    pass


@frozen
class Collected(Request[Where]):
    pass


@frozen
class Wrapped(Request[Where]):
    pass


@frozen
class Unawaited(Request[Any]):
    pass


@frozen
class Fails(Request[None]):
    pass


async def given(value: int) -> int:
    return value


async def numbers() -> AsyncGenerator[int]:
    yield 1
    yield 2


def counted(method: Callable[..., Coroutine[Any, Any, Where]]) -> Any:
    @wraps(method)
    def call(self: Any, message: Wrapped) -> Any:
        return method(self, message)

    return call


def here(value: Any = None) -> Where:
    return trio.lowlevel.current_task(), value


class Forms(Agent[None]):
    """All the forms in which something can be awaited, and what looks like one."""

    async def on_start(self) -> None:
        """It has a task from the beginning."""

    @handles
    async def nothing(self, message: Nothing) -> Where:
        return here("nothing")

    @handles
    async def nested(self, message: Nested) -> Where:
        async def later() -> int:
            return await given(1)

        return here((later.__name__, [each + 1 for each in (0, 1)]))

    @handles
    async def awaits(self, message: Awaits) -> Where:
        return here(await given(1))

    @handles
    async def awaits_at_the_end(self, message: AwaitsAtTheEnd) -> Where:
        try:
            return here("in time")
        finally:
            await given(1)

    @handles
    async def within(self, message: Within) -> Where:
        async with trio.open_nursery():
            return here("in a nursery")

    @handles
    async def loops(self, message: Loops) -> Where:
        found = 0
        async for each in numbers():
            found += each
        return here(found)

    @handles
    async def collects(self, message: Collects) -> Where:
        return here([each async for each in numbers()])

    @handles
    async def collected(self, message: Collected) -> Where:
        return here([await given(each) for each in (1, 2)])

    @handles
    @counted
    async def wrapped(self, message: Wrapped) -> Where:
        return here("wrapped")

    @handles
    async def unawaited(self, message: Unawaited) -> Any:
        return given(1)

    @handles
    async def fails(self, message: Fails) -> None:
        raise StopIteration(1)


@pytest.mark.parametrize(
    ("message", "at_once", "said"),
    [
        (Nothing(), True, "nothing"),
        (Nested(), True, ("later", [1, 2])),
        (Awaits(), False, 1),
        (AwaitsAtTheEnd(), False, "in time"),
        (Within(), False, "in a nursery"),
        (Loops(), False, 3),
        (Collects(), False, [1, 2]),
        (Collected(), False, [1, 2]),
        (Wrapped(), False, "wrapped"),
    ],
    ids=["nothing", "nested", "awaits", "at the end", "within", "loops", "collects", "collected", "wrapped"],
)
async def test_what_awaits_nothing_runs_where_it_is_asked_and_nothing_else_does(
    message: Request[Where], at_once: bool, said: object, autojump_clock: MockClock
) -> None:
    async with opened(kept(Forms, VOLATILE)) as running:
        await wait_all_tasks_blocked()
        for _ in range(2):
            task, value = await running.ref("forms").ask(message)
            assert (task is trio.lowlevel.current_task(), value) == (at_once, said)


async def test_a_coroutine_that_it_returns_is_its_reply(autojump_clock: MockClock) -> None:
    async with opened(kept(Forms, VOLATILE)) as running:
        await wait_all_tasks_blocked()
        reply = await running.ref("forms").ask(Unawaited())
        assert type(reply) is CoroutineType
        assert await cast("Coroutine[Any, Any, int]", reply) == 1


async def test_a_stop_of_iteration_that_it_raises_is_its_failure(autojump_clock: MockClock) -> None:
    async with opened(kept(Forms, VOLATILE)) as running:
        await wait_all_tasks_blocked()
        with pytest.raises(AgentFailed, match="coroutine raised StopIteration"):
            await running.ref("forms").ask(Fails())


async def test_one_that_awaits_since_its_code_was_changed_says_so(autojump_clock: MockClock) -> None:
    """Tools that load modules again put new code into functions that are there; none may end in silence."""

    class Changed(Agent[None]):
        @handles
        async def nothing(self, message: Nothing) -> Where:
            return here("before")

    async def waits(self: Changed, message: Nothing) -> Where:
        await trio.lowlevel.checkpoint()
        return here("after")

    Changed.nothing.__code__ = waits.__code__
    async with opened(kept(Changed, VOLATILE)) as running:
        await wait_all_tasks_blocked()
        with pytest.raises(AgentFailed, match="make the class anew"):
            await running.ref("changed").ask(Nothing())
