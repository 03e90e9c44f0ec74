"""What comes to an agent because of the time: its `@every` methods, and the messages that it has set for itself."""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import Final

from attrs import field

from .core.message import Due, MessageId
from .core.said import is_number, shown
from .core.values import define, frozen
from .errors import ConfigurationError
from .handlers import period_of
from .ports import Alarm, Alarms, Clock
from .slot import Slot

__all__ = ["LOOK_WITHIN", "Afters", "Grid", "Tick", "Timed", "deaths_of", "dues_of", "was_set"]

LOOK_WITHIN: Final = 60.0
"""Seconds after which the wall clock is looked at again: it may be set, and goes on while the machine sleeps."""
_SET: Final = 1.0
"""Seconds by which a clock that nobody has set may go faster or slower in that time."""


def was_set(ahead: float, before: float) -> bool:
    """Whether somebody has set the wall clock since it was so far ahead of the loop's."""
    return abs(ahead - before) > _SET


def deaths_of(name: str) -> str:
    """Under which name stands, among the due times of a slot, how often the process has died while the tick of `name`
    was due. No method is called so."""
    return f"{name} deaths"


def dues_of(slot: Slot, name: str, due: float) -> tuple[Due, ...]:
    """What is stored when the tick of `name` settles, if anything is: when the next one is due, and that no death
    counts any more."""
    if not slot.durable:
        return ()
    counter = deaths_of(name)
    return (Due(name, due), Due(counter, 0.0)) if counter in slot.due else (Due(name, due),)


@frozen
class Tick:
    """An `@every` method is due, or an `@at` method."""

    name: str
    word: str = field(default="every", kw_only=True)

    @property
    def kind(self) -> str:
        """What is in hand, for failures and stalls."""
        return f"{self.word}:{self.name}"


@frozen(eq=False)
class Timed(Tick):
    """A message that an agent has set for itself is due. `name` is the message's type."""

    key: Hashable
    message: object
    cause: MessageId = ""
    """In whose handler it was set."""

    @property
    def kind(self) -> str:
        return f"after:{self.name}"


@define(eq=False)
class Grid:
    """Due times that are equal periods apart."""

    first: float
    """In the clock of the loop."""
    period: float
    """Seconds; 0 for what comes once."""
    rounds: int = 0
    """Periods from the first due time to the next one."""

    @property
    def due(self) -> float:
        """The next one, counted from the first: a sum of periods would add up what each addition rounds off."""
        return self.first + self.rounds * self.period

    def go_past(self, now: float) -> None:
        """On to the next due time after this one and `now`."""
        self.rounds += max(1, int((now - self.due) / self.period) + 1)


@define(eq=False)
class _Timer:
    tick: Timed
    grid: Grid
    alarm: Alarm | None = None
    waits: bool = False
    """It is due and has not been taken: what comes due meanwhile becomes one with it."""


class Afters:
    """The timers that one incarnation has set for itself, by key. They end with it."""

    def __init__(self, slot: Slot, clock: Clock, alarms: Alarms) -> None:
        self._slot = slot
        self._clock = clock
        self._alarms = alarms
        self._timers: dict[Hashable, _Timer] = {}
        self._silent = False
        """It is being drained or stopped: nothing comes due."""

    def set(self, seconds: object, message: object, key: Hashable, period: float | None, cause: MessageId = "") -> None:
        """Have `message` handled in `seconds`, in the place of what was set under `key`, in the trace of `cause`."""
        where = f"{self._slot.path}: after"
        if not is_number(seconds) or not 0 <= seconds < math.inf:
            raise ConfigurationError(
                f"{where}: {shown(seconds)} is no delay; give a finite number of seconds, 0 or more"
            )
        if period is not None:
            period_of(where, period)
        self.call_off(key)
        tick = Timed(type(message).__qualname__, key, message, cause)
        timer = self._timers[key] = _Timer(tick, Grid(self._clock.now() + seconds, period or 0.0))
        self._arm(timer)

    def call_off(self, key: Hashable) -> bool:
        """Forget what was set under `key`, also if it is due and waits to be handled; whether there was anything."""
        timer = self._timers.pop(key, None)
        if timer is None:
            return False
        if timer.alarm is not None:
            timer.alarm.cancel()
        return True

    def take(self, tick: Timed) -> bool:
        """`tick` is in hand. Whether it is still to be handled: it was not called off, nor set anew."""
        timer = self._timers.get(tick.key)
        if timer is None or timer.tick is not tick:
            return False
        timer.waits = False
        if not timer.grid.period:
            del self._timers[tick.key]
        return True

    def again(self, tick: Timed) -> None:
        """It could not be handled: it is due at once when the slot goes on, unless it was set anew meanwhile."""
        timer = self._timers.setdefault(tick.key, _Timer(tick, Grid(self._clock.now(), 0.0)))
        if timer.tick is not tick or timer.waits:
            return
        if self._silent:
            timer.grid.rounds -= 1
        else:
            timer.waits = True
            self._slot.put_due(tick)

    def silence(self) -> None:
        """Let nothing come due until `go_on`; what was due and waits leaves the mailbox, and is due again then."""
        self._silent = True
        for timer in self._timers.values():
            if timer.waits:
                timer.waits = False
                timer.grid.rounds -= 1
            if timer.alarm is not None:
                timer.alarm.cancel()

    def go_on(self) -> None:
        """Let come due what was silenced; what has come due meanwhile comes now. What was not silenced comes anyway."""
        if self._silent:
            self._silent = False
            for timer in self._timers.values():
                self._arm(timer)

    def _arm(self, timer: _Timer) -> None:
        if not self._silent:
            timer.alarm = self._alarms.at(max(timer.grid.due, self._clock.now()), lambda: self._fire(timer))

    def _fire(self, timer: _Timer) -> None:
        timer.alarm = None
        if timer.grid.period:
            timer.grid.go_past(self._clock.now())
            self._arm(timer)
        if not timer.waits:
            timer.waits = True
            self._slot.put_due(timer.tick)
