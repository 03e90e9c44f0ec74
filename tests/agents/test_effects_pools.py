"""Effects of what a handler has asked a pool: when it asks again, another worker may have that."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from treewarden.agents import Agent, Done, MailboxSpec, handles
from treewarden.agents.errors import AgentFailed
from treewarden.supervisor.core.spec import NO_BACKOFF
from treewarden.topologies import child, pool

from .effects_desk import Bank, Order, Paid, Processes, desk, opened
from .effects_desk import processes as processes
from .trees import slot_of

ROUTES = ["round_robin", "least_loaded", "shared"]


class Patient(Agent[int]):
    """Asks a pool until somebody has said what came of it; fails once after that."""

    state = 0

    def __init__(self, log: list[Any]) -> None:
        self.log = log

    @handles
    async def order(self, message: Order) -> None:
        try:
            got = await self.ref("/desks").ask(Paid(message.amount), within=3600)
        except AgentFailed as failed:
            self.log.append(failed)
            await trio.sleep(10)  # the person takes their time, and no restart may be too many
            raise
        self.log.append(got)
        if self.log.count(got) == 1:
            raise ValueError("after it had paid")
        self.state += 1


class Slow(Agent[int]):
    """Asks a pool, and takes its time over the reply."""

    state = 0

    def __init__(self, log: list[Any]) -> None:
        self.log = log

    @handles
    async def order(self, message: Order) -> None:
        self.log.append(await self.ref("/desks").ask(Paid(message.amount), within=3600))
        await trio.sleep(10)
        self.state += 1


def spec(bank: Bank, log: list[Any], route: Any, agent: type[Agent[Any]] = Patient) -> tuple[Any, ...]:
    mailbox = MailboxSpec(deliveries=1000)
    shop = child(agent, id="shop", args={"log": log}, backoff=NO_BACKOFF, mailbox=mailbox)
    return pool(desk(bank), size=3, route=route, id="desks"), shop


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("how", ["death", "kill", "error"])
async def test_another_worker_does_not_do_it_again(
    processes: Processes, how: str, route: str, autojump_clock: MockClock
) -> None:
    bank, log = Bank(), list[Any]()
    if how == "error":
        bank.raises = [ConnectionError("the line went dead")]
    else:
        bank.gate = trio.Event()
    with trio.CancelScope() as power:
        async with opened(*spec(bank, log, route), journal=processes()) as running:
            await running.ref("shop").tell(Order(7))
            await trio.sleep(1)
            if how == "kill":
                (begun,) = await running.effects()
                running.kill(begun.path)
                await trio.sleep(1)
            power.cancel()
            await trio.sleep_forever()
    bank.gate = None
    async with opened(*spec(bank, log, route), journal=processes()) as running:
        await trio.sleep(1)
        assert len(bank.done) == 1
        for doubt in await running.effects():
            assert doubt.key in bank.done
            await running.answer(doubt.path, Done({"key": doubt.key, "amount": 7}))
        for each in running.snapshot():
            if each.held:
                running.resume(each.path)
        await trio.sleep(60)
        assert (slot_of(running, "shop").state, len(bank.done)) == (1, 1)
        assert (await running.effects(), await running.dead_letters()) == ((), ())


@pytest.mark.parametrize("route", ROUTES)
async def test_two_workers_that_come_to_it_at_once_do_it_once(
    processes: Processes, route: str, autojump_clock: MockClock
) -> None:
    """Who had asked was ended and asks again, while a worker still has what it asked before."""
    bank, log = Bank(), list[Any]()
    bank.gate = trio.Event()
    async with opened(*spec(bank, log, route), journal=processes()) as running:
        await running.ref("shop").tell(Order(7))
        await trio.sleep(1)
        running.kill("shop")
        await trio.sleep(1)
        assert len(bank.done) == 1
        bank.gate.set()
        await trio.sleep(60)
        for each in running.snapshot():
            if each.held:
                running.resume(each.path)
        await trio.sleep(60)
        assert len(bank.done) == 1


@pytest.mark.parametrize("route", ROUTES)
async def test_one_that_is_held_since_a_process_before_is_looked_at(
    processes: Processes, route: str, autojump_clock: MockClock
) -> None:
    """Nobody has lived there in this process, and another worker gets the ask."""
    bank, log = Bank(), list[Any]()
    with trio.CancelScope() as power:
        async with opened(*spec(bank, log, route), journal=processes()) as running:
            await running.ref("shop").tell(Order(1))  # the next ask is for the next worker
            await trio.sleep(30)
            bank.raises = [ConnectionError("the line went dead")]
            await running.ref("shop").tell(Order(7))
            await trio.sleep(1)
            assert len(bank.done) == 2
            power.cancel()
            await trio.sleep_forever()
    async with opened(*spec(bank, log, route), journal=processes()) as running:
        await trio.sleep(1)
        assert len(bank.done) == 2
        (doubt,) = await running.effects()
        await running.answer(doubt.path, Done({"key": doubt.key, "amount": 7}))
        for each in running.snapshot():
            if each.held:
                running.resume(each.path)
        await trio.sleep(60)
        assert (slot_of(running, "shop").state, len(bank.done)) == (2, 2)


@pytest.mark.parametrize("route", ROUTES)
async def test_what_one_has_answered_that_is_held_since_a_process_before_is_not_done_anew(
    processes: Processes, route: str, autojump_clock: MockClock
) -> None:
    bank, log, who = Bank(), list[Any](), ""
    with trio.CancelScope() as power:
        async with opened(*spec(bank, log, route, Slow), journal=processes()) as running:
            await running.ref("shop").tell(Order(1))  # the next ask is for the next worker
            await trio.sleep(11)
            before = {each.path: each.handled for each in running.snapshot()}
            await running.ref("shop").tell(Order(7))
            await trio.sleep(1)
            (who,) = [each.path for each in running.snapshot() if each.handled > before[each.path]]
            running.hold(who)
            await trio.sleep(1)
            power.cancel()
            await trio.sleep_forever()
    assert (len(log), len(bank.done)) == (2, 2)
    async with opened(*spec(bank, log, route, Slow), journal=processes()) as running:
        await trio.sleep(20)
        if slot_of(running, "shop").state == 1:  # it has come to the one that is held
            running.resume(who)
            await trio.sleep(20)
        assert slot_of(running, "shop").state == 2
        assert len(bank.done) == 2
        assert log[2] == log[1]
