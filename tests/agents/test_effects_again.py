"""A handler that comes to other effects than it came to before: nothing is done twice because of that, unsaid."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from treewarden.agents import ConfigurationError, Done, NotDone, handles
from treewarden.agents.errors import InDoubt
from treewarden.topologies import child

from .effects_desk import Bank, Desk, Pay, Processes, Receipt, desk, left, note, opened
from .effects_desk import processes as processes
from .trees import slot_of


class Stubborn(Desk):
    """Tries again in its handler; its message fails once after that."""

    @handles
    async def pay(self, message: Pay) -> None:
        for _ in range(3):
            try:
                got = await self.charge(message.amount, message.says)
                break
            except (NotDone, InDoubt, ConnectionError, ConfigurationError) as error:
                self.log.append(type(error))
        else:
            raise ValueError("it gave up")
        self.log.append(got)
        if self.log.count(got) <= message.fails:
            raise ValueError("after it had paid")
        self.state = (*self.state, got)


def stubborn(bank: Bank, log: list[Any]) -> Any:
    return child(Stubborn, id="desk", args={"bank": bank, "log": log})


async def test_who_tried_again_after_it_was_not_done_gets_what_came_of_that(
    processes: Processes, autojump_clock: MockClock
) -> None:
    """The first try was passed over, and is so when its message comes again: else it would be done, too."""
    bank, log = Bank(), list[Any]()
    bank.before = [NotDone("refused")]
    async with opened(stubborn(bank, log), journal=processes()) as running:
        await running.ref("desk").tell(Pay(7, fails=1))
        await trio.sleep(60)
        assert log == [NotDone, log[1], NotDone, log[1]]
        assert (len(bank.done), bank.calls, left(running)) == (1, 2, 0)
        assert slot_of(running, "desk").state == (log[1],)


async def test_who_tries_again_while_it_is_in_doubt_does_not_do_it(
    processes: Processes, autojump_clock: MockClock
) -> None:
    bank, log = Bank(), list[Any]()
    bank.raises = [ConnectionError("the line went dead")]
    async with opened(stubborn(bank, log), journal=processes()) as running:
        await running.ref("desk").tell(Pay(7))
        await trio.sleep(60)
        assert log == 6 * [InDoubt]
        (dead,) = await running.dead_letters()
        assert f"its effect 'charge' (key {bank.done[0]}) is in doubt" in dead.reason
        assert (len(bank.done), left(running)) == (1, 0)


@pytest.mark.parametrize("says", ["verify", "idempotent"])
async def test_who_tries_again_before_it_was_verified_has_to_wait(
    processes: Processes, says: str, autojump_clock: MockClock
) -> None:
    bank, log = Bank(), list[Any]()
    bank.raises = [ConnectionError("the line went dead")]
    async with opened(stubborn(bank, log), journal=processes()) as running:
        await running.ref("desk").tell(Pay(7, says=says))
        await trio.sleep(60)
        assert log == [ConnectionError, ConfigurationError, ConfigurationError, log[3]]
        assert len(set(bank.done)) == 1
        assert (left(running), bank.calls) == (0, 1 if says == "verify" else 2)


class Debiting(Desk):
    """The next version of it."""

    async def charge(self, amount: int, says: str = "") -> Receipt:
        return await self.effect("debit", partial(self.bank.charge, amount))


async def test_a_dead_letter_says_what_was_done(processes: Processes, autojump_clock: MockClock) -> None:
    """Whoever puts it back has that done again."""
    bank = Bank()
    async with opened(desk(bank, deliveries=2), journal=processes()) as running:
        await running.ref("desk").tell(Pay(7, fails=5))
        await trio.sleep(60)
        (dead,) = await running.dead_letters()
        assert f"its effect 'charge' (key {bank.done[0]}) was done" in dead.reason
        assert (len(bank.done), left(running)) == (1, 0)


async def test_a_renamed_effect_in_doubt_is_not_done_under_its_new_name(
    processes: Processes, autojump_clock: MockClock
) -> None:
    bank = Bank()
    bank.raises = [ConnectionError("the line went dead")]
    async with opened(desk(bank), journal=processes()) as running:
        await running.ref("desk").tell(Pay(7))
        await trio.sleep(5)
        assert running.snapshot()[0].held
    later = child(Debiting, id="desk", args={"bank": bank, "log": []})
    async with opened(later, journal=processes()) as running:
        await trio.sleep(5)
        running.resume("desk")
        await trio.sleep(5)
        assert running.snapshot()[0].held
        assert "comes to 'debit' instead" in note(running)
        assert len(bank.done) == 1
        (doubt,) = await running.effects()
        await running.answer("desk", Done({"key": doubt.key, "amount": 7}))
        await trio.sleep(5)
        assert (len(bank.done), left(running)) == (2, 0)  # of the old name that is known now, and this is another one
