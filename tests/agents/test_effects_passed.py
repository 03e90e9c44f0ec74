"""An effect in doubt to which the code of a later release does not come any more is not forgotten with the settle."""

from __future__ import annotations

import pytest
import trio
import trio.testing
from attrs import frozen
from trio.testing import MockClock

from treewarden.agents import Agent, Done, GiveUp, NotDone, handles
from treewarden.topologies import child, open_tree, tree
from treewarden.topologies.running import Tree

from .effects_desk import Processes, note
from .effects_desk import processes as processes

BANK: list[str] = []


@frozen
class Pay:
    cents: int


async def charge(key: str) -> str:
    BANK.append(key)
    raise ConnectionError("the line went dead")


class Before(Agent[int]):
    state = 0

    @handles
    async def pay(self, message: Pay) -> None:
        await self.effect("charge", charge)
        self.state += 1


class Payer(Agent[int]):
    """Who pays in the next release."""

    state = 0

    @handles
    async def pay(self, message: Pay) -> None:
        async def pay(key: str) -> str:
            BANK.append(key)
            return key

        await self.effect("charge", pay)
        self.state += 1


class After(Agent[int]):
    state = 0

    @handles
    async def pay(self, message: Pay) -> None:
        await self.ref("../payer").tell(message)
        self.state += 1


async def settled(running: Tree, said: Done[str] | NotDone | GiveUp, paid: int, dead: int) -> None:
    await trio.testing.wait_all_tasks_blocked()
    assert "began, and its handler does not come to it any more" in note(running)
    assert len(BANK) == 1
    (doubt,) = await running.effects()
    await running.answer("desk", said, key=doubt.key)
    await running.drain("desk")
    await running.drain("payer")
    assert (len(BANK), len(await running.dead_letters())) == (paid, dead)
    assert await running.effects() == ()


@pytest.mark.parametrize("reload", [True, False], ids=["a reload", "the next process"])
@pytest.mark.parametrize(
    ("said", "paid", "dead"),
    [(Done("k"), 2, 0), (NotDone(), 2, 0), (GiveUp(), 1, 1)],
    ids=["done", "not done", "given up"],
)
async def test_a_release_that_does_it_elsewhere_is_held_until_somebody_knows(
    said: Done[str] | NotDone | GiveUp,
    paid: int,
    dead: int,
    reload: bool,
    processes: Processes,
    autojump_clock: MockClock,
) -> None:
    BANK.clear()
    before, after = (tree(Payer, child(agent, id="desk")) for agent in (Before, After))
    async with open_tree(before, journal=processes()) as running:
        await running.ref("desk").tell(Pay(5))
        await trio.testing.wait_all_tasks_blocked()
        if reload:
            await running.reload(after)
            await settled(running, said, paid, dead)
    if not reload:
        async with open_tree(after, journal=processes()) as running:
            await trio.testing.wait_all_tasks_blocked()
            running.resume("desk")  # a person had been asked in the last one
            await settled(running, said, paid, dead)
