"""Siblings in one trouble of which none declares anything: how they come back."""

from __future__ import annotations

from collections import Counter

import pytest
import trio
import trio.testing
from attrs import frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import MailboxSpec
from treewarden.topologies.child import child
from treewarden.topologies.open import open_tree
from treewarden.topologies.tree import tree

MANY = 100


@frozen
class Call: ...


class Caller(Agent[int]):
    state = 0

    def __init__(self, calls: list[float], back: float) -> None:
        self.calls = calls
        self.back = back

    @handles
    def call(self, message: Call) -> None:
        now = trio.current_time()
        self.calls.append(now)
        if now < self.back:
            raise ConnectionError("db: refused")
        self.state += 1


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_one_tries_and_the_others_wait_and_come_one_after_the_other(
    seed: int, autojump_clock: trio.testing.MockClock
) -> None:
    calls: list[float] = []
    began = trio.current_time()
    args = {"calls": calls, "back": began + 12.0}
    callers = [child(Caller, id=f"c{n}", args=args, mailbox=MailboxSpec(deliveries=9)) for n in range(MANY)]
    async with open_tree(tree(*callers), seed=seed) as running:
        for n in range(MANY):
            await running.ref(f"c{n}").tell(Call())
        await trio.sleep(60)
        assert sum(slot.handled for slot in running.snapshot()) == MANY
    at_once = [call for call in calls if call < began + 1]
    later = [call for call in calls if began + 1 <= call < began + 12]
    assert len(at_once) >= MANY, "each of them had found out for itself"
    assert 1 <= len(later) <= 4, "from then on the first one does for all"
    back = Counter(int(100 * (call - began)) for call in calls if call >= began + 12)
    assert max(back.values()) <= 3
    assert len(back) > MANY / 3


async def test_who_was_let_go_by_a_person_does_not_wait_again(autojump_clock: trio.testing.MockClock) -> None:
    calls: list[float] = []
    args = {"calls": calls, "back": trio.current_time() + 3.0}
    callers = [child(Caller, id=f"c{n}", args=args, mailbox=MailboxSpec(deliveries=9)) for n in range(10)]
    async with open_tree(tree(*callers)) as running:
        for n in range(10):
            await running.ref(f"c{n}").tell(Call())
        await trio.sleep(3.5)
        assert running.snapshot()[9].handled == 0
        running.resume("c9")
        await trio.sleep(0.1)
        assert running.snapshot()[9].handled == 1
