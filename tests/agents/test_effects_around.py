"""What happens around an agent whose effect is under way: its siblings fail, or it is drained."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from treewarden.agents import Agent, Done, handles
from treewarden.supervisor import Strategy
from treewarden.supervisor.core.spec import NO_BACKOFF
from treewarden.topologies import child

from .effects_desk import Bank, Pay, Processes, Receipt, desk, left, opened
from .effects_desk import processes as processes
from .trees import slot_of


class Neighbour(Agent[int]):
    state = 0

    @handles
    async def fail(self, message: str) -> None:
        raise ValueError(message)


@pytest.mark.parametrize("strategy", [Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE], ids=lambda each: each.name)
async def test_a_sibling_that_takes_it_along_leaves_it_in_doubt(
    processes: Processes, strategy: Strategy, autojump_clock: MockClock
) -> None:
    bank = Bank()
    bank.gate = trio.Event()
    children = (child(Neighbour, backoff=NO_BACKOFF), desk(bank))
    async with opened(*children, journal=processes(), strategy=strategy) as running:
        await running.ref("desk").tell(Pay(7))
        await trio.sleep(1)
        await running.ref("neighbour").tell("broken")
        await trio.sleep(60)
        (doubt,) = await running.effects()
        assert (bank.calls, running.snapshot()[1].held, doubt.under_way) == (1, True, False)
        await running.answer("desk", Done(Receipt(doubt.key, 7)), by="ada")
        await trio.sleep(5)
        assert slot_of(running, "desk").state == (Receipt(bank.done[0], 7),)
        assert (bank.calls, left(running)) == (1, 0)


async def test_a_drain_waits_for_it(processes: Processes, autojump_clock: MockClock) -> None:
    bank = Bank()
    bank.gate = trio.Event()
    async with opened(desk(bank), journal=processes()) as running, trio.open_nursery() as nursery:
        await running.ref("desk").tell(Pay(7))
        await trio.sleep(1)
        nursery.start_soon(running.drain, "desk")
        await trio.sleep(10)
        bank.gate.set()
        await trio.sleep(10)
        await running.supervisor().restart_child("desk")
        assert slot_of(running, "desk").state == (Receipt(bank.done[0], 7),)
        assert (bank.calls, left(running), await running.dead_letters()) == (1, 0, ())


async def test_a_drain_that_is_over_before_it_leaves_it_in_doubt(
    processes: Processes, autojump_clock: MockClock
) -> None:
    bank = Bank()
    bank.gate = trio.Event()
    async with opened(desk(bank), journal=processes()) as running:
        await running.ref("desk").tell(Pay(7))
        await trio.sleep(1)
        drained = await running.drain("desk", within=1)
        assert (drained.left, await running.dead_letters()) == ({"desk": 1}, ())
        (doubt,) = await running.effects()
        await running.supervisor().restart_child("desk")
        await trio.sleep(10)
        assert (bank.calls, running.snapshot()[0].held) == (1, True)
        await running.answer("desk", Done(Receipt(doubt.key, 7)), by="ada")
        await trio.sleep(5)
        assert (bank.calls, left(running), await running.effects()) == (1, 0, ())
