"""Senders that wait for room, and what becomes of them, and of readers, when somebody is cancelled."""

from __future__ import annotations

import random
from collections import defaultdict
from typing import cast

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from treewarden.agents.core.durability import VOLATILE, MailboxSpec, Overflow
from treewarden.agents.core.message import Priority
from treewarden.agents.core.path import Path
from treewarden.agents.errors import AgentStopped, MailboxFull
from treewarden.agents.mailbox import Mailbox


def box(capacity: int = 1, overflow: Overflow = Overflow.WAIT) -> Mailbox:
    return Mailbox(Path("a"), MailboxSpec(capacity=capacity, overflow=overflow, durability=VOLATILE), trio.current_time)


async def sent(mailbox: Mailbox, item: object, log: list[object]) -> None:
    await mailbox.put(item)
    log.append(item)


async def read(mailbox: Mailbox, log: list[object], count: int) -> None:
    while len(log) < count:
        item = mailbox.take()
        if item is None:
            await mailbox.wait()
        else:
            log.append(item)


async def test_senders_get_room_in_the_order_in_which_they_came() -> None:
    mailbox, log = box(), list[object]()
    mailbox.put_nowait("first")
    async with trio.open_nursery() as nursery:
        for number in range(5):
            nursery.start_soon(sent, mailbox, number, log)
            await wait_all_tasks_blocked()
        assert (log, mailbox.statistics().senders_waiting) == ([], 5)
        for number in range(5):
            assert mailbox.take() == ("first" if number == 0 else number - 1)
            await wait_all_tasks_blocked()
            assert log == list(range(number + 1))
    assert mailbox.take() == 4


async def test_nobody_overtakes_a_sender_that_waits() -> None:
    mailbox, log = box(), list[object]()
    mailbox.put_nowait("first")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sent, mailbox, "waits", log)
        await wait_all_tasks_blocked()
        assert mailbox.take() == "first"
        # the room is the waiting sender's, although its task has not run yet
        with pytest.raises(MailboxFull):
            mailbox.put_nowait("pushes in")
    assert list(mailbox) == ["waits"]


async def test_a_sender_that_is_cancelled_was_never_there() -> None:
    mailbox, log = box(), list[object]()
    mailbox.put_nowait("first")
    async with trio.open_nursery() as nursery:
        with trio.CancelScope() as scope:
            nursery.start_soon(sent, mailbox, "before", log)
            await wait_all_tasks_blocked()
            nursery.start_soon(wait_and_cancel, scope)
            await mailbox.put("cancelled")
        assert scope.cancelled_caught
        nursery.start_soon(sent, mailbox, "after", log)
        await wait_all_tasks_blocked()
        assert mailbox.statistics().senders_waiting == 2
        assert mailbox.take() == "first"
        await wait_all_tasks_blocked()
        assert mailbox.take() == "before"
    assert list(mailbox) == ["after"]
    assert log == ["before", "after"]


async def wait_and_cancel(scope: trio.CancelScope) -> None:
    await wait_all_tasks_blocked()
    scope.cancel()


async def test_a_sender_that_was_let_in_and_cancelled_at_once_has_sent() -> None:
    mailbox, log = box(), list[object]()
    mailbox.put_nowait("first")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sent, mailbox, "second", log)
        await wait_all_tasks_blocked()
        assert mailbox.take() == "first"
        nursery.cancel_scope.cancel()
    assert (list(mailbox), log, mailbox.reserved) == (["second"], ["second"], 0)


async def test_a_sender_whose_limit_passes_leaves_the_line() -> None:
    mailbox, log = box(), list[object]()
    mailbox.put_nowait("first")
    place = mailbox.line_up()

    async def wait() -> None:
        log.append(await place.wait())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await wait_all_tasks_blocked()
        nursery.start_soon(sent, mailbox, "second", log)
        await wait_all_tasks_blocked()
        place.expire()
        await wait_all_tasks_blocked()
        assert (log, mailbox.statistics().senders_waiting) == ([False], 1)
        assert mailbox.take() == "first"
    assert (list(mailbox), mailbox.reserved) == (["second"], 0)


async def test_a_sender_that_was_let_in_before_its_limit_passes_has_room() -> None:
    mailbox, log = box(), list[object]()
    mailbox.put_nowait("first")
    place = mailbox.line_up()

    async def wait() -> None:
        log.append(await place.wait())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await wait_all_tasks_blocked()
        assert mailbox.take() == "first"
        place.expire()
    assert (log, mailbox.reserved) == ([True], 1)


async def test_room_that_is_released_goes_to_the_next() -> None:
    mailbox, log = box(), list[object]()
    assert await mailbox.reserve("promised")
    assert mailbox.statistics().reserved == 1
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sent, mailbox, "waits", log)
        await wait_all_tasks_blocked()
        assert log == []
        mailbox.release()
    assert list(mailbox) == ["waits"]


@pytest.mark.parametrize("overflow", [Overflow.REFUSE, Overflow.DROP_NEWEST, Overflow.DROP_OLDEST])
async def test_these_policies_wait_for_nothing(overflow: Overflow) -> None:
    mailbox, dropped = box(overflow=overflow), list[object]()
    mailbox.on_drop = lambda item, _why: dropped.append(item)
    await mailbox.put(1)
    if overflow is Overflow.REFUSE:
        remedy = "send less, raise mailbox.capacity, or set mailbox.overflow to wait"  # `tell` did wait for nothing
        with pytest.raises(MailboxFull, match=f"a: its mailbox is full \\(1 message, policy refuse\\); {remedy}"):
            await mailbox.put(2)
    else:
        await mailbox.put(2)
    assert list(mailbox) == ([2] if overflow is Overflow.DROP_OLDEST else [1])
    assert dropped == {Overflow.REFUSE: [], Overflow.DROP_NEWEST: [2], Overflow.DROP_OLDEST: [1]}[overflow]


async def test_drop_oldest_waits_where_all_room_is_on_its_way() -> None:
    mailbox, log, dropped = box(2, Overflow.DROP_OLDEST), list[object](), list[object]()
    mailbox.on_drop = lambda item, _why: dropped.append(item)
    assert await mailbox.reserve(1)
    assert await mailbox.reserve(2)
    with pytest.raises(MailboxFull, match="policy drop_oldest"):
        mailbox.put_nowait(3)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sent, mailbox, 3, log)
        await wait_all_tasks_blocked()
        assert log == []
        mailbox.fill(1)  # and nobody is there to take it
        await wait_all_tasks_blocked()
        assert (log, dropped) == ([3], [1])
    mailbox.fill(2)
    assert (list(mailbox), dropped, mailbox.reserved) == ([3, 2], [1], 0)


async def test_what_has_come_to_somebody_who_takes_it_makes_no_room() -> None:
    mailbox, log, taken = box(1, Overflow.DROP_OLDEST), list[object](), list[object]()
    assert await mailbox.reserve(1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(read, mailbox, taken, 3)
        await wait_all_tasks_blocked()
        for item in (2, 3):
            nursery.start_soon(sent, mailbox, item, log)
            await wait_all_tasks_blocked()
        mailbox.fill(1)
    assert (taken, mailbox.dropped) == ([1, 2, 3], 0)


async def test_what_goes_before_makes_no_room_for_what_waits_for_that() -> None:
    mailbox, log = box(1, Overflow.DROP_OLDEST), list[object]()
    assert await mailbox.reserve("first", Priority.HIGH)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sent, mailbox, "second", log)
        await wait_all_tasks_blocked()
        mailbox.fill("first", Priority.HIGH)
        await wait_all_tasks_blocked()
        assert log == []
        assert mailbox.take() == "first"
    assert list(mailbox) == ["second"]


async def test_drop_oldest_refuses_what_comes_after_all_that_waits() -> None:
    mailbox = box(1, Overflow.DROP_OLDEST)
    mailbox.put_nowait("first", Priority.HIGH)
    with pytest.raises(MailboxFull, match="policy drop_oldest"):
        await mailbox.put("second")
    assert list(mailbox) == ["first"]


async def test_coalesce_waits_where_there_is_nothing_to_replace() -> None:
    mailbox, log = box(overflow=Overflow.COALESCE), list[object]()
    mailbox.put_nowait("text")
    await mailbox.put("newer text")
    with pytest.raises(MailboxFull, match=r"policy coalesce\); .*, or await tell\(\) to wait for room"):
        mailbox.put_nowait(1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sent, mailbox, 1, log)
        await wait_all_tasks_blocked()
        assert (list(mailbox), log) == (["newer text"], [])
        assert mailbox.take() == "newer text"
    assert list(mailbox) == [1]


async def test_what_replaces_another_does_so_when_it_arrives_and_not_when_it_is_promised() -> None:
    mailbox, dropped = box(2, Overflow.COALESCE), list[object]()
    mailbox.on_drop = lambda item, _why: dropped.append(item)
    mailbox.put_nowait("old")
    mailbox.put_nowait(1)
    assert await mailbox.reserve("new")
    assert (list(mailbox), dropped) == (["old", 1], [])
    mailbox.fill("new")
    assert (list(mailbox), dropped) == (["new", 1], ["old"])
    assert await mailbox.reserve("newer")
    mailbox.release()
    assert (list(mailbox), dropped) == (["new", 1], ["old"])


async def test_what_would_have_replaced_a_message_that_was_taken_meanwhile_is_queued() -> None:
    mailbox = box(1, Overflow.COALESCE)
    mailbox.put_nowait("old")
    assert await mailbox.reserve("new")
    assert mailbox.take() == "old"
    assert not mailbox.has_room  # it is promised
    mailbox.fill("new")
    assert (list(mailbox), mailbox.dropped) == (["new"], 0)


async def test_who_waits_when_the_slot_ends_is_told_each_with_an_exception_of_its_own() -> None:
    mailbox, errors = box(), list[AgentStopped]()
    mailbox.put_nowait("left")

    async def send(item: object) -> None:
        with pytest.raises(AgentStopped, match="a: it finished") as stopped:
            await mailbox.put(item)
        errors.append(stopped.value)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send, 1)
        nursery.start_soon(send, 2)
        await wait_all_tasks_blocked()
        assert mailbox.close(AgentStopped("a: it finished", path=Path("a"))) == ["left"]
    assert len({id(error) for error in errors}) == 2
    with pytest.raises(AgentStopped):
        await mailbox.put(3)


async def test_a_larger_mailbox_lets_in_who_waits() -> None:
    mailbox, log = box(), list[object]()
    mailbox.put_nowait(0)
    async with trio.open_nursery() as nursery:
        for number in (1, 2):
            nursery.start_soon(sent, mailbox, number, log)
            await wait_all_tasks_blocked()
        mailbox.spec = MailboxSpec(capacity=2, durability=VOLATILE)
        mailbox.reopen()
        await wait_all_tasks_blocked()
        assert log == [1]
        mailbox.take()
    assert log == [1, 2]


# -- stress


@pytest.mark.parametrize("seed", range(100))
async def test_cancelling_anybody_at_any_time_loses_nothing_and_repeats_nothing(
    seed: int, autojump_clock: MockClock
) -> None:
    chance = random.Random(seed)
    mailbox = box(capacity=chance.randint(1, 4))
    accepted: set[tuple[int, int]] = set()
    seen: list[tuple[int, int]] = []
    senders = chance.randint(1, 6)
    done = 0

    async def nap() -> None:
        if chance.random() < 0.3:
            await trio.sleep(chance.random())
        else:
            for _ in range(chance.randint(0, 3)):
                await trio.lowlevel.checkpoint()

    async def send(sender: int) -> None:
        nonlocal done
        for number in range(20):
            item = (sender, number)
            with trio.move_on_after(chance.choice([0.0, 0.01, 0.3, 1.0, 100.0])):
                if chance.random() < 0.7:
                    await mailbox.put(item)
                    accepted.add(item)
                elif await mailbox.reserve(item):
                    # on its way to the disk, say: nobody may be cancelled out of what was promised
                    with trio.CancelScope(shield=True):
                        await nap()
                    if chance.random() < 0.8:
                        mailbox.fill(item)
                        accepted.add(item)
                    else:
                        mailbox.release()
            with trio.CancelScope(shield=True):
                await nap()
        done += 1

    async def receive() -> None:
        while True:
            item = mailbox.take()
            if isinstance(item, tuple):
                seen.append(cast("tuple[int, int]", item))
                if chance.random() < 0.1:
                    mailbox.put_back([seen.pop()])
            elif item is None:
                await mailbox.wait()
            await nap()

    async def lives() -> None:
        while done < senders or mailbox.has_work:
            with trio.move_on_after(chance.random() * 3):
                await receive()

    with trio.fail_after(10_000):
        async with trio.open_nursery() as nursery:
            for sender in range(senders):
                nursery.start_soon(send, sender)
            nursery.start_soon(lives)
    assert sorted(seen) == sorted(accepted)
    by_sender: dict[int, list[int]] = defaultdict(list)
    for sender, number in seen:
        by_sender[sender].append(number)
    assert all(numbers == sorted(numbers) for numbers in by_sender.values())
    assert (mailbox.reserved, len(mailbox), mailbox.statistics().senders_waiting) == (0, 0, 0)
    assert mailbox.accepted == len(accepted)
