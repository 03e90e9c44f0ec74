"""A handler that blocks the loop is named by a thread, in real time; one that only waits is not."""

from __future__ import annotations

import logging
import threading
import time

import pytest
import trio
from attrs import frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.message import Request
from treewarden.supervisor.core.event import SignalNoted
from treewarden.topologies.open import open_tree
from treewarden.topologies.running import Tree
from treewarden.topologies.tree import tree


@frozen
class Block(Request[None]):
    """Hold up the whole loop."""

    seconds: float


@frozen
class Wait(Request[None]):
    """Wait as one should."""

    seconds: float


class Rude(Agent[None]):
    @handles
    async def block(self, message: Block) -> None:
        ends = time.monotonic() + message.seconds
        while time.monotonic() < ends:
            pass

    @handles
    async def wait(self, message: Wait) -> None:
        await trio.sleep(message.seconds)


async def first_signal(running: Tree) -> SignalNoted:
    async with running.events() as records:
        async for record in records:
            if isinstance(record.event, SignalNoted):
                return record.event
    raise AssertionError("the journal ended before it")


async def test_a_blocked_loop_is_named_within_a_second(caplog: pytest.LogCaptureFixture) -> None:
    began = time.time()
    async with open_tree(tree(Rude)) as running:
        await running.ref("rude").ask(Block(1.2), within=10)
        with trio.fail_after(5):
            noted = await first_signal(running)
    (warning,) = [each for each in caplog.records if each.name == "treewarden" and each.levelno == logging.WARNING]
    assert warning.created - began < 1.2, "while it still blocked"
    assert "rude: Rude.block has blocked the loop" in warning.getMessage()
    assert "test_loop_watch.py" in warning.getMessage()
    assert (noted.path, noted.kind) == ("rude", "loop_blocked")
    assert noted.facts["handler"] == "Rude.block"


async def test_waiting_is_no_blocking(caplog: pytest.LogCaptureFixture) -> None:
    async with open_tree(tree(Rude)) as running:
        await running.ref("rude").ask(Wait(0.8), within=10)
    assert not [each for each in caplog.records if each.name == "treewarden"]


async def test_there_is_no_thread_under_a_mock_clock(autojump_clock: object) -> None:
    before = threading.active_count()
    async with open_tree(tree(Rude)):
        assert threading.active_count() == before
