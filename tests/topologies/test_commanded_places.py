"""Commands from another process for topics, full mailboxes, dynamic children and those that do not come up."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
import trio.testing

from treewarden.agents.core.durability import MailboxSpec, Overflow
from treewarden.agents.core.lifecycle import SlotState
from treewarden.supervisor.core.spec import Intensity, Strategy
from treewarden.topologies.child import child
from treewarden.topologies.open import open_tree
from treewarden.topologies.topic import topic
from treewarden.topologies.tree import tree

from ..journals import on_disk
from .commanded import Counter, Total, order, status, tell

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
