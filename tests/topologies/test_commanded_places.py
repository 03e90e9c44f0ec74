"""Commands from another process for topics, full mailboxes, dynamic children and those that do not come up."""

from __future__ import annotations

from collections import Counter as Counts
from pathlib import Path

import pytest
import trio
import trio.testing
from attrs import frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import MailboxSpec, Overflow
from treewarden.agents.core.lifecycle import SlotState
from treewarden.agents.core.message import Request
from treewarden.agents.core.path import Path as Slot
from treewarden.supervisor.core.command import Command
from treewarden.supervisor.core.spec import Intensity, Strategy
from treewarden.supervisor.journal.sending import Outcome, send
from treewarden.supervisor.testing import inline_run_sync
from treewarden.topologies.child import Child, child
from treewarden.topologies.core.routing import partition_of
from treewarden.topologies.open import open_tree
from treewarden.topologies.partition import partitions
from treewarden.topologies.pool import pool
from treewarden.topologies.topic import topic
from treewarden.topologies.tree import tree

from ..journals import on_disk
from .commanded import Add, Counter, Total, order, status, tell

CLOCK = trio.testing.MockClock


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "tree.db"


@pytest.mark.parametrize("what", ["tell", "ask"])
async def test_a_topic_is_nobody_of_whom_to_say_what_it_handles(what: str, file: Path, autojump_clock: CLOCK) -> None:
    async with open_tree(tree(Counter, topic("counter", id="news")), journal=on_disk(file)) as running:
        outcome = await order(file, what, "news", kind="Add", data={"amount": 1})
        assert (outcome.state, outcome.text) == (
            "refused",
            "news is a topic, and only agents publish there; tell counter",
        )
        assert await running.ref("counter").ask(Total()) == 0


@pytest.mark.parametrize(
    ("overflow", "why"),
    [
        (Overflow.DROP_NEWEST, "counter: there is no room in its mailbox, and it drops what is new"),
        (Overflow.REFUSE, "counter: its mailbox is full (1 message, policy refuse); "),
    ],
)
async def test_who_has_no_room_is_not_told(overflow: Overflow, why: str, file: Path, autojump_clock: CLOCK) -> None:
    full = child(Counter, mailbox=MailboxSpec(capacity=1, overflow=overflow))
    async with open_tree(tree(full), journal=on_disk(file)) as running:
        await order(file, "hold", "counter", "c0")
        assert (await tell(file, "counter", 2, "c1")).state == "applied"
        outcome = await tell(file, "counter", 3, "c2")
        assert outcome.state == "refused"
        assert outcome.text.startswith(why)
        await order(file, "resume", "counter", "c3")
        assert await running.ref("counter").ask(Total()) == 2


@pytest.mark.parametrize("awake", [False, True])
async def test_a_dynamic_one_that_is_stopped_is_gone(awake: bool, file: Path, autojump_clock: CLOCK) -> None:
    pool = tree(Counter, id="pool", strategy=Strategy.DYNAMIC)
    async with open_tree(tree(pool), journal=on_disk(file)) as running:
        supervisor = running.supervisor("pool")
        one, other = [(await supervisor.start_dynamic()).path for _ in range(2)]
        if awake:
            assert await running.ref(one).ask(Total()) == 0
        outcome = await order(file, "stop", str(one))
        assert (outcome.state, outcome.text) == ("applied", f"{one} is stopped")
        assert [view.path for view in await supervisor.children()] == [other]
        again = await order(file, "resume", str(one), "c2")
        assert again.state == "refused"
        assert again.text.startswith(f"{one}: ")


@frozen
class Of(Request[int]):
    """What was told under a key."""

    amount: int


class Keyed(Counter):
    @handles
    def of(self, message: Of) -> int:
        return self.state


@pytest.mark.parametrize(
    ("part", "entry"),
    [(Keyed, "keyed"), (tree(Keyed, id="inner"), "inner/keyed"), (pool(Keyed, size=2), "keyed")],
    ids=["agent", "below", "pool"],
)
async def test_partitions_are_told_and_asked_by_their_key(
    part: Child, entry: str, file: Path, autojump_clock: CLOCK
) -> None:
    shelf = partitions(tree(part), 3, key="amount", entry=entry, id="shelf")
    async with open_tree(tree(shelf), journal=on_disk(file)) as running:
        for amount in range(1, 9):
            assert await tell(file, "shelf", amount, f"c{amount}") == Outcome(
                f"c{amount}", "applied", "shelf was told Add"
            )
        asked = await order(file, "ask", "shelf", "c9", kind="Of", data={"amount": 8})
        assert asked.state == "applied"
        without = await order(file, "ask", "shelf", "c10", kind="Total", data={})
        assert (without.state, without.text[:12]) == ("refused", "shelf: Total")
        await trio.testing.wait_all_tasks_blocked()
        told = {each.path: each.handled for each in running.snapshot() if each.handled}
        parts = [f"shelf/{partition_of(amount, 3)}/{entry}" for amount in (*range(1, 9), 8)]
        assert {part: sum(n for path, n in told.items() if path.startswith(part)) for part in parts} == Counts(parts)


class Slow(Agent[None]):
    """Takes three seconds for each."""

    @handles
    async def add(self, message: Add) -> None:
        await trio.sleep(3)


async def after(file: Path, what: str, path: str, id: str) -> Outcome:
    """What becomes of a command that may take ten seconds, as the command line waits for it."""
    command = Command(what=what, path=Slot(path), by="ann", within=10.0)
    return await send(file, command, id, within=100, run_sync=inline_run_sync)


async def test_what_is_not_drained_in_time_is_stopped_all_the_same(file: Path, autojump_clock: CLOCK) -> None:
    async with open_tree(tree(Slow), journal=on_disk(file)) as running:
        for amount in range(10):
            await running.ref("slow").tell(Add(amount))
        outcome = await after(file, "drain", "slow", "c1")
        left = "slow is drained; 6 were left: on disk they wait, others became dead letters"
        assert (outcome.state, outcome.text) == ("applied", left)
        assert status(running, "slow") is SlotState.DOWN


async def test_what_has_no_room_to_be_put_back_is_named(file: Path, autojump_clock: CLOCK) -> None:
    full = child(Counter, mailbox=MailboxSpec(capacity=1, deliveries=1))
    async with open_tree(tree(full), journal=on_disk(file)) as running:
        for _ in range(2):
            await tell(file, "counter", 13, f"c{trio.current_time()}")
            await trio.sleep(5)
        assert len(await running.dead_letters("counter")) == 2
        await order(file, "hold", "counter", "c3")
        outcome = await after(file, "replay", "counter", "c4")
        assert outcome.state == "refused"
        assert outcome.text.startswith("1 dead letter put back, and then: counter: no room in its mailbox within")


class Late(Counter):
    ready = True

    async def on_start(self) -> None:
        if not type(self).ready:
            raise OSError("no door")


async def test_one_that_does_not_come_up_is_not_said_to_run(
    file: Path, autojump_clock: CLOCK, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = child(Late, mailbox=MailboxSpec(deliveries=1), restarts=Intensity(0, 60))
    async with open_tree(tree(held, Counter), journal=on_disk(file)) as running:
        await tell(file, "late", 13)
        await trio.sleep(5)
        assert status(running, "late") is SlotState.HELD
        monkeypatch.setattr(Late, "ready", False)
        outcome = await order(file, "resume", "late", "c2")
        assert (outcome.state, outcome.text) == ("refused", "late is restarting: it did not start")
        assert status(running, "late") is not SlotState.UP
        assert await running.ref("counter").ask(Total()) == 0
