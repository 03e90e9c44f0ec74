"""Ticks that end their process: how often it has died while one was due is counted, as it is for messages."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from treewarden.agents.life import Life
from treewarden.agents.ticks import deaths_of

from .common import Common
from .core.event import DeadLettered
from .journal.port import Commit, TimerRow
from .recovery import DEATHS, wait_for_count

if TYPE_CHECKING:
    from treewarden.agents.handlers import Repeated

__all__ = ["count_deaths"]

_COUNTED: Final = "the deaths of its ticks are being counted"


def count_deaths(life: Life, common: Common) -> None:
    """Before the first life in a process that follows a dead one has its ticks: each that is due already may have been
    the cause, and is passed over until its next time once that was so too often.

    Nothing is handed out before this is on disk.
    """
    slot, wall = life.slot, common.clock.wall()
    rows: list[TimerRow] = []
    for each in type(life.agent).repeated:
        at_once = each.dates is None and not each.spread
        if slot.due.get(each.name, wall if at_once else math.inf) > wall:
            continue
        counter = deaths_of(each.name)
        deaths = slot.due[counter] = slot.due.get(counter, 0.0) + 1
        rows.append(TimerRow(slot.path, counter, deaths))
        if deaths >= DEATHS:
            slot.due[each.name] = _next(life, each, wall)
            rows.append(TimerRow(slot.path, each.name, slot.due[each.name]))
            kind = f"{'every' if each.dates is None else 'at'}:{each.name}"
            why = f"the process died {deaths:g} times while it was due, so it waits until its next time"
            common.note(DeadLettered(path=slot.path, message="", kind=kind, reason=why))
    if rows:
        wait_for_count(Commit(timers=tuple(rows)), slot, common, _COUNTED)


def _next(life: Life, each: Repeated, wall: float) -> float:
    if each.dates is not None:
        return each.dates(life.agent).after(wall)
    return wall + each.seconds(life.agent)[0]
