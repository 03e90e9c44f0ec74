"""The end of a tree with many slots: each is closed once, some at a time, and what waited there is given up by name."""

from __future__ import annotations

import trio
import trio.testing
from attrs import frozen

from treewarden.agents import VOLATILE, Agent, MailboxSpec, handles
from treewarden.supervisor.core.event import DeadLettered, TreeClosed
from treewarden.supervisor.core.spec import BRUTAL_KILL
from treewarden.topologies import child, open_tree, tree
from treewarden.topologies.closing import closing

from ..agents.trees import Disk, events

MANY = 1000


@frozen
class Put:
    pass


class Stuck(Agent[None]):
    """Never comes to the end of its first message."""

    @handles
    async def put(self, message: Put) -> None:
        await trio.sleep_forever()


async def test_it_goes_in_slices_and_on_where_it_was_cancelled() -> None:
    mailbox = MailboxSpec(durability=VOLATILE)
    journal = Disk()
    stuck = [child(Stuck, id=f"a{n}", mailbox=mailbox, shutdown=BRUTAL_KILL) for n in range(MANY)]
    async with open_tree(tree(*stuck), journal=journal) as running:
        refs = [running.ref(f"a{n}") for n in range(MANY)]
        for ref in refs:
            await ref.tell(Put())
        await trio.testing.wait_all_tasks_blocked()
        for ref in refs:
            await ref.tell(Put())
        common = running._common  # pyright: ignore[reportPrivateUsage]
        begun = closing(common)
        next(begun)
        closed = sum(slot.ended for slot in common.registry)
        assert 0 < closed < MANY // 2
        begun.close()
        slices = sum(1 for _ in closing(common))
        assert slices == 2
        assert all(slot.ended for slot in common.registry)
    why = "the tree was stopped before its turn"
    letters = [each for each in await events(journal, DeadLettered) if each.reason == why]
    assert len({each.path for each in letters}) == len(letters) == MANY
    assert len(await events(journal, TreeClosed)) == 1
