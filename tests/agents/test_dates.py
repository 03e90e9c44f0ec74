"""`@at` in one life, whose clock is moved by hand: by day and month, and where somebody sets it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from treewarden.agents.core.durability import VOLATILE, MailboxSpec
from treewarden.agents.core.path import Path
from treewarden.agents.dates import Dates
from treewarden.agents.life import Life
from treewarden.agents.slot import Slot
from treewarden.agents.testing import ManualClock, Tick

from .test_at import BERLIN, DAY, HOUR, Report, World
from .test_ticks import Watcher


class HandClock(ManualClock):
    alarms_set = 0

    def at(self, when: float, call: Callable[[], None]) -> Any:
        self.alarms_set += 1
        assert self.alarms_set < 1_000_000
        return super().at(when, call)

    def set(self, seconds: float) -> None:
        """As somebody sets the clock on the wall."""
        self._wall += seconds


class Alone:
    """One life whose ticks are taken when they come."""

    def __init__(self, begin: str, times: str = "09:00", days: str = "", now: float = 0.0) -> None:
        self.clock = HandClock(now=now, wall=datetime.fromisoformat(begin).replace(tzinfo=BERLIN).timestamp())
        slot = Slot(Path("report"), MailboxSpec(durability=VOLATILE), self.clock.now, None)
        agent = Report(World.__new__(World), times=times, days=days)
        self.life = Life(agent, slot, warden=Watcher(), clock=self.clock, alarms=self.clock)
        self.life.arm_timers()

    @property
    def dates(self) -> Dates:
        dates = self.life.dates_of("report")
        assert dates is not None
        return dates

    def log(self, seconds: float, step: float = 60.0) -> list[str]:
        """What is done in this time, and when it is taken."""
        found: list[str] = []
        end = self.clock.now() + seconds
        while self.clock.now() < end:
            self.clock.advance(min(step, end - self.clock.now()))
            while isinstance(tick := self.life.slot.take(), Tick):
                found.append(datetime.fromtimestamp(self.clock.wall(), BERLIN).strftime("%d %H:%M"))
                self.life.take_tick(tick.name)
                self.dates.over(tick.name)
        return found


def test_it_runs_at_its_time_on_its_days_and_not_at_first() -> None:
    alone = Alone("2026-05-01T09:30", days="mon-fri")  # a Friday
    assert alone.log(7 * DAY) == ["04 09:00", "05 09:00", "06 09:00", "07 09:00", "08 09:00"]


def test_months_have_no_drift() -> None:
    found = Alone("2026-01-01T00:00", "02:30,12:00").log(120 * DAY - 60, 1800.0)
    assert len(found) == 240
    odd = [each for each in found if each[3:] not in ("02:30", "12:00")]
    assert odd == ["29 03:00"]  # the night in which the clock is put forward


def test_what_comes_due_before_it_is_taken_is_one() -> None:
    assert Alone("2026-05-01T08:00").log(10 * DAY, 3.5 * DAY) == ["04 20:00", "08 08:00", "11 08:00"]


def test_a_clock_that_is_put_forward_is_noticed_within_a_minute() -> None:
    alone = Alone("2026-05-05T08:30")
    assert alone.log(60) == []
    alone.clock.set(HOUR)
    assert alone.log(60) == ["05 09:32"]
    assert alone.log(DAY) == ["06 09:00"]


@pytest.mark.parametrize(("back", "log"), [(HOUR - 60, []), (HOUR + 300, ["05 09:00"])])
@pytest.mark.parametrize("again", [False, True])
def test_a_clock_that_is_put_back(back: float, log: list[str], again: bool) -> None:
    """By up to an hour nothing comes twice."""
    alone = Alone("2026-05-05T08:00")
    assert alone.log(HOUR + 60) == ["05 09:00"]
    alone.clock.set(-back)
    if again:
        alone.life.end()
        alone.life = Life(alone.life.agent, alone.life.slot, warden=Watcher(), clock=alone.clock, alarms=alone.clock)
        alone.life.arm_timers()
    assert alone.log(4 * HOUR) == log
    assert alone.log(DAY) == ["06 09:00"]


def test_a_clock_that_was_wrong_by_years_is_put_right() -> None:
    alone = Alone("2056-05-05T08:00")
    alone.clock.set(-30 * 365.25 * DAY + DAY / 2)
    alone.log(60)
    begun = alone.clock.wall()
    assert alone.life.slot.due["report"] - begun < DAY


def test_what_is_due_sooner_than_a_clock_can_say_comes_a_little_later() -> None:
    """And is not asked for without end."""
    alone = Alone("2026-05-05T08:59", now=1e9)
    alone.clock.set(-1e-6)
    before = alone.clock.alarms_set
    assert alone.log(61.0, 61.0) == ["05 09:00"]
    assert alone.clock.alarms_set - before < 5
