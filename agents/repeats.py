"""The `@every` methods of one incarnation: when each is due next, on its grid; and its `@at` methods."""

from __future__ import annotations

import math
from hashlib import blake2b
from typing import TYPE_CHECKING

from .agent import Agent
from .core.message import Due
from .core.values import define
from .ports import Alarm, Alarms, Clock
from .slot import Slot
from .ticks import LOOK_WITHIN, Grid, Tick, was_set

if TYPE_CHECKING:
    from .dates import Dates

__all__ = ["Repeats"]


@define(eq=False)
class _Timer:
    """One `@every` method."""

    grid: Grid
    """From this life's first tick on."""
    alarm: Alarm | None = None
    waits: bool = False
    """Its tick has not been taken yet: what comes due meanwhile becomes one with it."""
    spread: float = 0.0
    look: float = 0.0
    """Seconds between two looks at the wall clock, of a long period; of each another number, so that thousands that
    began together do not all look at once."""
    ahead: float = 0.0
    """By how much the wall clock was ahead of the loop's when its alarm was set; of a long period only."""


class Repeats:
    """Goes on with the grids where the last incarnation left them, until it is silenced.

    A due time that has passed comes now. One that is further away than a period was set by a wrong clock, or with
    another period: it is moved to one period from now. A method with a spread comes within that instead, when the
    wall clock gets to its place there: whoever starts again before it, with nothing stored, is not put off.

    So it is where the wall clock is set ahead, or went on while the machine slept, which is noticed within a minute: of
    a period up to that the next tick comes as soon anyway. One that is put back moves no tick.
    """

    __slots__ = ("_alarms", "_clock", "_dates", "_periods", "_slot", "_timers", "new")

    def __init__(self, agent: Agent[object], slot: Slot, clock: Clock, alarms: Alarms) -> None:
        """Arm all. Raises `ConfigurationError` for a period or a timetable that is none; then nothing is armed."""
        repeated = type(agent).repeated
        self._periods = [(each.name, *each.seconds(agent)) for each in repeated if each.dates is None]
        tables = {each.name: each.dates(agent) for each in repeated if each.dates is not None}
        self._slot = slot
        self._clock = clock
        self._alarms = alarms
        self._timers: dict[str, _Timer] = {}
        self._dates: Dates | None = None
        if tables:
            from .dates import Dates  # with the first of a process that has a timetable

            self._dates = Dates(agent, tables, slot, clock, alarms)
        self.new: tuple[Due, ...] = ()
        """When those are due next whose due times nobody knew, or that have another timetable now."""
        self.go_on()

    def go_on(self) -> None:
        """Arm all, with the periods of the beginning; what waited when it was silenced comes now. To be called once
        after each `silence`, or several in a row."""
        now, wall = self._clock.now(), self._clock.wall()
        for name, period, spread in self._periods:
            before = self._timers.get(name)
            look = LOOK_WITHIN * (1.0 - _place(self._slot, name) / 2) if period > LOOK_WITHIN else 0.0
            grid = self._grid(name, period, spread, now, wall)
            timer = self._timers[name] = _Timer(grid, spread=spread, look=look)
            self._arm(name, timer)
            if before is not None and before.waits:
                self._put(name, timer)
        if self._dates is not None:
            self.new = self._dates.go_on()

    def silence(self) -> None:
        """Cancel all ticks. One that waits is forgotten by the mailbox, and remembered here."""
        for timer in self._timers.values():
            if timer.alarm is not None:
                timer.alarm.cancel()
        if self._dates is not None:
            self._dates.silence()

    def take(self, name: str) -> float:
        """The tick of `name` is in hand: the next one that comes due is another one. When that is, in wall seconds."""
        if self._dates is not None and name in self._dates:
            return self._dates.take(name)
        self._timers[name].waits = False
        return self._slot.due[name]

    def run_now(self, name: str) -> bool:
        """Have the tick of `name` come now, beside those that are due. False if one waits already."""
        if self._dates is not None and name in self._dates:
            return self._dates.run_now(name)
        timer = self._timers[name]
        if not timer.waits:
            self._put(name, timer)
            return True
        return False

    def dates_of(self, name: str) -> Dates | None:
        """What has the timetable of `name`, which has one."""
        return self._dates if self._dates is not None and name in self._dates else None

    def _grid(self, name: str, period: float, spread: float, now: float, wall: float) -> Grid:
        """From the due time that is known on, or from now."""
        slot = self._slot
        due = slot.due.get(name, wall)
        if spread and not wall < due <= wall + period:
            due = wall + (spread * _place(slot, name) - wall) % spread
        due = slot.due[name] = min(due, wall + period)
        return Grid(now + (due - wall), period)

    def _arm(self, name: str, timer: _Timer) -> None:
        now = self._clock.now()
        when = max(timer.grid.due, now)
        if timer.look:
            timer.ahead = self._clock.wall() - now
            when = min(when, math.floor(now + timer.look))  # several at a time: a wake of the loop costs more
        timer.alarm = self._alarms.at(when, lambda: self._fire(name, timer))

    def _fire(self, name: str, timer: _Timer) -> None:
        now = self._clock.now()
        if timer.look:
            wall = self._clock.wall()
            if was_set(wall - now, timer.ahead):
                if wall - now > timer.ahead:
                    timer.grid = self._grid(name, timer.grid.period, timer.spread, now, wall)
                else:  # put back, or it stands still, as where only the loop's is a mock clock
                    self._slot.due[name] = wall + (timer.grid.due - now)
            if timer.grid.due > now:
                self._arm(name, timer)
                return
        timer.grid.go_past(now)
        self._slot.due[name] = self._clock.wall() + (timer.grid.due - now)
        self._arm(name, timer)
        if not timer.waits:
            self._put(name, timer)

    def _put(self, name: str, timer: _Timer) -> None:
        timer.waits = True
        self._slot.put_due(Tick(name))


def _place(slot: Slot, name: str) -> float:
    """Where a method of this slot has its place among others: from 0 up to 1, the same in each process."""
    digest = blake2b(f"{slot.path} {name}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64
