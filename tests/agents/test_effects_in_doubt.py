"""An effect of which nobody knows whether it was done: its agent is held, and a person says what came of it."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from treewarden.agents import (
    ConfigurationError,
    Done,
    GiveUp,
    NotDone,
)
from treewarden.agents.core.exit import Failed, describe
from treewarden.agents.core.path import Path
from treewarden.agents.errors import InDoubt
from treewarden.supervisor import ladder, otp
from treewarden.supervisor.core.case import counts
from treewarden.supervisor.core.event import DeadLettered, EffectNoted
from treewarden.supervisor.core.signal import ChildExited
from treewarden.supervisor.journal.port import Commit, ReturnedRow
from treewarden.supervisor.recovery import DEATHS
from treewarden.topologies import pool
from treewarden.topologies.running import Tree

from .effects_desk import Bank, Pay, Processes, Receipt, desk, left, note, opened
from .effects_desk import processes as processes
from .trees import happened, slot_of


@pytest.mark.parametrize("policy", [ladder(), otp()], ids=lambda policy: policy.name)
@pytest.mark.parametrize("deliveries", [1, 2])
async def test_what_raised_is_in_doubt_and_nobody_runs_it_again(
    processes: Processes, policy: Any, deliveries: int, autojump_clock: MockClock
) -> None:
    bank = Bank()
    bank.raises = [ConnectionError("the line went dead")]
    async with opened(desk(bank, deliveries=deliveries), journal=processes(), policy=policy) as running:
        await running.ref("desk").tell(Pay(7))
        await trio.sleep(1)
        (held,) = running.snapshot()
        (doubt,) = await running.effects()
        assert held.held
        assert (held.mailbox, bank.calls) == (1, 1)
        for said in ("'charge' of Pay", doubt.key, doubt.message, "begun at 1970-01-01 00:00:00+00:00", "went dead"):
            assert said in held.note
        assert (doubt.path, doubt.effect, doubt.kind, doubt.under_way) == ("desk", "charge", "Pay", False)
        running.resume("desk")  # without an answer: held again, and not counted
        await trio.sleep(1)
        running.resume("desk")
        await trio.sleep(1)
        assert (running.snapshot()[0].held, bank.calls) == (True, 1)
        assert "its end was not seen" in note(running)
        assert await running.dead_letters() == ()
        await running.answer("desk", Done(Receipt(doubt.key, 7)), by="ada")
        await trio.sleep(1)
        assert slot_of(running, "desk").state == (Receipt(doubt.key, 7),)
        assert (bank.calls, left(running), note(running)) == (1, 0, "")
        assert await running.effects() == ()
        said = [(each.what, each.by) for each in await happened(running, EffectNoted, 3)]
        assert said == [("begun", ""), ("in doubt", ""), ("done", "ada")]


async def test_a_person_says_that_it_was_not_done(processes: Processes, autojump_clock: MockClock) -> None:
    bank = Bank()
    bank.before = [ConnectionError("refused")]
    async with opened(desk(bank), journal=processes()) as running:
        await running.ref("desk").tell(Pay(7))
        await trio.sleep(1)
        (doubt,) = await running.effects()
        await running.answer("desk", NotDone(), key=doubt.key)
        await trio.sleep(1)
        assert slot_of(running, "desk").state == (Receipt(doubt.key, 7),)
        assert (bank.calls, bank.done, left(running)) == (2, [doubt.key], 0)


async def test_a_person_gives_its_message_up(processes: Processes, autojump_clock: MockClock) -> None:
    bank = Bank()
    bank.raises = [ConnectionError("the line went dead")]
    async with opened(desk(bank), journal=processes()) as running:
        await running.ref("desk").tell(Pay(7))
        await trio.sleep(1)
        await running.ref("desk").tell(Pay(8))
        await running.answer("desk", GiveUp(), by="ada")
        await trio.sleep(1)
        (dead,) = await running.dead_letters()
        assert dead.reason.startswith("ada gave it up over its effect 'charge' (key ")
        assert dead.reason.endswith(" is in doubt")
        assert [each.amount for each in slot_of(running, "desk").state] == [8]  # type: ignore[union-attr]
        assert (bank.calls, left(running)) == (2, 0)


@pytest.mark.parametrize("said", ["done", "not done", "give up"])
async def test_it_is_answered_in_another_process(processes: Processes, said: str, autojump_clock: MockClock) -> None:
    """The agent is held from the beginning there, and has not been read."""
    bank = Bank()
    bank.raises = [ConnectionError("the line went dead")]
    async with opened(desk(bank), journal=processes()) as running:
        await running.ref("desk").tell(Pay(7))
        await trio.sleep(1)
    async with opened(desk(bank), journal=processes()) as running:
        await trio.sleep(1)
        assert (running.snapshot()[0].held, bank.calls) == (True, 1)
        (doubt,) = await running.effects("desk")
        with pytest.raises(ConfigurationError, match="is no JSON"):
            await running.answer("desk", Done(Receipt(doubt.key, 7)))
        answers = {"done": Done({"key": doubt.key, "amount": 9}), "not done": NotDone(), "give up": GiveUp()}
        await running.answer("desk", answers[said])
        await trio.sleep(1)
        assert (running.snapshot()[0].held, left(running)) == (False, 0)
        if said == "give up":
            (letter,) = await running.dead_letters()
            (fact,) = await happened(running, DeadLettered)
            assert (fact.path, fact.message, fact.kind, fact.reason) == (
                letter.path, letter.id, letter.kind, letter.reason,
            )  # fmt: skip
        else:
            assert slot_of(running, "desk").state == (Receipt(doubt.key, 9 if said == "done" else 7),)
        assert bank.calls == (2 if said == "not done" else 1)


async def test_what_a_person_says_has_to_fit(processes: Processes, autojump_clock: MockClock) -> None:
    bank = Bank()
    bank.raises = [ConnectionError("the line went dead")]
    async with opened(desk(bank), journal=processes()) as running:
        await running.ref("desk").tell(Pay(7))
        await trio.sleep(1)
        with pytest.raises(ConfigurationError, match="'charge' does not return 5: "):
            await running.answer("desk", Done(5))
        with pytest.raises(ConfigurationError, match=r"no effect has the key x there, but [0-9a-f]{32}; "):
            await running.answer("desk", NotDone(), key="x")
        with pytest.raises(ConfigurationError, match="'yes' says nothing of an effect; say Done"):
            await running.answer("desk", "yes")
        with pytest.raises(ConfigurationError, match="nowhere: no effect is in doubt there"):
            await running.answer("nowhere", NotDone())
    async with opened(desk(bank), journal=processes()) as running:
        await trio.sleep(1)
        await running.answer("desk", Done({"key": 5}))  # nobody here knows what it returns
        await trio.sleep(1)
        assert "what a person has said came of it does not fit, say it again: " in note(running)
        assert bank.calls == 1


@pytest.mark.parametrize("again", [False, True])
async def test_what_does_not_fit_can_be_said_anew(processes: Processes, again: bool, autojump_clock: MockClock) -> None:
    """In the process that found that it does not, and in the next one."""
    bank = Bank()
    bank.raises = [ConnectionError("the line went dead")]
    async with opened(desk(bank), journal=processes()) as running:
        await running.ref("desk").tell(Pay(7))
        await trio.sleep(1)
    async with opened(desk(bank), journal=processes()) as running:
        await trio.sleep(1)
        await running.answer("desk", Done("paid"))
        await trio.sleep(1)
        if not again:
            await _say_anew(running, bank, "'charge' does not return 5: ")
    if again:
        async with opened(desk(bank), journal=processes()) as running:
            await trio.sleep(1)
            await _say_anew(running, bank, "")


async def _say_anew(running: Tree, bank: Bank, fault: str) -> None:
    (doubt,) = await running.effects()
    assert f"(key {doubt.key}), begun at 1970-01-01 00:00:00+00:00, was done, and" in note(running)
    if fault:  # who has run it knows what it returns
        with pytest.raises(ConfigurationError, match=fault):
            await running.answer("desk", Done(5))
    await running.answer("desk", Done({"key": doubt.key, "amount": 9}))
    await trio.sleep(1)
    assert slot_of(running, "desk").state == (Receipt(doubt.key, 9),)
    assert (bank.calls, left(running), note(running)) == (1, 0, "")


async def test_a_life_that_is_killed_in_it_leaves_it_in_doubt(processes: Processes, autojump_clock: MockClock) -> None:
    bank = Bank()
    bank.gate = trio.Event()
    async with opened(desk(bank), journal=processes()) as running:
        await running.ref("desk").tell(Pay(7))
        await trio.sleep(1)
        (under,) = await running.effects()
        assert under.under_way
        with pytest.raises(ConfigurationError, match="the call of 'charge' still runs"):
            await running.answer("desk", NotDone())
        running.kill("desk")
        await trio.sleep(1)
        assert (bank.calls, running.snapshot()[0].held) == (1, True)
        (doubt,) = await running.effects()
        assert not doubt.under_way


async def test_what_comes_late_of_a_life_that_was_left_behind_is_true(
    processes: Processes, autojump_clock: MockClock
) -> None:
    """The call shields itself from its cancellation: its life is a zombie, and its result is what happened outside."""
    bank = Bank()
    bank.gate = trio.Event()

    async def charge(amount: int, key: str) -> Receipt:
        with trio.CancelScope(shield=True):
            await Bank.charge(bank, amount, key)
        return Receipt(key, amount)

    bank.charge = charge
    async with opened(desk(bank), journal=processes()) as running:
        await running.ref("desk").tell(Pay(7, "idempotent"))
        await trio.sleep(1)
        running.kill("desk")
        await trio.sleep(60)
        assert (bank.calls, running.zombies) == (1, ("desk",))
        assert "is still running in an earlier life" in note(running), "not even what is idempotent runs beside itself"
        bank.gate.set()
        await trio.sleep(1)
        assert (running.zombies, await running.effects()) == ((), ())
        assert slot_of(running, "desk").state == (Receipt(bank.done[0], 7),)
        assert (bank.calls, left(running)) == (1, 0)


@pytest.mark.parametrize("route", ["shared", "round_robin"])
async def test_of_a_pool_one_waits_and_the_others_go_on(
    processes: Processes, route: Any, autojump_clock: MockClock
) -> None:
    bank, log = Bank(), list[Any]()
    bank.raises = [ConnectionError("the line went dead")]
    desks = pool(desk(bank, log), size=3, route=route, id="desks")
    async with opened(desks, journal=processes()) as running:
        for amount in range(6):
            await running.ref("desks").tell(Pay(amount))
        await trio.sleep(1)
        assert [each.held for each in running.snapshot()].count(True) == 1
        assert len(log) == (5 if route == "shared" else 4)
    async with opened(desks, journal=processes()) as running:
        await trio.sleep(1)
        (doubt,) = await running.effects()
        assert bank.calls == 6 if route == "shared" else 5
        await running.answer("desks", Done({"key": doubt.key, "amount": 100}))
        await trio.sleep(1)
        assert not any(each.held for each in running.snapshot())
        amounts = sorted(each.amount for got in log for each in got)
        assert amounts[-1] == 100
        assert (len(amounts), len(set(bank.done)), bank.calls) == (6, 6, 6)
        assert await running.effects() == ()


async def test_three_deaths_do_not_set_aside_what_waits_for_a_person(
    processes: Processes, autojump_clock: MockClock
) -> None:
    bank = Bank()
    bank.raises = [ConnectionError("the line went dead")]
    async with opened(desk(bank), journal=processes()) as running:
        await running.ref("desk").tell(Pay(7))
        await trio.sleep(1)
        path = running.ref("desk").path
    async with processes() as journal:
        (row,) = (await journal.recover(path)).messages
        await journal.commit(Commit(returned=(ReturnedRow(row.row, 0, deaths=DEATHS),)))
    async with opened(desk(bank), journal=processes()) as running:
        running.resume("desk")
        await trio.sleep(1)
        assert await running.dead_letters() == ()
        assert (len(await running.effects()), bank.calls) == (1, 1)


def test_it_counts_towards_no_intensity() -> None:
    doubt = InDoubt("text", path=Path("desk"), name="charge", key="k", since=0.0)
    for error, counted in ((doubt, False), (ValueError("text"), True)):
        signal = ChildExited(path=Path("desk"), at=0.0, incarnation=1, exit=Failed(describe(error)), uptime=1.0)
        assert counts(signal, desk(Bank())) is counted


async def test_what_cannot_be_stored_was_done_all_the_same(processes: Processes, autojump_clock: MockClock) -> None:
    bank = Bank()

    async def charge(amount: int, key: str) -> Receipt:
        await Bank.charge(bank, amount, key)
        return None  # type: ignore[return-value]

    bank.charge = charge
    async with opened(desk(bank), journal=processes()) as running:
        await running.ref("desk").tell(Pay(7))
        await trio.sleep(1)
        assert "was done, and what it returned cannot be stored: it is None, and " in note(running)
        (doubt,) = await running.effects()
        await running.answer("desk", Done(Receipt(doubt.key, 7)))
        await trio.sleep(1)
        assert (bank.calls, len(bank.done), left(running)) == (1, 1, 0)


async def test_a_dead_letter_says_what_is_in_doubt(processes: Processes, autojump_clock: MockClock) -> None:
    bank = Bank()
    bank.raises = [ConnectionError("the line went dead")] * 2
    async with opened(desk(bank), journal=processes()) as running:
        await running.ref("desk").tell(Pay(7, "idempotent"))
        await happened(running, DeadLettered)
        await trio.sleep(1)
        (dead,) = await running.dead_letters()
        assert dead.reason.endswith(f"; its effect 'charge' (key {bank.done[0]}) is in doubt")
        assert (bank.calls, left(running)) == (2, 0)


@pytest.mark.parametrize("others", [[NotDone()], [GiveUp()], [Done(Receipt("other", 8)), NotDone()]])
async def test_of_several_who_answer_at_once_one_is_heard(
    processes: Processes, others: list[Any], autojump_clock: MockClock
) -> None:
    """Each had been told that it was applied, and it ran again although somebody had said that it was done."""
    bank, heard, refused = Bank(), list[Any](), list[str]()
    bank.raises = [ConnectionError("the line went dead")]

    async def say(running: Tree, said: Any) -> None:
        try:
            await running.answer("desk", said)
        except ConfigurationError as error:
            refused.append(str(error))
        else:
            heard.append(said)

    async with opened(desk(bank), journal=processes()) as running:
        await running.ref("desk").tell(Pay(7))
        await trio.sleep(1)
        (doubt,) = await running.effects()
        async with trio.open_nursery() as nursery:
            for said in (Done(Receipt(doubt.key, 7)), *others):
                nursery.start_soon(say, running, said)
        await trio.sleep(1)
        (applied,) = heard
        assert len(refused) == len(others)
        for text in refused:  # while that goes on, or when it is over
            assert "somebody else says what came of it" in text or "no effect is in doubt there" in text
        assert bank.calls == (2 if isinstance(applied, NotDone) else 1)
        assert len(await running.dead_letters()) == isinstance(applied, GiveUp)
        assert await running.effects() == ()
