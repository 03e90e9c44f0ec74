"""What a stopped agent had in hand. A stop is no failure of the message: a durable one is for the next life."""

from __future__ import annotations

import pytest
import trio
import trio.testing
from attrs import frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import MESSAGE, VOLATILE, Durability, MailboxSpec
from treewarden.agents.core.message import Request
from treewarden.supervisor.core.event import DeadLettered, MessageReturned
from treewarden.supervisor.core.policies import otp
from treewarden.supervisor.core.spec import BRUTAL_KILL, NO_BACKOFF, Grace, Shutdown, Strategy
from treewarden.supervisor.journal.memory import MemoryJournal
from treewarden.topologies.child import child
from treewarden.topologies.open import open_tree
from treewarden.topologies.tree import tree


@frozen
class Item:
    n: int


@frozen
class Got(Request[tuple[int, ...]]):
    """Ask for what has arrived."""


class Keeper(Agent[tuple[int, ...]]):
    """Takes 20 seconds for each number."""

    state = ()

    @handles
    async def item(self, message: Item) -> None:
        await trio.sleep(20)
        self.state = (*self.state, message.n)

    @handles
    def got(self, message: Got) -> tuple[int, ...]:
        return self.state


@pytest.mark.parametrize("shutdown", [Grace(3.0), BRUTAL_KILL], ids=["grace", "brutal kill"])
@pytest.mark.parametrize("durability", [MESSAGE, VOLATILE], ids=["message", "volatile"])
async def test_a_group_restart_takes_nothing_from_a_sibling(
    autojump_clock: trio.testing.MockClock, durability: Durability, shutdown: Shutdown
) -> None:
    journal = MemoryJournal()
    mailbox = MailboxSpec(durability=durability, deliveries=1)
    siblings = [child(Keeper, id=id, mailbox=mailbox, shutdown=shutdown, backoff=NO_BACKOFF) for id in ("a", "b")]
    async with open_tree(tree(*siblings, strategy=Strategy.ONE_FOR_ALL, policy=otp()), journal=journal) as running:
        for n in (1, 2):
            await running.ref("b").tell(Item(n))
        await trio.sleep(1)
        running.kill("a")
        await trio.sleep(60)
        kept = durability == MESSAGE
        assert await running.ref("b").ask(Got()) == ((1, 2) if kept else (2,))
        events = [each.event for each in await journal.read(0, 1000)]
        returned = [(each.path, each.deliveries) for each in events if isinstance(each, MessageReturned)]
        assert returned == ([("b", 0)] if kept else [])
        reasons = [each.reason for each in events if isinstance(each, DeadLettered)]
        assert reasons == ([] if kept else ["its handler was stopped, and its mailbox is in memory"])
