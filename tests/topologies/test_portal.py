"""The portal, from real threads and from a real asyncio loop."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.testing
from attrs import frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.approval import Approved, Refused, Ruling
from treewarden.agents.core.message import Request
from treewarden.agents.errors import AgentFailed, AgentStopped, AlreadyRuled, NoSuchSlot, WrongThread
from treewarden.supervisor.core.event import IncidentClosed
from treewarden.supervisor.core.spec import ChildSpec, Grace
from treewarden.supervisor.journal.memory import MemoryJournal
from treewarden.topologies.open import open_tree
from treewarden.topologies.portal import Portal, open_portal
from treewarden.topologies.tree import tree


@frozen
class Add:
    n: int


@frozen
class Total(Request[int]):
    """Ask for the sum."""


@frozen
class Never(Request[int]):
    """An ask that is never answered in time."""


class Sum(Agent[int]):
    state = 0

    @handles
    async def add(self, message: Add) -> None:
        self.state += message.n

    @handles
    def total(self, message: Total) -> int:
        if self.state < 0:
            raise ValueError("below zero")
        return self.state

    @handles
    async def never(self, message: Never) -> int:
        await trio.sleep_forever()
        return 0


class Payments(Agent[tuple[Ruling, ...]]):
    state = ()

    @handles
    async def pay(self, message: Add) -> None:
        self.state = (*self.state, await self.approval("pay", about=message.n))


async def in_thread(work: Callable[[], Any]) -> Any:
    with trio.fail_after(10):
        return await trio.to_thread.run_sync(work)


async def test_a_thread_tells_and_asks() -> None:
    async with open_tree(tree(Sum)) as running, open_portal(running) as portal:

        def work() -> int:
            for n in range(100):
                portal.tell("sum", Add(n))
            return portal.ask("sum", Total())

        assert await in_thread(work) == sum(range(100))


async def test_many_threads_lose_nothing() -> None:
    async with open_tree(tree(Sum)) as running, open_portal(running) as portal:

        def add() -> None:
            for _ in range(50):
                portal.tell("sum", Add(1))

        async with trio.open_nursery() as nursery:
            for _ in range(8):
                nursery.start_soon(in_thread, add)
        assert await running.ref("sum").ask(Total()) == 400


async def test_asyncio_code_awaits_replies() -> None:
    async with open_tree(tree(Sum)) as running, open_portal(running) as portal:

        async def asyncio_main() -> int:
            await asyncio.gather(*(asyncio.wrap_future(portal.tell_soon("sum", Add(2))) for _ in range(20)))
            return await asyncio.wrap_future(portal.ask_soon("sum", Total()))

        assert await in_thread(lambda: asyncio.run(asyncio_main())) == 40


async def test_errors_come_through() -> None:
    async with open_tree(tree(Sum)) as running, open_portal(running) as portal:

        def work() -> None:
            with pytest.raises(NoSuchSlot, match="sun"):
                portal.tell("sun", Add(1))
            portal.tell("sum", Add(-1))
            with pytest.raises(AgentFailed, match="below zero"):
                portal.ask("sum", Total())
            with pytest.raises(Exception, match="severity"):
                portal.signal("sum", {"kind": "hot", "severity": 7})

        await in_thread(work)


async def test_a_thread_has_whatever_the_tree_can_do() -> None:
    async with open_tree(tree(Sum)) as running, open_portal(running) as portal:

        def work() -> None:
            assert [slot.path for slot in portal.call(running.snapshot)] == ["sum"]  # a plain function
            portal.tell("sum", Add(-1))
            for _ in range(2):
                with pytest.raises(AgentFailed):
                    portal.ask("sum", Total())
            assert portal.call(running.dead_letters, "sum") == ()
            with pytest.raises(NoSuchSlot, match="sun"):
                portal.call(running.drain, "sun")
            assert portal.call(running.drain, "sum").complete

        await in_thread(work)


async def test_what_runs_for_a_thread_ends_with_the_portal() -> None:
    began, errors = threading.Event(), list[BaseException]()

    async def forever() -> None:
        began.set()
        await trio.sleep_forever()

    def work(portal: Portal) -> None:
        try:
            portal.call(forever)
        except AgentStopped as error:
            errors.append(error)

    async with open_tree(tree(Sum)) as running:
        async with open_portal(running) as portal:
            waiting = threading.Thread(target=work, args=(portal,))
            waiting.start()
            assert await trio.to_thread.run_sync(began.wait, 10)
        await in_thread(waiting.join)
    (error,) = errors
    assert isinstance(error, AgentStopped)
    assert not error.retry_safe


async def test_what_a_thread_has_reported_it_takes_back() -> None:
    journal = MemoryJournal()
    async with open_tree(tree(Sum), journal=journal) as running, open_portal(running) as portal:

        def work() -> None:
            portal.signal("sum", {"kind": "hot", "severity": 0.1})
            portal.signal("sum", {"kind": "wet", "severity": 0.1}, lasts=1000)
            portal.recovered("sum", "hot")
            portal.recovered("sum", "wet")

        await in_thread(work)
        await running.supervisor().count()
        await trio.testing.wait_all_tasks_blocked()
        told = [record.event for record in await journal.read(limit=1000)]
        assert [event.outcome for event in told if isinstance(event, IncidentClosed)] == ["fixed"]


async def test_nobody_waits_for_a_tree_that_has_gone() -> None:
    asked = threading.Event()
    errors: list[BaseException] = []
    portals: list[Portal] = []

    def work() -> None:
        future = portals[0].ask_soon("sum", Never(), within=60)
        asked.set()
        try:
            future.result(timeout=10)
        except AgentStopped as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    hurried = ChildSpec(id="sum", agent=Sum, shutdown=Grace(0.01))  # its handler never ends
    async with open_tree(tree(hurried)) as running, open_portal(running) as portal:
        portals.append(portal)
        thread.start()
        while not asked.is_set():  # a thread tells us, so there is no event of trio's to wait for
            await trio.lowlevel.checkpoint()
    await in_thread(thread.join)
    assert len(errors) == 1
    with pytest.raises(AgentStopped):
        await in_thread(lambda: portals[0].tell("sum", Add(1)))


def test_whose_loop_has_ended_is_told_so_in_the_same_thread() -> None:
    portals: list[Portal] = []

    async def main() -> None:
        async with open_tree(tree(Sum)) as running, open_portal(running) as portal:
            portals.append(portal)

    trio.run(main)
    with pytest.raises(AgentStopped, match="the portal is closed"):
        portals[0].tell("sum", Add(1))


async def test_a_tree_that_has_ended_is_signalled_nothing() -> None:
    async with open_tree(tree(Sum)) as running, open_portal(running) as portal:
        await in_thread(portal.stop)
        for path, error in (("sum", AgentStopped), ("nobody", NoSuchSlot)):
            with pytest.raises(error):
                await in_thread(lambda path=path: portal.signal(path, {"kind": "slow", "severity": 0.5}))


async def test_a_thread_sees_what_waits_and_rules() -> None:
    async with open_tree(tree(Payments)) as running, open_portal(running) as portal:

        def work() -> None:
            portal.tell("payments", Add(700))
            while not (waits := portal.waits()):
                pass
            assert [(wait.path, wait.about) for wait in waits] == [("payments", 700)]
            with pytest.raises(NoSuchSlot, match="did you mean payments"):
                portal.waits("payments/below")
            portal.rule("payments", Approved("ada"), key=waits[0].key)
            with pytest.raises(AlreadyRuled, match="was approved by ada at "):
                portal.rule("payments", Refused("eve"), key=waits[0].key)

        await in_thread(work)
        with pytest.raises(WrongThread, match=re.escape("await tree.waits('/')")):
            portal.waits()
        with pytest.raises(WrongThread, match=re.escape("await tree.rule('payments', ...)")):
            portal.rule("payments", Refused("eve"))
        drained = await running.drain("payments")
        assert drained.complete
        assert running.handled == 1


async def test_the_loop_cannot_wait_for_itself() -> None:
    async with open_tree(tree(Sum)) as running, open_portal(running) as portal:
        calls: tuple[tuple[Callable[[], object], str], ...] = (
            (lambda: portal.tell("sum", Add(1)), "await tree.ref('sum').tell(...)"),
            (lambda: portal.ask("sum", Total()), "await tree.ref('sum').ask(...)"),
            (lambda: portal.signal("sum", {"kind": "slow", "severity": 0.5}), "tree.signal('sum', ...)"),
            (lambda: portal.recovered("sum", "slow"), "tree.recovered('sum', 'slow')"),
            (portal.stop, "tree.stop()"),
            (lambda: portal.call(running.snapshot), "snapshot(...)"),
        )
        for call, instead in calls:
            with pytest.raises(WrongThread, match=re.escape(f"here call {instead}, or")) as refused:
                call()
            assert isinstance(refused.value, RuntimeError)
        assert await running.ref("sum").ask(Total()) == 0
        assert "sum" in {each.path for each in running.snapshot()}


async def test_stop_from_a_thread_ends_the_tree() -> None:
    async with open_tree(tree(Sum)) as running, open_portal(running) as portal:
        await in_thread(portal.stop)
        await running.wait_ended()
