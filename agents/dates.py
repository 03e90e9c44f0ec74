"""The `@at` methods of one incarnation: when each is due next, by the clock of its zone."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from .agent import Agent
from .core.message import Due
from .core.timetable import Timetable
from .core.values import define
from .ports import Alarm, Alarms, Clock
from .slot import Slot
from .ticks import LOOK_WITHIN, Tick, was_set

__all__ = ["Dates"]

_SHORTEST: Final = 0.001
"""Seconds: what is due sooner comes this much later, and not again and again for what a sum of seconds rounds off."""


@define(eq=False)
class _Date:
    """One `@at` method."""

    timetable: Timetable
    due: float
    """When what waits or is in hand was due, in wall seconds; else what comes next."""
    then: float = 0.0
    """What comes next when this is over."""
    alarm: Alarm | None = None
    waits: bool = False
    """Its tick has not been taken yet: what comes due meanwhile becomes one with it."""
    in_hand: bool = False
    ahead: float = 0.0
    """By how much the wall clock was ahead of the loop's when its alarm was set."""
    asked: bool = False
    """Somebody wants what waits done now: what is to come comes still."""

    def call_off(self) -> None:
        """Let its alarm not ring."""
        if self.alarm is not None:
            self.alarm.cancel()
            self.alarm = None


class Dates:
    """When the `@at` methods of one incarnation are due next, until it is silenced.

    A due time stays what it is (`Slot.due`) until what was due is over, and whoever lives there next begins with it.
    """

    __slots__ = ("_agent", "_alarms", "_clock", "_dates", "_silent", "_slot", "_tables")

    def __init__(
        self, agent: Agent[Any], tables: Mapping[str, Timetable], slot: Slot, clock: Clock, alarms: Alarms
    ) -> None:
        self._agent = agent
        self._tables = tables
        self._slot = slot
        self._clock = clock
        self._alarms = alarms
        self._dates: dict[str, _Date] = {}
        self._silent = False

    def __contains__(self, name: str) -> bool:
        return name in self._tables

    def go_on(self) -> tuple[Due, ...]:
        """Arm all; what waited when it was silenced comes now. Returns those whose due times nobody knew so far."""
        new: list[Due] = []
        self._silent = False
        for name, table in self._tables.items():
            known, before = self._slot.due.get(name), self._dates.get(name)
            due = table.due(known, self._clock.wall())
            if due != known:
                self._slot.due[name] = due
                new.append(Due(name, due))
            if before is not None and before.in_hand:
                if before.waits:
                    before.waits = False
                    self._put(name, before)
                continue  # the next one is armed when that is over
            date = self._dates[name] = _Date(table, due)
            if before is not None and before.waits:
                date.asked = before.asked
                self._put(name, date)
            else:
                self._arm(name, date)
        return tuple(new)

    def silence(self) -> None:
        """As `Repeats.silence`."""
        self._silent = True
        for date in self._dates.values():
            date.call_off()

    def take(self, name: str) -> float:
        """The tick of `name` is in hand. When the next one will be due, in wall seconds."""
        date, wall = self._dates[name], self._clock.wall()
        date.call_off()  # it was set when the one before this was over, and this one waited
        date.due = self._slot.due[name]
        date.then = date.due if date.asked and date.due > wall else date.timetable.after(max(wall, date.due))
        date.waits, date.in_hand, date.asked = False, True, False
        return date.then

    def run_now(self, name: str) -> bool:
        """As `Repeats.run_now`."""
        date = self._dates[name]
        if date.waits:
            return False
        date.asked = True
        self._put(name, date)
        return True

    def over(self, name: str) -> None:
        """What was in hand has settled, or failed. Nothing, if this incarnation is over."""
        date = self._dates[name]
        if date.in_hand and self._slot.agent is self._agent:
            date.in_hand = False
            self._slot.due[name] = date.then
            self._arm(name, date)

    def again(self, name: str) -> None:
        """It was over and is to be done again, when the slot goes on."""
        self.undo(name)
        date = self._dates[name]
        if not date.waits:
            date.asked = self._slot.due[name] > self._clock.wall()
            self._put(name, date)

    def undo(self, name: str) -> None:
        """What was over, or when it is due at first, has not been stored: whoever lives here next begins with it."""
        date = self._dates[name]
        if date.then:
            self._slot.due[name] = min(date.due, self._slot.due[name])
        else:
            self._slot.due.pop(name, None)

    def _arm(self, name: str, date: _Date) -> None:
        if self._silent:
            return
        wall, now = self._clock.wall(), self._clock.now()
        left = self._slot.due[name] - wall
        wait = min(max(left, _SHORTEST), LOOK_WITHIN) if left > 0 else 0.0
        date.ahead = wall - now
        date.alarm = self._alarms.at(now + wait, partial(self._fire, name, date))

    def _fire(self, name: str, date: _Date) -> None:
        date.alarm = None
        wall, due = self._clock.wall(), self._slot.due.get(name)
        if due is None:
            return  # it was not stored, and this life is about to end
        if was_set(wall - self._clock.now(), date.ahead):
            due = self._slot.due[name] = date.timetable.due(due, wall)
        if due <= wall:
            self._put(name, date)
        else:
            self._arm(name, date)

    def _put(self, name: str, date: _Date) -> None:
        date.call_off()
        if not date.waits:
            date.waits = True
            if not self._silent:
                self._slot.put_due(Tick(name, word="at"))
