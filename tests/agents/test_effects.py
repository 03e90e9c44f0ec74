"""An act on the world outside is done once for its message: whenever that comes again, its result is replayed."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from treewarden.agents import (
    InDoubt,
    NotDone,
    RateLimited,
    Stash,
    handles,
)
from treewarden.supervisor.core.event import DeadLettered, EffectNoted
from treewarden.topologies import child

from .effects_desk import Bank, Desk, Order, Pay, Processes, Receipt, desk, left, note, opened
from .effects_desk import processes as processes
from .trees import happened, slot_of


async def test_a_handler_that_runs_again_does_it_once(processes: Processes, autojump_clock: MockClock) -> None:
    bank, log = Bank(), list[Any]()
    async with opened(desk(bank, log, deliveries=3), journal=processes()) as running:
        await running.ref("desk").tell(Pay(5, times=2, fails=2))
        await trio.sleep(1)
        first, second = log[0]
        assert log == [[first, second]] * 3
        assert (bank.calls, bank.done) == (2, [first.key, second.key])
        assert first.key != second.key
        assert slot_of(running, "desk").state == (first, second)
        assert left(running) == 0
        said = [(each.effect, each.what) for each in await happened(running, EffectNoted, 4)]
        assert said == [("charge", "begun"), ("charge", "done")] * 2
        await running.ref("desk").tell(Pay(6))
        await trio.sleep(1)
        assert (bank.calls, left(running)) == (3, 0)


async def test_the_next_process_knows_what_was_done(processes: Processes, autojump_clock: MockClock) -> None:
    bank, log = Bank(), list[Any]()

    class Slow(Desk):
        @handles
        async def pay(self, message: Pay) -> None:
            got = await self.charge(message.amount)
            self.log.append(got)
            if len(self.log) == 1:
                await trio.sleep_forever()
            self.state = (got,)

    spec = child(Slow, id="desk", args={"bank": bank, "log": log})
    with trio.CancelScope() as power:
        async with opened(spec, journal=processes()) as running:
            await running.ref("desk").tell(Pay())
            await trio.sleep(1)
            assert len(log) == 1
            power.cancel()
            await trio.sleep_forever()
    async with opened(spec, journal=processes()) as running:
        await trio.sleep(1)
        assert log == [log[0]] * 2
        assert (bank.calls, left(running)) == (1, 0)
        assert slot_of(running, "desk").state == (log[0],)


async def test_what_is_idempotent_runs_again_under_its_key(processes: Processes, autojump_clock: MockClock) -> None:
    bank = Bank()
    bank.raises = [ConnectionError("the line went dead")]
    async with opened(desk(bank), journal=processes()) as running:
        await running.ref("desk").tell(Pay(7, "idempotent"))
        await trio.sleep(1)
        first, second = bank.done
        assert first == second
        assert slot_of(running, "desk").state == (Receipt(first, 7),)
        assert left(running) == 0


@pytest.mark.parametrize("refusal", [NotDone("no money"), RateLimited(0.5)], ids=["not done", "rate limited"])
async def test_a_call_may_say_that_it_was_not_done(
    processes: Processes, refusal: Exception, autojump_clock: MockClock
) -> None:
    bank = Bank()
    bank.before = [refusal]
    async with opened(desk(bank), journal=processes()) as running:
        await running.ref("desk").tell(Pay(7))
        await trio.sleep(2)
        assert (bank.calls, len(bank.done), left(running)) == (2, 1, 0)
        assert running.snapshot()[0].restarts == (1 if isinstance(refusal, NotDone) else 0)
        said = [each.what for each in await happened(running, EffectNoted, 4)]
        assert said == ["begun", "not done", "begun", "done"]


async def test_a_stashed_message_comes_back_with_its_steps(processes: Processes, autojump_clock: MockClock) -> None:
    bank = Bank()

    class Later(Desk):
        @handles
        async def pay(self, message: Pay) -> None:
            got = await self.charge(message.amount)
            if not self.log:
                self.log.append(got)
                self.after(1, Order())
                raise Stash
            self.state = (got,)

        @handles
        def order(self, message: Order) -> None:
            self.unstash()

    async with opened(child(Later, id="desk", args={"bank": bank, "log": []}), journal=processes()) as running:
        await running.ref("desk").tell(Pay(7))
        await trio.sleep(2)
        assert (bank.calls, len(slot_of(running, "desk").state), left(running)) == (1, 1, 0)  # type: ignore[arg-type]


async def test_a_dead_letter_takes_its_steps_along(processes: Processes, autojump_clock: MockClock) -> None:
    bank = Bank()
    async with opened(desk(bank), journal=processes()) as running:
        await running.ref("desk").tell(Pay(7, fails=99))
        await happened(running, DeadLettered)
        await trio.sleep(1)
        assert (bank.calls, left(running)) == (1, 0)


async def test_a_handler_that_catches_the_doubt_goes_on(processes: Processes, autojump_clock: MockClock) -> None:
    bank = Bank()
    bank.raises = [ConnectionError("the line went dead")]

    class Brave(Desk):
        @handles
        async def pay(self, message: Pay) -> None:
            try:
                await self.charge(message.amount)
            except InDoubt as doubt:
                self.log.append((doubt.path, doubt.name, doubt.since, doubt.key))

    log: list[Any] = []
    async with opened(child(Brave, id="desk", args={"bank": bank, "log": log}), journal=processes()) as running:
        await running.ref("desk").tell(Pay(7))
        await trio.sleep(1)
        assert log == [("desk", "charge", 0.0, bank.done[0])]
        assert (running.snapshot()[0].held, left(running)) == (False, 0)


async def test_verify_is_asked_on_the_next_delivery(processes: Processes, autojump_clock: MockClock) -> None:
    bank, log = Bank(), list[Any]()
    bank.raises = [ConnectionError("the line went dead")]
    async with opened(desk(bank, log), journal=processes()) as running:
        await running.ref("desk").tell(Pay(7, "verify"))
        await trio.sleep(1)
        assert (bank.calls, bank.asked, len(bank.done)) == (1, 1, 1)
        assert slot_of(running, "desk").state == (Receipt(bank.done[0], 7),)
        said = [(each.what, each.by) for each in await happened(running, EffectNoted, 3)]
        assert said == [("begun", ""), ("in doubt", ""), ("done", "verify")]
        bank.before = [ConnectionError("refused")]
        await running.ref("desk").tell(Pay(8, "verify"))
        await trio.sleep(1)
        assert (bank.calls, bank.asked, len(bank.done)) == (3, 2, 2)
        assert left(running) == 0


@pytest.mark.parametrize("says", ["nothing", "raises"])
async def test_a_verify_that_cannot_say_leaves_it_to_a_person(
    processes: Processes, says: str, autojump_clock: MockClock
) -> None:
    bank = Bank()
    bank.raises = [ConnectionError("the line went dead")]

    async def look(amount: int, key: str) -> Any:
        if says == "raises":
            raise OSError("no answer")

    bank.look = look
    async with opened(desk(bank), journal=processes()) as running:
        await running.ref("desk").tell(Pay(7, "verify"))
        await trio.sleep(1)
        assert "could not be verified: " in note(running)
        assert ("OSError: no answer" if says == "raises" else "verify returned None") in note(running)
        assert (bank.calls, running.snapshot()[0].held) == (1, True)


async def test_a_run_that_was_refused_says_nothing_of_the_one_before(
    processes: Processes, autojump_clock: MockClock
) -> None:
    bank = Bank()
    bank.raises = [ConnectionError("the line went dead")]

    async def charge(amount: int, key: str) -> Receipt:
        if bank.calls == 1:
            bank.before = [RateLimited(5)]
        return await Bank.charge(bank, amount, key)

    bank.charge = charge
    async with opened(desk(bank), journal=processes()) as running:
        await running.ref("desk").tell(Pay(7, "idempotent"))
        await trio.sleep(2)
        assert bank.calls == 2
        assert len(await running.effects()) == 1, "the first run may have done it"
        await trio.sleep(10)
        assert [each.amount for each in slot_of(running, "desk").state] == [7]  # type: ignore[union-attr]
        assert (bank.calls, left(running)) == (3, 0)


async def test_a_second_run_that_is_killed_before_it_begins_is_not_under_way(
    processes: Processes, autojump_clock: MockClock
) -> None:
    bank = Bank()
    bank.raises = [ConnectionError("the line went dead")]

    async def look(amount: int, key: str) -> NotDone:
        bank.asked += 1
        if bank.asked == 1:
            running.kill("desk")  # heeded at the next step
        return NotDone()

    bank.look = look
    async with opened(desk(bank, deliveries=4), journal=processes()) as running:
        await running.ref("desk").tell(Pay(7, "verify"))
        await trio.sleep(5)
        assert (bank.asked, bank.calls, running.snapshot()[0].held) == (2, 2, False)
        assert left(running) == 0
