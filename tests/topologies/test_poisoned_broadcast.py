"""A message on which every worker of a pool fails, told to all of them at once."""

from __future__ import annotations

import pytest
import trio
import trio.testing
from attrs import frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.message import Request
from treewarden.agents.errors import AskTimeout
from treewarden.supervisor.journal.memory import MemoryJournal
from treewarden.topologies.open import open_tree
from treewarden.topologies.pool import pool
from treewarden.topologies.tree import tree

POISON = 13


@frozen
class Item:
    n: int


@frozen
class Got(Request[tuple[int, ...]]): ...


class Keeper(Agent[tuple[int, ...]]):
    state = ()

    @handles
    async def item(self, message: Item) -> None:
        if message.n == POISON:
            raise RuntimeError("poison")
        self.state = (*self.state, message.n)

    @handles
    def got(self, message: Got) -> tuple[int, ...]:
        return self.state


async def test_poison_for_all_costs_an_ask_time_and_nobody_a_message(autojump_clock: trio.testing.MockClock) -> None:
    """Workers that fail alike at once look the same whether it is the message or what they all use, so the ladder lets
    all of them rest, twice; an ask waits that long, or says who is down."""
    pooled = tree(pool(Keeper, size=3, route="broadcast", id="pool"))
    async with open_tree(pooled, journal=MemoryJournal()) as running:
        for n in (1, POISON, 2):
            await running.ref("pool").tell(Item(n))
        with pytest.raises(AskTimeout, match="and nobody lives in the slot at the moment") as late:
            await running.ref("pool").ask(Got(), within=0.01)
        assert late.value.retry_safe
        assert await running.ref("pool").ask(Got(), within=30) == (1, 2)
        await trio.sleep(10)
        assert [await running.ref(f"pool/{n}").ask(Got()) for n in range(3)] == [(1, 2)] * 3
        assert sorted(row.path for row in await running.dead_letters()) == ["pool/0", "pool/1", "pool/2"]
        assert not {each.path for each in running.snapshot() if each.mailbox}
