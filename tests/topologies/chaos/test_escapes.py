"""What a handler does that no seed decides about: it is seen, and told with its place; what a seed decides is not."""

from __future__ import annotations

import datetime
import logging
import os
import random
import secrets
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress
from time import time as now
from typing import Any

import pytest
import trio

from treewarden.agents import Agent
from treewarden.topologies import child, tree
from treewarden.topologies.chaos.campaign import find, run_seeds
from treewarden.topologies.chaos.run import Body, Run, Setting, run_world
from treewarden.topologies.chaos.telling import story
from treewarden.topologies.chaos.world import World

CALM = Setting(within=0.5)


class Doer(Agent[None]):
    def __init__(self, what: Callable[[], Any]) -> None:
        self.what = what

    async def on_start(self) -> None:
        with suppress(OSError):
            result = self.what()
            if isinstance(result, Awaitable):
                await result


def does(what: Callable[[], Any]) -> Body:
    async def body(world: World) -> None:
        await world.start(tree(child(Doer, args={"what": what})))

    return body


def a_thread() -> None:
    thread = threading.Thread(target=lambda: None)
    thread.start()
    thread.join()


def bind() -> None:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))


async def a_sleep() -> None:
    await trio.sleep(0.1)


async def in_a_worker() -> None:
    await trio.to_thread.run_sync(lambda: None)


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        (in_a_worker, "a worker thread was used (<lambda> from doer) at test_escapes.py:* (in_a_worker)"),
        (a_thread, "a thread was started at test_escapes.py:* (a_thread)"),
        (lambda: subprocess.run(["true"], check=False), "a process was started at test_escapes.py:* (<lambda>)"),
        (bind, "a socket was bound at test_escapes.py:* (bind)"),
        (lambda: socket.getaddrinfo("localhost", 80), "a name was looked up at test_escapes.py:* (<lambda>)"),
    ],
)
def test_threads_processes_and_sockets_mark_a_run(what: Callable[[], Any], sentence: str) -> None:
    run = run_world(does(what), 1, CALM)
    assert (run.failures, run.replayable) == ((), False)
    assert sentence in [_without_line(each) for each in run.escapes]


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        (lambda: time.time(), "time.time was read"),
        (lambda: now(), "time.time was read"),
        (lambda: time.monotonic(), "time.monotonic was read"),
        (lambda: datetime.datetime.now(datetime.UTC), "datetime.now was read"),
        (lambda: datetime.date.today(), "date.today was read"),
        (lambda: uuid.uuid4(), "chance was taken from the system"),
        (lambda: uuid.uuid1(), "the clock and the address of the machine were read"),
        (lambda: os.urandom(8), "chance was taken from the system"),
        (lambda: secrets.token_hex(), "chance was taken from the system"),
        (lambda: random.Random().random(), "a generator was seeded by the system"),
    ],
)
def test_clocks_and_chance_are_told_by_a_watchful_run(what: Callable[[], Any], sentence: str) -> None:
    plain, watchful = run_world(does(what), 1, CALM), run_world(does(what), 1, CALM, watchful=True)
    assert [_without_line(each) for each in watchful.readings] == [f"{sentence} at test_escapes.py:* (<lambda>)"]
    assert (watchful.failures, watchful.replayable, plain.readings) == ((), True, ())
    assert watchful.digest == plain.digest


@pytest.mark.parametrize(
    "what",
    [
        lambda: random.random(),
        lambda: random.Random(1).random(),
        lambda: logging.getLogger("test_escapes").debug("a line has its time"),
        lambda: logging.getLogger("test_escapes").error("and this one is written"),
        a_sleep,
        lambda: trio.current_time(),
    ],
)
def test_what_the_seed_decides_and_lines_in_logs_are_not_told(what: Callable[[], Any]) -> None:
    run = run_world(does(what), 1, CALM, watchful=True)
    assert (run.failures, run.escapes, run.readings) == ((), (), ())


def test_the_chance_of_the_module_is_that_of_the_seed() -> None:
    drawn: list[float] = []
    for seed in (1, 1, 2):
        run_world(does(lambda: drawn.append(random.random())), seed, CALM)
    assert drawn[0] == drawn[1] != drawn[2]


def test_another_profiler_is_left_alone() -> None:
    seen: list[str] = []
    sys.setprofile(lambda _frame, event, _what: seen.append(event))
    try:
        run = run_world(does(lambda: time.time()), 1, CALM, watchful=True)
    finally:
        sys.setprofile(None)
    assert (run.failures, run.readings) == ((), ())
    assert seen


def test_the_first_run_of_a_campaign_and_each_that_fails_are_watchful() -> None:
    async def late(world: World) -> None:
        await world.start(tree(child(Doer, args={"what": trio.lowlevel.checkpoint})))
        if world.seed == 3:
            world.fail("odd", f"{time.time():.6f}")

    total = run_seeds(late, CALM, range(5), test="late")
    assert (total.runs, dict(total.readings)) == (4, {})
    (finding,) = total.findings
    assert [_without_line(each) for each in finding.run.readings] == ["time.time was read at test_escapes.py:* (late)"]
    assert not finding.replayable
    told = story(finding, "", "the command")
    assert any(line.startswith("  outside of the seed: time.time was read at test_escapes.py:") for line in told)
    assert "  the command" not in told

    async def at_once(world: World) -> None:
        await world.start(tree(child(Doer, args={"what": lambda: time.time()})))

    assert len(run_seeds(at_once, CALM, range(2), test="at once").readings) == 1


def test_what_is_read_and_does_not_matter_is_still_replayed_and_made_small() -> None:
    async def fails(world: World) -> None:
        time.monotonic()
        await world.start(tree(child(Doer, args={"what": trio.lowlevel.checkpoint})))
        world.fail("always", "it fails")

    run: Run = run_world(fails, 1, CALM)
    finding = find(fails, run, test="fails")
    assert finding.replayable
    assert finding.attempts > 0
    assert len(finding.run.readings) == 1


def _without_line(sentence: str) -> str:
    head, colon, rest = sentence.partition("test_escapes.py:")
    return f"{head}{colon}*{rest.lstrip('0123456789')}" if colon else sentence
