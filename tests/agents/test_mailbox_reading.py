"""Readers that wait for a message: what wakes them, what does not, and what becomes of one that is cancelled."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from treewarden.agents.mailbox import Mailbox

from .test_mailbox_waiting import box, read

PUTS: list[Callable[[Mailbox], None]] = [
    lambda mailbox: mailbox.put_nowait(1),
    lambda mailbox: mailbox.put_nowait(1, 1),
    lambda mailbox: mailbox.put_control(1),
    lambda mailbox: mailbox.put_due(1),
    lambda mailbox: mailbox.put_back([1]),
    lambda mailbox: mailbox.restock(1, 3),
]


@pytest.mark.parametrize("put", PUTS)
async def test_whatever_comes_wakes_the_reader(put: Callable[[Mailbox], None]) -> None:
    mailbox, log = box(), list[object]()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(read, mailbox, log, 1)
        await wait_all_tasks_blocked()
        put(mailbox)
    assert log == [1]


async def test_a_pause_lets_only_control_through_and_its_end_wakes() -> None:
    mailbox, log = box(5), list[object]()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(read, mailbox, log, 4)
        mailbox.pause("throttled")
        mailbox.pause("held")
        await wait_all_tasks_blocked()
        mailbox.put_nowait("message")
        mailbox.put_due("tick")
        await wait_all_tasks_blocked()
        mailbox.put_control("order")
        await wait_all_tasks_blocked()
        assert log == ["order"]
        mailbox.resume("throttled")
        await wait_all_tasks_blocked()
        assert (log, mailbox.statistics().paused) == (["order"], ("held",))
        mailbox.resume("held")
        await wait_all_tasks_blocked()
        assert log == ["order", "tick", "message"]
        mailbox.put_nowait("next")
    assert log[-1] == "next"


async def test_taking_a_pause_away_that_is_none_changes_nothing() -> None:
    mailbox = box()
    mailbox.pause("held")
    mailbox.resume("throttled")
    assert mailbox.paused
    mailbox.resume("held")
    mailbox.resume("held")
    assert not mailbox.paused


async def test_waiting_for_what_is_there_already_is_a_checkpoint() -> None:
    mailbox = box()
    mailbox.put_nowait(1)
    with trio.CancelScope() as scope:
        scope.cancel()
        await mailbox.wait()
    assert scope.cancelled_caught
    assert mailbox.take() == 1


async def test_who_sleeps_is_roused_once_and_not_for_what_is_paused() -> None:
    mailbox, roused = box(9), list[int]()
    mailbox.rouse = lambda: roused.append(len(mailbox))
    mailbox.pause("held")
    mailbox.put_nowait(1)
    assert roused == []
    mailbox.resume("held")
    mailbox.put_nowait(2)
    assert (roused, mailbox.rouse) == ([1], None)
    mailbox.pause("held")
    mailbox.rouse = lambda: roused.append(-1)
    mailbox.put_control("stop")
    assert roused == [1, -1]


async def test_a_reader_that_was_fenced_off_does_not_take_the_place_of_the_next() -> None:
    mailbox, first, second = box(), list[object](), list[object]()
    async with trio.open_nursery() as nursery:
        async with trio.open_nursery() as zombie:
            zombie.start_soon(read, mailbox, first, 1)
            await wait_all_tasks_blocked()
            nursery.start_soon(read, mailbox, second, 1)
            await wait_all_tasks_blocked()
            zombie.cancel_scope.cancel()
        mailbox.put_nowait("message")
    assert (first, second) == ([], ["message"])
