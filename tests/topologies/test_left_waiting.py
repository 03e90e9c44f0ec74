"""What a tree says that begins without some of those for whom messages wait on disk."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from treewarden.agents.core.lifecycle import SlotState
from treewarden.agents.core.path import Path
from treewarden.supervisor.core.rule_table import Rule
from treewarden.supervisor.core.spec import Intensity, Strategy
from treewarden.supervisor.core.table import table
from treewarden.supervisor.journal.memory import MemoryJournal
from treewarden.topologies.child import child
from treewarden.topologies.core.blueprint import Blueprint
from treewarden.topologies.core.routing import Route
from treewarden.topologies.open import open_tree
from treewarden.topologies.partition import partitions
from treewarden.topologies.pipeline import pipeline
from treewarden.topologies.pool import pool
from treewarden.topologies.tree import tree

from .commanded import Add, Counter


def smaller(size: int, route: Route = "shared") -> Blueprint:
    """With so many workers, partitions and stages, and with a queue if workers share one."""
    stages = [child(Counter, id=f"stage{n}") for n in range(size)]
    return tree(
        pool(Counter, id="pool", size=size),
        pool(Counter, id="queue", size=2, route=route),
        partitions(tree(Counter), size, key="amount", entry="counter", id="shelf"),
        pipeline(*stages, id="line"),
        tree(child(Counter, id="run"), id="runs", strategy=Strategy.DYNAMIC),
    )


EVERYBODY = (
    "pool/0",
    "pool/1",
    "shelf/0/counter",
    "shelf/1/counter",
    "line/stage0",
    "line/stage1",
    "queue",
    "runs/late",
)


@pytest.fixture
async def journal() -> MemoryJournal:
    """Everybody has a state, and some have messages that wait."""
    found = MemoryJournal()
    async with open_tree(smaller(2), journal=found) as running:
        await running.supervisor("runs").start_dynamic(id="late")
        for path in EVERYBODY:
            await running.ref(path).tell(Add(1))
        await trio.sleep(1)
        for path in EVERYBODY:
            if path != "shelf/1/counter":
                running.hold(path)
                await wait_all_tasks_blocked()
                await running.ref(path).tell(Add(2))
        await running.ref("pool/1").tell(Add(3))
    return found


async def test_it_says_for_whom_messages_wait(
    journal: MemoryJournal, caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    async with open_tree(smaller(1, "round_robin"), journal=journal):
        await trio.sleep(10)
    assert caplog.messages == [
        "on disk messages wait in mailboxes that this tree does not have, and nobody handles them: "
        "line/stage1 (1 message), pool/1 (2 messages), queue (1 message)"
    ]


async def test_it_says_nothing_of_who_is_there_or_comes_soon(
    journal: MemoryJournal, caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    async with open_tree(smaller(2), journal=journal):
        await trio.sleep(10)
    async with open_tree(smaller(1), journal=journal) as running:
        for path, id in (("line", "stage1"), ("pool", "1")):
            await running.supervisor(path).start_child(child(Counter, id=id))
        await trio.sleep(10)
    assert caplog.messages == []


async def test_nor_of_those_whose_supervisor_is_held(
    caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    """They are in the tree, and begin when somebody has said that it may go on."""
    journal = MemoryJournal()
    desk = tree(pool(Counter, id="queue", size=2, route="shared"), Counter, id="desk", restarts=Intensity(0))
    shop = tree(desk, policy=table([Rule("gave_up", "hold"), Rule("crash", "restart")]))
    for _ in range(2):
        async with open_tree(shop, journal=journal) as running:
            if running.snapshot()[0].state is SlotState.UP:
                await running.ref("desk/counter").tell(Add(13))
                await running.ref("desk/queue").tell(Add(13))
            await trio.sleep(10)
            assert running.snapshot()[0].state is SlotState.HELD
    assert (await journal.recover(Path("desk/counter"))).messages
    assert caplog.messages == []
