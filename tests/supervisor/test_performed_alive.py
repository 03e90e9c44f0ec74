"""Registered actions for a child that lives: what follows when one has ended."""

from __future__ import annotations

import trio
from attrs import frozen
from trio.testing import MockClock

from treewarden.agents.agent import Agent, handles
from treewarden.supervisor.core.event import Event, IncidentClosed, OutcomeObserved
from treewarden.supervisor.core.named import NamedAction
from treewarden.supervisor.core.rule_table import Rule
from treewarden.supervisor.core.table import table
from treewarden.supervisor.journal.memory import MemoryJournal
from treewarden.supervisor.performing import Occasion
from treewarden.topologies.child import child
from treewarden.topologies.open import open_tree
from treewarden.topologies.tree import tree


@frozen
class Wait:
    """Do nothing for long."""


class Till(Agent[None]):
    @handles
    async def wait(self, message: Wait) -> None:
        await trio.sleep(12)


class Helper:
    """An action that ends when it is told to."""

    def __init__(self) -> None:
        self.begun = 0
        self.ends = trio.Event()

    async def help(self, occasion: Occasion) -> None:
        self.begun += 1
        await self.ends.wait()


COLD = {"kind": "cold", "severity": 0.4}
POLICY = table([Rule("reported:cold", "perform:help"), Rule("stalled", "perform:help"), Rule("action_failed", "hold")])


async def events_of(journal: MemoryJournal) -> list[Event]:
    return [record.event for record in await journal.read(limit=1000)]


async def test_the_incident_of_one_that_hung_ends_after_the_action(autojump_clock: MockClock) -> None:
    helper, journal = Helper(), MemoryJournal()
    till = child(Till, progress_within=5.0, actions={"help": NamedAction(helper.help, within=60.0)})
    async with open_tree(tree(till, policy=POLICY), journal=journal) as running:
        await running.ref("till").tell(Wait())
        await trio.sleep(50)
        assert not [each for each in await events_of(journal) if isinstance(each, IncidentClosed)], "help is under way"
        helper.ends.set()
        await trio.sleep(30)
        told = await events_of(journal)
    assert helper.begun == 1
    assert len([each for each in told if isinstance(each, IncidentClosed)]) == 1
    assert [(each.action, each.outcome) for each in told if isinstance(each, OutcomeObserved)] == [("help", "fixed")]


async def test_one_that_hangs_on_after_it_is_helped_once_more(autojump_clock: MockClock) -> None:
    helper = Helper()
    helper.ends.set()
    till = child(Till, progress_within=5.0, actions={"help": helper.help})
    async with open_tree(tree(till, policy=POLICY)) as running:
        await running.ref("till").tell(Wait())
        await trio.sleep(4)
        assert helper.begun == 0
        await trio.sleep(4)
        assert helper.begun == 1
        await trio.sleep(22)
        assert helper.begun == 2, "after 5 s and after 10 s; the message took 12"


async def test_what_failed_for_one_that_has_been_stopped_meanwhile_decides_nothing(autojump_clock: MockClock) -> None:
    helper = Helper()
    till = child(Till, actions={"help": NamedAction(helper.help, within=10.0)})
    async with open_tree(tree(till, policy=POLICY)) as running:
        running.signal("till", COLD)
        await trio.sleep(1)
        await running.supervisor().terminate_child("till")
        await trio.sleep(30)
        (slot,) = running.snapshot()
        assert (slot.state, slot.note) == ("down", "")
