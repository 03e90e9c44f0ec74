"""Ctrl-C before each line of what gives up the messages of one who ends for good: none of them is nowhere after it."""

from __future__ import annotations

import sys

import pytest
import trio

from treewarden.agents.core.durability import MESSAGE, VOLATILE, Durability
from treewarden.supervisor import leftovers, unsettled
from treewarden.supervisor.core.event import DeadLettered, TreeClosed
from treewarden.supervisor.journal.memory import MemoryJournal
from treewarden.supervisor.leftovers import Leftovers
from treewarden.topologies import closing, open_tree

from ..interrupting import InterruptLine
from .test_leftovers import AT_ONCE, events, fill, stuck

WAITING = AT_ONCE + 3
LINES = (
    unsettled.close_slot,
    unsettled.give_up_all,
    leftovers.give_up_soon,
    *(vars(Leftovers)[name] for name in ("add", "rest", "_slice", "_come", "_next", "_give_up", "_look_whether_over")),
    vars(closing)["_close"],
)


async def ended(durability: Durability, journal: MemoryJournal, at: InterruptLine, *, stopped: bool) -> None:
    async with open_tree(stuck(durability), journal=journal) as running:
        await fill(running, WAITING)
        sys.settrace(at)
        if stopped:
            await running.supervisor().terminate_child("stuck")


async def given_up(journal: MemoryJournal) -> int:
    async with journal:
        told = await events(journal)
        assert isinstance(told[-1], TreeClosed), "or the next process takes it for a crash"
        return sum(isinstance(event, DeadLettered) for event in told)


@pytest.mark.parametrize(
    ("durability", "stopped"), [(MESSAGE, True), (VOLATILE, True), (VOLATILE, False)], ids=["message", "memory", "end"]
)
def test_nothing_is_nowhere_after_it(durability: Durability, stopped: bool) -> None:
    line = interrupts = 0
    while True:
        line += 1 if line < 40 else 17
        journal, at = MemoryJournal(), InterruptLine(line, *LINES)
        try:
            trio.run(lambda at=at, journal=journal: ended(durability, journal, at, stopped=stopped))
        except KeyboardInterrupt:
            interrupts += 1
        finally:
            sys.settrace(None)
        assert trio.run(given_up, journal) == WAITING + 1, line
        if at.lines < line:
            break
    assert interrupts > 30
