"""`@every` of a long period, where the clock on the wall is set, stands still, or went on while the machine slept."""

from __future__ import annotations

import pytest

from treewarden.agents.testing import ManualClock

from .test_ticks import START, Poller, life_of, spread_slot, ticks


class SetClock(ManualClock):
    def set(self, seconds: float) -> None:
        """As somebody sets the clock on the wall, and as it goes on while the machine sleeps."""
        self._wall += seconds


def test_a_long_period_goes_by_the_wall_clock_where_the_machine_slept() -> None:
    clock = SetClock(now=5.0, wall=START)
    life = life_of(Poller([], period=3600.0), clock)
    clock.advance(0)
    assert ticks(life) == ["poll"]
    clock.advance(600)
    clock.set(8 * 3600 + 1800)
    clock.advance(60)
    assert ticks(life) == ["poll"]
    assert life.slot.due["poll"] == pytest.approx(START + 9 * 3600)
    clock.advance(3600 - 2400 - 60 - 0.001)
    assert ticks(life) == []
    clock.advance(0.001)
    assert ticks(life) == ["poll"]


def test_a_long_period_is_not_put_off_by_a_clock_that_is_put_back() -> None:
    clock = SetClock(now=5.0, wall=START)
    life = life_of(Poller([], period=3600.0), clock)
    clock.advance(0)
    assert ticks(life) == ["poll"]
    clock.advance(600)
    clock.set(-86_400)
    clock.advance(2999.9)
    assert ticks(life) == []
    clock.advance(0.1)
    assert ticks(life) == ["poll"]
    assert life.slot.due["poll"] == pytest.approx(START + 7200 - 86_400)


def test_a_long_period_goes_by_the_loop_where_the_wall_clock_stands_still() -> None:
    """As under a mock clock that moves the loop's only."""
    clock = SetClock(now=5.0, wall=START)
    life = life_of(Poller([], period=3600.0), clock)
    clock.advance(0)
    assert ticks(life) == ["poll"]
    for passed in range(5, 7201, 5):
        clock.advance(5)
        clock.set(-5)
        assert ticks(life) == (["poll"] if passed % 3600 == 0 else [])


class CountingClock(ManualClock):
    looks = 0

    def wall(self) -> float:
        self.looks += 1
        return super().wall()


def test_many_of_a_long_period_do_not_look_at_the_wall_clock_at_once() -> None:
    clock = CountingClock(wall=START)
    lives = [life_of(Poller([], period=3600.0), clock, spread_slot(number, clock)) for number in range(300)]
    clock.advance(0)
    most = 0
    for _ in range(120):
        before = clock.looks
        clock.advance(1)
        most = max(most, clock.looks - before)
    assert 0 < most < len(lives) / 4


def test_a_clock_that_is_corrected_a_little_moves_no_tick() -> None:
    clock = SetClock(now=5.0, wall=START)
    life = life_of(Poller([], period=600.0), clock)
    clock.advance(0)
    assert ticks(life) == ["poll"]
    for _ in range(10):
        clock.set(0.03)
        clock.advance(59.999)
    assert ticks(life) == []
    clock.advance(0.01)
    assert ticks(life) == ["poll"]
