"""A purse is asked before something is spent: what it has granted is counted once, over crashes and processes."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from attrs import frozen
from trio.testing import MockClock, wait_all_tasks_blocked

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.budget import Exceeded, Spent
from treewarden.agents.core.durability import MESSAGE, VOLATILE, Durability
from treewarden.agents.core.message import Request
from treewarden.agents.errors import AgentFailed, RateLimited
from treewarden.agents.purse import Correct, Left, Purse, Spend, spend
from treewarden.agents.testing import ManualClock, run_handler
from treewarden.supervisor.core.spec import NO_BACKOFF
from treewarden.supervisor.journal.memory import MemoryJournal
from treewarden.topologies.child import child
from treewarden.topologies.toml import loads

from .trees import kept, opened, slot_of

PURSE = child(Purse, args={"most": 10.0, "within": 60.0}, id="purse")


@frozen
class Turn(Request[str]):
    cost: float


class Writer(Agent[int]):
    state = 0

    def __init__(self, log: list[str], errors: list[Exception]) -> None:
        self.log = log
        self.errors = errors

    @handles
    async def turn(self, message: Turn) -> str:
        try:
            await spend(self, "purse", message.cost)
        except RateLimited:
            self.log.append("refused")
            raise
        self.log.append("turn")
        await trio.sleep(1)
        if self.errors:
            raise self.errors.pop(0)
        self.state += 1
        return "done"


def writing(durability: Durability, log: list[str], errors: Any = ()) -> Any:
    return kept(Writer, durability, args={"log": log, "errors": list(errors)}, id="writer", backoff=NO_BACKOFF)


async def test_nothing_is_begun_that_there_is_nothing_left_for(autojump_clock: MockClock) -> None:
    log: list[str] = []
    async with opened(PURSE, writing(MESSAGE, log)) as running:
        for _ in range(5):
            await running.ref("writer").tell(Turn(4.0))
        await trio.sleep(20)
        assert log == ["turn", "turn", "refused"]
        assert await running.ref("purse").ask(Left()) == 2.0
        await trio.sleep(60)
        assert log == ["turn", "turn", "refused", "turn", "turn", "refused"]
        await running.ref("purse").tell(Correct(2.0))  # somebody else has spent it when the time has come
        await trio.sleep(62)
        assert log[6:] == ["turn"]
        assert running.snapshot()[1].restarts == 0


async def test_a_message_that_was_refused_more_than_once_is_handled_in_the_end(autojump_clock: MockClock) -> None:
    """What it was told each time before is kept, and is no answer any more."""
    log: list[str] = []
    async with opened(PURSE, writing(MESSAGE, log)) as running:
        purse = running.ref("purse")
        assert await purse.ask(Spend(10.0)) is None
        await running.ref("writer").tell(Turn(4.0))
        await trio.sleep(30)
        await purse.tell(Correct(8.0))
        await trio.sleep(40)
        assert log == ["refused", "refused"]
        await trio.sleep(30)
        assert log == ["refused", "refused", "turn"]
        assert await purse.ask(Left()) == 6.0


async def test_more_than_there_ever_is_is_a_mistake(autojump_clock: MockClock) -> None:
    async with opened(PURSE, writing(MESSAGE, [])) as running:
        with pytest.raises(AgentFailed, match=r"writer: 11\.0 is more than purse has in all; ask for less"):
            await running.ref("writer").ask(Turn(11.0))


@pytest.mark.parametrize(("durability", "left"), [(MESSAGE, 6.0), (VOLATILE, 6.0)])
async def test_a_crash_after_the_grant_counts_once(
    durability: Durability, left: float, autojump_clock: MockClock
) -> None:
    """The handler that runs again gets the answer that it got before; in memory the message is gone with its life."""
    log: list[str] = []
    async with opened(PURSE, writing(durability, log, [ValueError("once")])) as running:
        await running.ref("writer").tell(Turn(4.0))
        await trio.sleep(10)
        assert log == (["turn", "turn"] if durability is MESSAGE else ["turn"])
        assert await running.ref("purse").ask(Left()) == left


async def test_a_process_that_dies_in_a_turn_has_spent_it_once(autojump_clock: MockClock) -> None:
    log, journal = list[str](), MemoryJournal()
    with trio.CancelScope() as death:
        async with opened(PURSE, writing(MESSAGE, log), journal=journal) as running:
            await running.ref("writer").tell(Turn(4.0))
            await trio.sleep(0.5)
            death.cancel()
    async with opened(PURSE, writing(MESSAGE, log), journal=journal) as running:
        await trio.sleep(5)
        assert slot_of(running, "writer").state == 1
        assert await running.ref("purse").ask(Left()) == 6.0
    assert log == ["turn", "turn"]


async def test_many_who_ask_at_once_get_no_more_than_there_is(autojump_clock: MockClock) -> None:
    granted: list[float] = []

    async with opened(PURSE) as running:

        async def one(amount: float) -> None:
            if await running.ref("purse").ask(Spend(amount)) is None:
                granted.append(amount)

        async with trio.open_nursery() as nursery:
            for amount in (3.0, 4.0, 2.0, 5.0, 1.0) * 5:
                nursery.start_soon(one, amount)
        assert sum(granted) == 10.0
        await running.ref("purse").tell(Correct(-2.5))
        await wait_all_tasks_blocked()
        assert await running.ref("purse").ask(Left()) == 2.5
        await running.ref("purse").tell(Correct(9.0))
        assert await running.ref("purse").ask(Left()) == 0.0
        assert (await running.ref("purse").ask(Spend(11.0))) == Exceeded(0.0, None)


async def test_what_a_clock_that_was_ahead_has_noted_counts_as_of_now() -> None:
    spent, purse = Spent(((4e9, 10.0),)), Purse(10.0, 60.0)
    refused = await run_handler(purse, Spend(1.0), state=spent, clock=ManualClock(wall=1.7e9))
    assert isinstance(refused.reply, Exceeded)
    later = await run_handler(Purse(10.0, 60.0), Spend(1.0), state=refused.state, clock=ManualClock(wall=1.7e9 + 62))
    assert later.reply is None
    again = await run_handler(Purse(10.0, 60.0), Spend(1.0), state=refused.state, clock=ManualClock(wall=1.7e9 + 1))
    assert again.state is refused.state


@pytest.mark.parametrize("amount", [-1, float("nan"), float("inf"), "5", None, True])
def test_what_is_no_amount_is_refused_where_it_is_said(amount: Any) -> None:
    with pytest.raises(ValueError, match=r"amount is .*; give a finite number, 0 or more"):
        Spend(amount)
    if amount != -1:
        with pytest.raises(ValueError, match=r"by is .*; give a finite number"):
            Correct(amount)


async def test_a_purse_that_cannot_be_is_a_start_that_fails(autojump_clock: MockClock) -> None:
    with pytest.raises(Exception, match="did not last") as failed:
        async with opened(child(Purse, args={"most": -5.0})):
            pass
    assert "Purse: most is -5.0; give a finite number above 0" in str(failed.value)


def test_a_file_may_have_one() -> None:
    topology = loads('children = [{ id = "purse", agent = "treewarden.agents:Purse", args = { most = 5.0 } }]')
    assert topology.blueprint.children[0] == child(Purse, args={"most": 5.0}, id="purse")
