"""What agents with budgets had spent before their process began."""

from __future__ import annotations

from typing import Final

from treewarden.supervisor.common import Common
from treewarden.supervisor.core.event import Spent
from treewarden.supervisor.core.moves import moves_of, place_now
from treewarden.supervisor.journal.port import START, Record

__all__ = ["recall_spent"]

_KINDS: Final = frozenset({"SlotMoved", "Spent"})


async def recall_spent(common: Common, within: float) -> None:
    """Take from the journal what was spent in the last `within` seconds, by whoever lives there now."""
    journal, now, wall = common.journal, common.clock.now(), common.clock.wall()
    before, after = START, journal.head
    while before < after:  # the last event that is too old
        middle = (before + after) // 2
        records = await journal.read(middle, 1)
        if records and records[0].at < wall - within:
            before = max(records[0].seq, middle + 1)
        else:
            after = middle
    found: list[Record] = []
    while records := await journal.read(before, kinds=_KINDS):
        found += records
        before = records[-1].seq
    moves = moves_of((record.seq, record.event) for record in found)
    for record in found:
        if isinstance(record.event, Spent):
            path = place_now(record.event.path, record.seq, moves)
            if path is not None:
                common.gauges.recall(path, now - max(0.0, wall - record.at), record.event.amount)
