"""A run of a real tree in a world: what it comes to depends on its seed, and on nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
import trio
from attrs import frozen
from shop import Book, Booked, sell, shop

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import VOLATILE
from treewarden.topologies.chaos import faults
from treewarden.topologies.chaos.promises import no_acknowledged_message_lost, order_per_sender
from treewarden.topologies.chaos.run import Body, Setting, run_world
from treewarden.topologies.chaos.world import World
from treewarden.topologies.tree import tree

HARD: Final = Setting(
    faults=(
        faults.kill(rate=1.0), faults.crash(rate=0.5), faults.slow(2.0, rate=2.0), faults.disk_full(),
        faults.io_error(), faults.lost_ack(rate=1.0), faults.torn_write(rate=0.5), faults.clock_jump(-3600.0),
        faults.disk_locked(), faults.clock_skew(), faults.suspend(),
    ),
    within=10.0,
)  # fmt: skip


async def books(world: World) -> None:
    """Whatever happens, each order that was acknowledged is booked once."""
    world.always(order_per_sender)
    world.always(no_acknowledged_message_lost)
    await world.start(shop(world))
    told = await sell(world)
    await world.calm()
    booked = await world.ask("till", Booked())
    assert set(told) <= set(booked)
    assert len(set(booked)) == len(booked)
    assert {effect.key for effect in world.outside.effects} == {f"order {number}" for number in booked}
    world.sometimes("a process died", world.process.crashes > 0)


def test_whatever_a_seed_brings_is_survived() -> None:
    runs = [run_world(books, seed, HARD) for seed in range(12)]
    assert [(run.seed, run.failures) for run in runs if run.failed] == []
    assert len({run.digest for run in runs}) == 12
    assert all(run.replayable for run in runs)
    struck = {kind for run in runs for kind in run.faults}
    assert struck == {fault.kind for fault in HARD.faults}
    assert any(run.reached["a process died"] for run in runs)


def test_a_seed_comes_to_the_same_trace_again() -> None:
    assert run_world(books, 7, HARD) == run_world(books, 7, HARD)


def test_a_seed_comes_to_the_same_trace_in_every_process() -> None:
    program = (
        "from test_world import books, HARD\nfrom treewarden.topologies.chaos.run import run_world\n"
        "print(run_world(books, 7, HARD).digest)"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": str(seed), "PYTHONPATH": str(Path(__file__).parent)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in (1, 2)
    }
    assert digests == {run_world(books, 7, HARD).digest}


def test_without_faults_nothing_happens() -> None:
    run = run_world(books, 1, Setting(within=1.0))
    assert (run.failures, dict(run.faults), run.marks[-1].text) == ((), {}, "quiet")
    assert {"commit", "committed", "effect", "yield"} == run.points.keys()


@frozen
class Poison:
    """What no handler survives."""


class Frail(Agent[None]):
    @handles
    async def poison(self, message: Poison) -> None:
        raise ValueError(f"of {object()}")


async def gives_up(world: World) -> None:
    await world.start(tree(Frail))
    await world.tell("frail", Poison())
    await trio.sleep(5)


def test_the_timeline_says_what_was_given_up() -> None:
    """A test that misses an acknowledged message was shown restarts, and not that it was set aside after the second."""
    run, again = (run_world(gives_up, 1, Setting(within=1.0)) for _ in range(2))
    said = [(mark.path, mark.text) for mark in run.marks if mark.kind == "note"]
    assert ("frail", f"{__name__}:Poison is given up: its handler failed 2 times") in said
    assert [mark.text for mark in run.marks] == [mark.text for mark in again.marks], "no words of an exception"


async def forgets(world: World) -> None:
    """A test that expects too much: the till is in memory."""
    await world.start(shop(world, VOLATILE))
    told = await sell(world)
    await world.calm()
    assert list(await world.ask("till", Booked())) == told


def test_what_does_not_hold_is_found() -> None:
    runs = [run_world(forgets, seed, Setting(faults=(faults.crash(rate=2.0),), within=5.0)) for seed in range(5)]
    assert any("AssertionError" in failure for run in runs for failure in run.failures)


def test_a_dropped_message_is_missed() -> None:
    run = run_world(forgets, 3, Setting(faults=(faults.drop(rate=100.0),), within=0.5))
    assert (run.failed, run.faults["drop"]) == (True, 3)


@pytest.mark.parametrize("fault", [faults.duplicate, faults.delay])
def test_messages_in_memory_come_twice_and_late(fault: faults.Maker) -> None:
    run = run_world(forgets, 3, Setting(faults=(fault(rate=3.0),), within=3.0))
    assert (run.failed, run.faults[fault.__name__]) == (True, 3)


async def hurries(world: World) -> None:
    """As `forgets`, without a pause between two messages."""
    await world.start(shop(world, VOLATILE))
    for number in range(20):
        await world.tell("till", Book(number))
    await world.calm()
    assert await world.ask("till", Booked()) == tuple(range(20))


def test_messages_in_memory_come_in_another_order() -> None:
    run = run_world(hurries, 1, Setting(faults=(faults.reorder(rate=20.0),), within=1.0))
    assert (run.failed, run.faults["reorder"]) == (True, 3)
    assert not run_world(hurries, 1, Setting(within=1.0)).failed


async def uses_a_thread(world: World) -> None:
    await trio.to_thread.run_sync(lambda: None)


async def uses_a_process(world: World) -> None:
    await trio.run_process(["true"])


async def uses_a_socket(world: World) -> None:
    with trio.socket.socket() as listener:
        await listener.bind(("127.0.0.1", 0))


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (uses_a_thread, "a worker thread was used"),
        (uses_a_process, "a process was started"),
        (uses_a_socket, "a socket was bound"),
    ],
)
def test_what_escapes_the_seed_is_named(body: Body, sentence: str) -> None:
    run = run_world(body, 1, Setting())
    assert not run.replayable
    assert any(sentence in escape for escape in run.escapes)
    assert run_world(books, 1, Setting(within=1.0)).replayable


async def raises(world: World) -> None:
    await world.start(shop(world))
    raise LookupError("nothing here")


async def never_ends(world: World) -> None:
    await trio.sleep_forever()


def test_what_a_test_raises_is_its_failure() -> None:
    run = run_world(raises, 1, Setting())
    assert run.failures == ("LookupError: nothing here",)
    assert "in raises" in run.details


def test_a_run_that_does_not_end_fails() -> None:
    assert run_world(never_ends, 1, Setting()).failures == ("the run ends: not within 3630 s of its own time",)


async def watches(world: World) -> None:
    world.always(lambda world: len(world.outside.effects) < 3, "never three")
    await world.start(shop(world))
    await sell(world)


def test_always_is_looked_at_after_each_commit() -> None:
    run = run_world(watches, 1, Setting(within=1.0))
    assert (run.failures, run.seconds < 1.0) == (("never three",), True)


async def waits(world: World) -> None:
    await world.start(shop(world))
    world.nursery.start_soon(sell, world)
    await world.eventually(lambda world: len(world.outside.effects) == 20, within=10.0, name="all sold")
    await world.eventually(lambda world: "never", within=10.0, name="paid")


def test_eventually_waits_and_gives_up() -> None:
    run = run_world(waits, 1, Setting(within=1.0))
    assert run.failures == ("paid: never",)


async def asks(world: World) -> None:
    async def all_booked(world: World) -> str | bool:
        missing = 20 - len(await world.ask("till", Booked()))
        return f"{missing} are missing" if missing else True

    async def one_more(world: World) -> str | bool:
        return True if len(await world.ask("till", Booked())) > 20 else "not one more"

    async def silent(world: World) -> bool:
        await trio.sleep_forever()
        return True

    await world.start(shop(world))
    world.nursery.start_soon(sell, world)
    await world.eventually(all_booked, within=10.0)
    await world.eventually(silent if world.seed == 2 else one_more, within=10.0)


@pytest.mark.parametrize(
    ("seed", "said"),
    [(1, "one_more: not one more"), (2, "silent: it waited for an answer until its time was over")],
)
def test_eventually_awaits_a_check_that_asks(seed: int, said: str) -> None:
    assert run_world(asks, seed, Setting(within=1.0)).failures == (said,)


async def asks_nobody(world: World) -> None:
    async def answered(world: World) -> bool:
        await world.ask("nobody", Booked())
        return True

    await world.start(shop(world))
    await world.eventually(answered, within=2.0)


def test_an_ask_that_fails_is_not_yet_an_answer() -> None:
    (failure,) = run_world(asks_nobody, 1, Setting(within=1.0)).failures
    assert failure.startswith("answered: NoSuchSlot: nobody")


async def always_waits(world: World) -> None:
    async def never_looked_at(world: World) -> bool:
        return False

    world.always(never_looked_at)
    await world.start(shop(world))


def test_always_refuses_a_check_that_nobody_would_await() -> None:
    (failure,) = run_world(always_waits, 1, Setting(within=1.0)).failures
    assert failure.startswith("never_looked_at: it is async, and here nobody waits")
