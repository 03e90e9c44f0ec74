"""What comes between a handler and the settle of its large state, which takes some turns: a kill, a disk that refuses,
a state that is put in its place, an end. Nothing that was said of a small one is less true then."""

from __future__ import annotations

import pathlib
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest
import trio
from trio.testing import MockClock

from treewarden.agents import MESSAGE, Checkpointed, Durability, handles
from treewarden.agents.core.path import Path
from treewarden.agents.errors import TreewardenError
from treewarden.supervisor.core.event import Recorded
from treewarden.supervisor.core.policies import otp
from treewarden.topologies import child, open_tree, tree

from ..agents.trees import Disk, events
from ..journals import on_disk
from .clerks import FEW, MANY, TURNS, Add, Caller, Clerk, Ending, Helped, Slow, clerk, short_slices, sums, turns

__all__ = ["short_slices"]

pytestmark = pytest.mark.usefixtures("short_slices")


class Late(Slow):
    """Settles its second message so many turns after the first one was to be kept."""

    @handles
    async def add(self, message: Add) -> None:
        if message.number > 1:
            await trio.sleep(5)
            await turns(message.number - 2)
        await super().add(message)


async def tried(work: Callable[..., Awaitable[object]], *args: object) -> None:
    with suppress(TreewardenError):
        await work(*args)


async def test_the_next_message_waits_for_it(autojump_clock: MockClock) -> None:
    async with open_tree(tree(clerk()), journal=Disk()) as running:
        for number in range(3):
            await running.ref("clerk").tell(Add(number))
        await turns(FEW)
        assert running.ref("clerk").statistics().depth >= 1
        assert await sums(running) == (3, 3)


async def test_a_message_whose_state_was_being_taken_is_handled_once_more_after_a_kill(
    autojump_clock: MockClock,
) -> None:
    journal = Disk()
    async with open_tree(tree(clerk()), journal=journal) as running:
        await running.ref("clerk").tell(Add(1))
        await turns(FEW)
        assert running.kill("clerk")
        assert await sums(running) == (1, 1)
    assert [each.facts for each in await events(journal, Recorded)] == [{"number": 1}]


@pytest.mark.parametrize("after", range(1, TURNS, 7))
@pytest.mark.parametrize("kind", [Clerk, Helped])
async def test_what_a_disk_refuses_while_the_next_state_is_being_taken_runs_again_in_order(
    after: int, kind: type[Clerk], autojump_clock: MockClock
) -> None:
    journal = Disk()
    async with open_tree(tree(clerk(kind), policy=otp(), restarts=MANY), journal=journal) as running:
        for number in range(1, 5):
            await running.ref("clerk").tell(Add(number))
        await turns(FEW)
        journal.slow = True
        await turns(after)
        journal.slow = False
        journal.fail("clerk")
        total, _ = await sums(running)
        assert total % 100 == 10
    assert [each.facts for each in await events(journal, Recorded)] == [{"number": each} for each in range(1, 5)]


async def test_a_rollback_waits_for_what_is_being_taken(autojump_clock: MockClock) -> None:
    async with open_tree(tree(clerk()), journal=Disk()) as running:
        await running.ref("clerk").tell(Add(1))
        await sums(running)
        good = await running.checkpoint("clerk", name="good")
        await running.ref("clerk").tell(Add(2))
        await turns(FEW)
        await running.roll_back("clerk", to=good.number)
        assert await sums(running) == (1, 1)
        assert await running.roll_back("clerk", to="before rolling back") is not None
        assert await sums(running) == (3, 2)


@pytest.mark.parametrize("durability", [MESSAGE, Checkpointed(messages=1), Checkpointed(seconds=60)])
async def test_an_end_in_order_waits_for_it(
    tmp_path: pathlib.Path, autojump_clock: MockClock, durability: Durability
) -> None:
    file = tmp_path / "tree.db"
    async with open_tree(tree(clerk(durability=durability)), journal=on_disk(file)) as running:
        await running.ref("clerk").tell(Add(7))
        await turns(FEW)
    async with open_tree(tree(clerk(durability=durability)), journal=on_disk(file)) as running:
        assert await sums(running) == (7, 1)


async def test_one_that_hibernates_and_one_that_is_another_after_a_reload_go_on_with_it(
    autojump_clock: MockClock,
) -> None:
    async with open_tree(tree(clerk()), journal=Disk()) as running:
        await running.ref("clerk").tell(Add(1))
        await turns(FEW)
        await running.reload(tree(clerk(Slow)))
        await trio.sleep(600)
        await running.ref("clerk").tell(Add(2))
        assert await sums(running) == (3, 2)


async def test_what_has_settled_is_kept_in_time_beside_a_handler_that_takes_long(
    tmp_path: pathlib.Path, autojump_clock: MockClock
) -> None:
    """And in slices; what that handler has done is no part of it."""
    slow, file = clerk(Slow, Checkpointed(seconds=5)), tmp_path / "tree.db"
    with trio.CancelScope() as scope:
        async with open_tree(tree(slow), journal=on_disk(file)) as running:
            await running.ref("clerk").tell(Add(3))
            await running.ref("clerk").tell(Add(-1))
            await trio.sleep(4)
            assert await running.checkpoints("clerk") == ()
            await trio.sleep(2)
            (kept,) = await running.checkpoints("clerk")
            assert kept.settled == 1
            scope.cancel()
            await trio.sleep_forever()


@pytest.mark.parametrize("after", range(0, TURNS, 6))
async def test_what_settles_while_that_is_being_taken_is_kept_in_time_as_well(
    after: int, autojump_clock: MockClock
) -> None:
    """Though what comes behind it does not end, so that its own task has no turn."""
    journal = Disk()
    with trio.CancelScope() as scope:
        async with open_tree(tree(clerk(Late, Checkpointed(seconds=5))), journal=journal) as running:
            for number in (1, 2 + after, -1):
                await running.ref("clerk").tell(Add(number))
            await trio.sleep(11)
            held = (await journal.recover(Path("clerk"))).state
            assert held is not None
            assert held.body.startswith(f'{{"total":{3 + after},"booked":2,')
            scope.cancel()
            await trio.sleep_forever()


async def test_one_that_ends_itself_settles_it(autojump_clock: MockClock) -> None:
    journal = Disk()
    async with open_tree(tree(clerk(Ending)), journal=journal) as running:
        await running.ref("clerk").tell(Add(4))
        await trio.sleep(1)
        held = await journal.recover(Path("clerk"))
        assert (held.state is not None, held.messages) == (True, ())


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("kind", [Clerk, Caller, Helped])
async def test_whatever_comes_between_each_message_counts_once(
    seed: int, kind: type[Clerk], autojump_clock: MockClock
) -> None:
    chance, journal, told = random.Random(seed), Disk(), 0
    two = tree(clerk(kind), child(Clerk, id="copy"), policy=otp(), restarts=MANY)
    async with open_tree(two, journal=journal) as running, trio.open_nursery() as nursery:
        for _ in range(40):
            deed = chance.choice(["tell", "tell", "tell", "kill", "slow", "fail", "go", "keep", "ask"])
            if deed == "tell":
                told += 1
                nursery.start_soon(running.ref("clerk").tell, Add(1))
            elif deed == "kill":
                running.kill("clerk")
            elif deed == "slow":
                journal.slow = True
            elif deed == "fail":
                journal.fail("clerk")
            elif deed == "go":
                journal.slow = False
                journal.go()
            elif deed == "keep":
                nursery.start_soon(tried, running.checkpoint, "clerk")
            else:
                nursery.start_soon(tried, sums, running)
            await turns(chance.choice([0, 1, FEW, TURNS]))
        journal.slow = False
        journal.go()
        await trio.sleep(60)
        total, count = await sums(running)
        assert total % 100 == told
        assert kind is Helped or count == told
        if kind is Caller:
            assert await sums(running, "copy") == (told, told)
