"""Effects of handlers that are asked: a handler asks again, and somebody outside does not."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from treewarden.agents import (
    Agent,
    AgentFailed,
    AskTimeout,
    DeliveryError,
    Done,
    GiveUp,
    NotDone,
    RateLimited,
    handles,
)
from treewarden.supervisor.core.event import EffectNoted
from treewarden.supervisor.core.spec import NO_BACKOFF
from treewarden.supervisor.effects import Effects
from treewarden.topologies import child

from .effects_desk import Bank, Desk, Order, Paid, Processes, Receipt, Shop, desk, left, opened
from .effects_desk import processes as processes
from .trees import happened, slot_of


def _no_time(_steps: Effects, _message: str) -> None:
    """What a process does that dies."""


async def test_an_ask_of_a_handler_is_told_and_asks_again(processes: Processes, autojump_clock: MockClock) -> None:
    bank, log = Bank(), list[Any]()
    bank.raises = [ConnectionError("the line went dead")]
    shop = child(Shop, args={"log": log}, backoff=NO_BACKOFF)
    async with opened(desk(bank), shop, journal=processes()) as running:
        await running.ref("shop").tell(Order(7))
        await trio.sleep(1)
        assert isinstance(log[0], AgentFailed)
        assert not log[0].retry_safe
        assert "InDoubt" in str(log[0])
        (doubt,) = await running.effects("desk")
        assert doubt.kind == "Paid"
        await running.answer("desk", Done(Receipt(doubt.key, 7)))
        await trio.sleep(1)
        assert log[1:] == [Receipt(doubt.key, 7)]
        assert (bank.calls, slot_of(running, "shop").state, left(running)) == (1, 1, 0)


async def test_an_ask_from_outside_leaves_nothing_behind(processes: Processes, autojump_clock: MockClock) -> None:
    bank = Bank()
    async with opened(desk(bank), journal=processes()) as running:
        asked = running.ref("desk")
        first, second = await asked.ask(Paid(1)), await asked.ask(Paid(1))
        assert first.key != second.key
        assert left(running) == 0
        bank.raises = [ConnectionError("the line went dead")]
        with pytest.raises(AgentFailed, match="went dead") as failed:
            await asked.ask(Paid(2))
        assert not failed.value.retry_safe
        await trio.sleep(1)
        assert (left(running), running.snapshot()[0].held) == (0, False)
        assert [each.what for each in await happened(running, EffectNoted, 6)][4:] == ["begun", "in doubt"]
        bank.before = [RateLimited(0.5)]
        assert (await asked.ask(Paid(3), within=10)).amount == 3
        assert left(running) == 0
    recovered = processes()
    async with recovered as journal:
        assert (await journal.recover(running.ref("desk").path)).replies == ()


class Slowed(Desk):
    """Pays, and is asked to slow down by the next thing that it does."""

    @handles
    async def paid(self, message: Paid) -> Receipt:
        await self.charge(message.amount)
        raise RateLimited(60)


@pytest.mark.parametrize("stopped", [False, True], ids=["expired", "stopped"])
async def test_an_ask_that_waits_again_and_is_given_up_leaves_nothing_behind(
    processes: Processes, stopped: bool, autojump_clock: MockClock
) -> None:
    bank = Bank()
    spec = child(Slowed, id="desk", args={"bank": bank, "log": []})
    async with opened(spec, journal=processes()) as running:
        path = running.ref("desk").path
        async with trio.open_nursery() as nursery:

            async def ask() -> None:
                with pytest.raises(DeliveryError):
                    await running.ref("desk").ask(Paid(7), within=1000 if stopped else 5)

            nursery.start_soon(ask)
            await trio.sleep(3)
            assert (left(running), len(bank.done)) == (2, 1)
            if stopped:
                await running.supervisor().terminate_child("desk")
            await trio.sleep(100)
        if stopped:
            await running.supervisor().restart_child("desk")
        assert (left(running), len(bank.done)) == (0, 1)
    async with processes() as journal:
        assert (await journal.recover(path)).replies == ()


class Patient(Agent[int]):
    """Goes on without a reply, and settles."""

    state = 0

    @handles
    async def order(self, message: Order) -> None:
        with pytest.raises(AskTimeout):
            await self.ref("../desk").ask(Paid(message.amount), within=0.5)
        self.state += 1


@pytest.mark.parametrize("ended", ["raised", "in doubt", "stopped"])
async def test_what_begins_when_its_asker_has_settled_leaves_nothing_behind(
    processes: Processes, ended: str, autojump_clock: MockClock
) -> None:
    """It stayed until the next process: an ask that fails is asked again, but for this one."""
    bank = Bank()

    class Late(Desk):
        @handles
        async def paid(self, message: Paid) -> Receipt:
            await trio.sleep(1)
            await self.charge(message.amount)
            if ended == "stopped":
                await trio.sleep(100)
            raise ValueError("unlucky")

    if ended == "in doubt":
        bank.raises = [ConnectionError("the line went dead")]
    spec = child(Late, id="desk", args={"bank": bank, "log": []}, backoff=NO_BACKOFF)
    async with opened(spec, child(Patient, id="shop"), journal=processes()) as running:
        await running.ref("shop").tell(Order(7))
        await trio.sleep(3)
        if ended == "stopped":
            assert left(running) == 2
            await running.supervisor().terminate_child("desk")
            await running.supervisor().restart_child("desk")
        assert (slot_of(running, "shop").state, left(running), len(bank.done)) == (1, 0, 1)
        assert await running.effects() == ()
    async with processes() as journal:
        assert (await journal.recover(running.ref("desk").path)).replies == ()


@pytest.mark.parametrize("said", [Done({"key": "k", "amount": 7}), NotDone(), GiveUp()], ids=["done", "not", "up"])
async def test_an_ask_whose_process_died_stays_to_be_seen(
    processes: Processes, said: Any, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """Nobody is held, for it does not come again; and what a person says of it leaves nothing behind."""
    bank = Bank()
    bank.gate = trio.Event()
    monkeypatch.setattr(Effects, "forget", _no_time)
    with trio.CancelScope() as power:
        async with opened(desk(bank), journal=processes()) as running, trio.open_nursery() as nursery:
            nursery.start_soon(running.ref("desk").ask, Paid(7))
            await trio.sleep(1)
            power.cancel()
            await trio.sleep_forever()
    monkeypatch.undo()
    bank.gate = None
    async with opened(desk(bank), journal=processes()) as running:
        await trio.sleep(1)
        (doubt,) = await running.effects()
        assert (doubt.kind, running.snapshot()[0].held) == ("Paid", False)
        assert (await running.ref("desk").ask(Paid(8))).amount == 8  # nobody waits for the other one
        await running.answer("desk", said)
        assert (await running.effects(), left(running), bank.calls) == ((), 0, 2)
        path = running.ref("desk").path
    async with processes() as journal:
        assert (await journal.recover(path)).replies == ()


async def test_what_was_done_for_an_ask_whose_process_died_is_swept(
    processes: Processes, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    bank, paid = Bank(), trio.Event()

    class Slow(Desk):
        @handles
        async def paid(self, message: Paid) -> Receipt:
            await self.charge(message.amount)
            paid.set()
            await trio.sleep_forever()
            raise AssertionError

    spec = child(Slow, id="desk", args={"bank": bank, "log": []})
    monkeypatch.setattr(Effects, "forget", _no_time)
    with trio.CancelScope() as power:
        async with opened(spec, journal=processes()) as running, trio.open_nursery() as nursery:
            nursery.start_soon(running.ref("desk").ask, Paid(7))
            await paid.wait()
            power.cancel()
            await trio.sleep_forever()
    monkeypatch.undo()
    async with opened(spec, journal=processes()) as running:
        await trio.sleep(1)
        assert (await running.effects(), left(running)) == ((), 0)
        path = running.ref("desk").path
    async with processes() as journal:
        assert (await journal.recover(path)).replies == ()
