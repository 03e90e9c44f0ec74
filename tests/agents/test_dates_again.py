"""Of an `@at` method that is taken late, or wanted in between, nothing comes twice."""

from __future__ import annotations

import pytest

from .test_at import DAY, HOUR
from .test_dates import Alone


@pytest.mark.parametrize("wanted", [False, True])
def test_a_clock_that_is_put_back_before_it_is_taken(wanted: bool) -> None:
    alone = Alone("2026-05-05T08:00")
    if wanted:
        assert alone.dates.run_now("report")
        assert alone.log(1) == ["05 08:00"]
        alone.clock.advance(-1 + HOUR)
    else:
        alone.clock.advance(HOUR)
    alone.clock.set(-HOUR / 2)
    assert alone.log(2 * HOUR) == ["05 08:31"]
    assert alone.log(DAY) == ["06 09:00"]


def test_one_that_was_not_stored_does_not_come() -> None:
    alone = Alone("2026-05-05T08:00")
    alone.dates.undo("report")
    assert alone.log(2 * DAY) == []


def test_one_that_was_wanted_meanwhile_is_looked_at_once_a_minute() -> None:
    alone = Alone("2026-05-05T09:30")
    slot, dates = alone.life.slot, alone.dates
    assert dates.run_now("report")
    slot.take()
    dates.take("report")
    assert dates.run_now("report")
    dates.over("report")
    slot.take()
    dates.take("report")
    dates.over("report")
    before = alone.clock.alarms_set
    assert alone.log(HOUR) == []
    assert alone.clock.alarms_set - before <= 61
