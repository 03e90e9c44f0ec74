"""Siblings in one trouble of which none declares anything: how they come back."""

from __future__ import annotations

from collections import Counter

import pytest
import trio
import trio.testing
from attrs import frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import MailboxSpec
from treewarden.supervisor.core.spec import ChildSpec
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


@pytest.mark.parametrize("why", ["terminated", "removed", "let go in vain"])
async def test_who_was_to_be_first_and_does_not_come_leaves_it_to_the_next_one(
    why: str, autojump_clock: trio.testing.MockClock
) -> None:
    calls: list[float] = []
    began = trio.current_time()
    args = {"calls": calls, "back": began + 30.0}
    callers = [child(Caller, id=f"c{n}", args=args, mailbox=MailboxSpec(deliveries=99)) for n in range(MANY)]
    async with open_tree(tree(*callers), seed=1) as running:
        for n in range(MANY):
            await running.ref(f"c{n}").tell(Call())
        await trio.sleep(0.9)
        if why == "terminated":
            await running.supervisor("/").terminate_child("c0")
        elif why == "removed":
            await running.reload(tree(*callers[1:]))
        else:
            running.resume("c0")
        await trio.sleep(0.2)
        gone = len(calls)
        await trio.sleep(28.5)
        assert 2 <= len(calls) - gone <= 6, "one tries each time, and not all who waited for the one that did not come"
        await trio.sleep(60)
        left = [slot.path for slot in running.snapshot() if not slot.handled]
        assert left == (["c0"] if why == "terminated" else [])


async def test_who_fails_behind_one_that_came_back_holds_up_nobody(autojump_clock: trio.testing.MockClock) -> None:
    began = trio.current_time()

    def caller(n: int) -> ChildSpec:
        args = {"calls": list[float](), "back": began + (3.0 if n != 1 else 100.0)}
        return child(Caller, id=f"c{n}", args=args, mailbox=MailboxSpec(deliveries=99))

    async with open_tree(tree(*map(caller, range(MANY))), seed=1) as running:
        for n in range(MANY):
            await running.ref(f"c{n}").tell(Call())
        await trio.sleep(10)
        assert [slot.path for slot in running.snapshot() if not slot.handled] == ["c1"]
