"""Timed handlers: they do what they did, and say how long it took."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

import pytest
import trio
import trio.testing

from treewarden.agents.clocked import clocked


def timed(handler: Any) -> tuple[Any, list[float]]:
    said: list[float] = []
    return clocked({int: handler}, trio.current_time, said.append)[int], said


async def test_functions_of_every_kind(autojump_clock: trio.testing.MockClock) -> None:
    async def slow(agent: object, message: int) -> int:
        await trio.sleep(message)
        return 2 * message

    def quick(agent: object, message: int) -> int:
        return 2 * message

    def begun(agent: object, message: int) -> Coroutine[Any, Any, int]:
        return slow(agent, message)

    for handler, seconds in ((slow, 3.0), (quick, 0.0), (begun, 3.0)):
        call, said = timed(handler)
        result = call(None, 3)
        assert (result if handler is quick else await result) == 6
        assert said == [seconds]


async def test_what_raises_is_timed_and_what_is_cancelled_is_not(autojump_clock: trio.testing.MockClock) -> None:
    async def slow(agent: object, message: int) -> None:
        await trio.sleep(message)
        raise ValueError("told to")

    def quick(agent: object, message: int) -> None:
        raise ValueError("told to")

    def begun(agent: object, message: int) -> Coroutine[Any, Any, None]:
        return slow(agent, message)

    for handler, seconds in ((slow, 3.0), (quick, 0.0), (begun, 3.0)):
        call, said = timed(handler)
        with pytest.raises(ValueError, match="told to"):
            await call(None, 3)
        assert said == [seconds]
        if handler is not quick:
            with trio.move_on_after(1):
                await call(None, 3)
            assert said == [seconds]
