"""A mailbox that fills, or whose messages wait too long, is a signal; a new version ends what was held for the old."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing
from attrs import frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import VOLATILE, MailboxSpec
from treewarden.agents.core.lifecycle import SlotState
from treewarden.supervisor.core.event import Decided, SignalNoted
from treewarden.supervisor.core.limits import QueueLimit
from treewarden.supervisor.core.signal import Recovered
from treewarden.supervisor.core.spec import NO_BACKOFF, Intensity
from treewarden.supervisor.journal.memory import MemoryJournal
from treewarden.topologies.child import child
from treewarden.topologies.core.node import REFUSED, Problems, located
from treewarden.topologies.core.options import AGENT
from treewarden.topologies.open import open_tree
from treewarden.topologies.pool import pool
from treewarden.topologies.running import Tree
from treewarden.topologies.tree import tree

CLOCK = trio.testing.MockClock
MEMORY = MailboxSpec(capacity=10, durability=VOLATILE)


@frozen
class Take:
    seconds: float = 0.0


class Desk(Agent[None]):
    @handles
    async def take(self, message: Take) -> None:
        await trio.sleep(message.seconds)


async def noted(journal: MemoryJournal) -> list[tuple[str, str]]:
    records = await journal.read(limit=10_000)
    return [(r.event.path, r.event.kind) for r in records if isinstance(r.event, SignalNoted)]


async def fill(running: Tree, path: str, *seconds: float) -> None:
    for each in seconds:
        await running.ref(path).tell(Take(each))


async def test_a_full_mailbox_is_one_signal_and_its_end_another(autojump_clock: CLOCK) -> None:
    journal = MemoryJournal()
    spec = tree(child(Desk, mailbox=MEMORY, overload=QueueLimit(high=0.8, low=0.2)))
    async with open_tree(spec, journal=journal) as running:
        await fill(running, "desk", 60, *[0.0] * 7)
        await trio.sleep(5)
        assert await noted(journal) == [], "7 of 10 wait"
        await fill(running, "desk", 0)
        await trio.sleep(5)
        assert await noted(journal) == [("desk", "Overloaded")]
        await trio.sleep(100)
        assert await noted(journal) == [("desk", "Overloaded"), ("desk", "Recovered")]
        decided = [r.event for r in await journal.read(limit=10_000) if isinstance(r.event, Decided)]
        assert decided[0].action.startswith("resume"), "what is bounded already holds up its senders"
        assert "overloaded" in str(decided[0])


async def test_a_message_that_waits_too_long_is_one_too(autojump_clock: CLOCK) -> None:
    journal = MemoryJournal()
    spec = tree(child(Desk, mailbox=MEMORY, overload=QueueLimit(oldest=4)), child(Desk, id="free", mailbox=MEMORY))
    async with open_tree(spec, journal=journal) as running:
        await fill(running, "desk", 20, 0)
        await fill(running, "free", 20, 0)
        await trio.sleep(3)
        assert await noted(journal) == []
        await trio.sleep(3)
        assert await noted(journal) == [("desk", "Overloaded")], "nobody looks at the other one"
        await trio.sleep(30)
        assert await noted(journal) == [("desk", "Overloaded"), ("desk", "Recovered")]


async def test_a_shared_queue_speaks_once(autojump_clock: CLOCK) -> None:
    journal = MemoryJournal()
    spec = child(Desk, mailbox=MEMORY, overload=QueueLimit(high=0.5, low=0.1))
    async with open_tree(tree(pool(spec, size=3, route="shared")), journal=journal) as running:
        await fill(running, "desk", 60, 60, 60, 0, 0, 0, 0, 0)
        await trio.sleep(10)
        assert await noted(journal) == [("desk/0", "Overloaded")]


async def test_whoever_has_ended_is_not_looked_at(autojump_clock: CLOCK) -> None:
    journal = MemoryJournal()
    spec = tree(child(Desk, mailbox=MEMORY, overload=QueueLimit(high=0.1, low=0.0)))
    async with open_tree(spec, journal=journal) as running:
        await running.supervisor().terminate_child("desk")
        assert not running._common.queues  # pyright: ignore[reportPrivateUsage]


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ({}, QueueLimit()),
        ({"high": 0.7, "low": 0.3, "oldest": 5.0}, QueueLimit(high=0.7, low=0.3, oldest=5.0)),
        ({"high": 0.3, "low": 0.7}, None),
        ({"high": 2}, None),
        ("often", None),
    ],
)
def test_in_toml(table: Any, expected: QueueLimit | None) -> None:
    problems = Problems()
    found = AGENT["overload"](located(table, "at"), problems)
    assert found == (expected if expected is not None else REFUSED)
    assert bool(len(problems)) == (expected is None)


async def test_a_restart_does_not_end_it(autojump_clock: CLOCK) -> None:
    journal = MemoryJournal()
    spec = tree(child(Desk, mailbox=MEMORY, overload=QueueLimit(high=0.5, low=0.1), backoff=NO_BACKOFF))
    async with open_tree(spec, journal=journal) as running:
        await fill(running, "desk", 60, 60, 0, 0, 0, 0)
        await trio.sleep(2)
        assert running.kill("desk")
        await trio.sleep(30)
        assert await noted(journal) == [("desk", "Overloaded")]
        await trio.sleep(60)
        assert await noted(journal) == [("desk", "Overloaded"), ("desk", "Recovered")]


# -- a new version


class Broken(Agent[None]):
    def __init__(self, version: int) -> None:
        self.version = version

    @handles
    async def take(self, message: Take) -> None:
        if self.version == 1:
            raise RuntimeError("broken")


def versions(number: int) -> Any:
    broken = child(Broken, args={"version": number}, restarts=Intensity(2, 100), backoff=NO_BACKOFF)
    return tree(broken, restarts=Intensity(100, 1))


async def held(running: Tree) -> None:
    for _ in range(20):
        if running.snapshot()[0].state is SlotState.HELD:
            return
        await fill(running, "broken", 0)
        await trio.sleep(1)
    raise AssertionError("it was never held")


async def test_a_held_child_starts_with_a_new_version(autojump_clock: CLOCK) -> None:
    journal = MemoryJournal()
    async with open_tree(versions(1), journal=journal) as running:
        await held(running)
        await running.reload(versions(1))
        assert running.snapshot()[0].state is SlotState.HELD, "nothing has changed"
        await running.reload(versions(2))
        (slot,) = running.snapshot()
        assert slot.state is SlotState.UP
        assert slot.note == ""
        await fill(running, "broken", 0, 0)
        await trio.sleep(1)
        assert running.ref("broken").statistics().depth == 0


async def test_a_decision_soon_after_it_knows_of_the_new_version(autojump_clock: CLOCK) -> None:
    journal = MemoryJournal()
    async with open_tree(versions(2), journal=journal) as running:
        await running.reload(versions(1))
        await fill(running, "broken", 0)
        await trio.sleep(1)
        decided = [r.event for r in await journal.read(limit=10_000) if isinstance(r.event, Decided)]
        assert "code changed" in str(decided[0]).lower() or "code_changed" in str(decided[0])


@pytest.mark.parametrize("again", ["reload", "restart_child"])
async def test_a_pause_ends_with_what_it_was_for(autojump_clock: CLOCK, again: str) -> None:
    async with open_tree(versions(2)) as running:
        supervisor = running._common.supervisors[running.supervisor().path]  # pyright: ignore[reportPrivateUsage]
        (held_one,) = supervisor.children
        supervisor.remedies.hold(held_one, Recovered(path=held_one.path, at=0.0, kind="nothing"), "what now?")
        await fill(running, "broken", 0)
        await trio.sleep(1)
        assert running.ref("broken").statistics().paused == ("held",)
        if again == "reload":
            await running.reload(versions(3))
        else:
            await running.supervisor().terminate_child("broken")
            await running.supervisor().restart_child("broken")
        await trio.sleep(1)
        assert running.ref("broken").statistics().paused == ()
        assert running.ref("broken").statistics().depth == 0
