"""A level that rises: everybody who waits for it hears of it, once it is high enough."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from treewarden.agents.waiting import Level


async def test_a_level_that_is_high_enough_is_not_waited_for() -> None:
    level = Level(5)
    with trio.testing.assert_checkpoints():
        assert await level.wait_beyond(4) == 5


async def test_everybody_waits_for_a_height_of_their_own() -> None:
    level, heard = Level(), list[tuple[int, int]]()

    async def hear(height: int) -> None:
        heard.append((height, await level.wait_beyond(height)))

    async with trio.open_nursery() as nursery:
        for height in (0, 1, 5):
            nursery.start_soon(hear, height)
        await trio.testing.wait_all_tasks_blocked()
        level.rise(2)
        await trio.testing.wait_all_tasks_blocked()
        assert sorted(heard) == [(0, 2), (1, 2)]
        level.rise(7)
    assert (5, 7) in heard


async def test_a_rise_between_two_waits_is_not_missed() -> None:
    level = Level()
    level.rise(3)
    assert await level.wait_beyond(2) == 3
    assert level.value == 3


async def test_nobody_hears_of_what_they_stopped_waiting_for() -> None:
    level = Level()
    with trio.move_on_after(0) as limit:
        await level.wait_beyond(0)
    assert limit.cancelled_caught
    level.rise(1)


async def test_it_never_falls() -> None:
    level = Level(3)
    with pytest.raises(ValueError, match="only grows"):
        level.rise(2)
