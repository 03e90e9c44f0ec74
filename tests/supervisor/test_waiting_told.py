"""Who waits for what is down for all says so in the journal, too: a process beside it, and the one after it, see it."""

from __future__ import annotations

import pytest
import trio
import trio.testing
from attrs import frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import VOLATILE, MailboxSpec
from treewarden.agents.core.path import Path
from treewarden.supervisor import Intensity
from treewarden.supervisor.core.event import DependencyChanged
from treewarden.supervisor.journal.port import Record
from treewarden.supervisor.views import incidents, tree_status
from treewarden.topologies.child import child
from treewarden.topologies.open import open_tree
from treewarden.topologies.running import Tree
from treewarden.topologies.tree import tree


@frozen
class Call:
    """Use what all of them use, which is down; it says so after so many seconds."""

    seconds: float


class User(Agent[None]):
    @handles
    async def call(self, message: Call) -> None:
        await trio.sleep(message.seconds)
        raise ConnectionError("nobody listens")


async def told(running: Tree) -> list[Record]:
    found: list[Record] = []
    async with running.events() as records:
        async for record in records:
            found.append(record)
            if record.seq >= running.head:
                break
    return found


@pytest.mark.parametrize("uses", [(), ("api",)])
async def test_the_journal_says_of_each_who_waits_what_the_tree_says(
    uses: tuple[str, ...], autojump_clock: trio.testing.MockClock
) -> None:
    names = ("a", "b", "c", "late")
    kept = MailboxSpec(durability=VOLATILE)
    users = [child(User, id=name, uses=uses, mailbox=kept) for name in names]
    async with open_tree(tree(*users, restarts=Intensity(100)), seed=1) as running:
        for name, seconds in zip(names, (0.0, 0.0, 0.0, 1.0), strict=True):
            await running.ref(name).tell(Call(seconds))
        await trio.sleep(2)
        now = {str(slot.path): (slot.state, slot.note) for slot in running.snapshot() if slot.path.name in names}
        assert all(note.startswith("waits for ") for _, note in now.values())

        records = await told(running)
        slots = tree_status.fold(tree_status.TreeStatus(), records).slots
        assert {name: (slots[Path.parse(name)].state, slots[Path.parse(name)].note) for name in names} == now

        stories = incidents.fold(incidents.Incidents(), records)
        (story,) = (each for each in stories.stories.values() if each.path.name == "late")
        changes = [line.event for line in story.lines if isinstance(line.event, DependencyChanged)]
        assert [(each.passage, each.users) for each in changes] == [("waits", (story.path,))]
        assert "nobody listens" in changes[0].why
        assert 0.0 < changes[0].seconds < 10.0
