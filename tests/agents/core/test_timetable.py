"""Times of day in a zone, against a clock that is looked at every minute."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from treewarden.agents.core import timetable as module
from treewarden.agents.core.timetable import Timetable, timetable

ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",  # put forward by half an hour
    "Africa/Casablanca",  # put back for Ramadan
    "Asia/Kolkata",
    "America/Havana",  # at midnight
    "Europe/Dublin",
    "Pacific/Chatham",
    "Asia/Gaza",
]
FIRST = int(datetime(2020, 1, 1, tzinfo=UTC).timestamp())
LAST = int(datetime(2036, 1, 1, tzinfo=UTC).timestamp())
QUARTER = 900


def shown_at(moment: float, zone: str) -> datetime:
    return datetime.fromtimestamp(moment, ZoneInfo(zone)).replace(tzinfo=None, fold=0)


@cache
def changes(zone: str) -> tuple[int, ...]:
    """The moments at which the clock there is put forward or back."""
    offset = [datetime.fromtimestamp(at, ZoneInfo(zone)).utcoffset() for at in range(FIRST, LAST, QUARTER)]
    return tuple(FIRST + n * QUARTER for n in range(1, len(offset)) if offset[n] != offset[n - 1])


def is_day(table: Timetable, day: date) -> bool:
    is_last = (day + timedelta(days=1)).month != day.month
    if table.weekdays:
        return day.weekday() in table.weekdays
    return not table.monthdays or day.day in table.monthdays or (0 in table.monthdays and is_last)


def looked_at(table: Timetable, moment: int, step: int) -> int:
    """The first moment after `moment` at which a clock that is looked at every `step` seconds comes to a time of the
    table, or past it, and had not been there before."""
    at = (moment // step - 30 * 3600 // step) * step
    latest = shown_at(at, table.zone)
    while True:
        at += step
        shown = shown_at(at, table.zone)
        if shown > latest:
            day = latest.date()
            while day <= shown.date():
                for seconds in table.times if is_day(table, day) else ():
                    due = datetime.combine(day, datetime.min.time()) + timedelta(seconds=seconds)
                    if latest < due <= shown and at > moment:
                        return at
                day += timedelta(days=1)
            latest = shown


days = st.one_of(
    st.just(""),
    st.sets(st.sampled_from(["mon", "tue", "wed", "thu", "fri", "sat", "sun"]), min_size=1).map(",".join),
    st.sets(st.sampled_from(["1", "2", "15", "28", "29", "30", "31", "last"]), min_size=1).map(",".join),
)


def clock(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"


@given(
    st.sampled_from(ZONES),
    st.sets(st.integers(0, 95).map(lambda quarter: clock(quarter * 15)), min_size=1, max_size=4),
    days,
    st.integers(FIRST // QUARTER, LAST // QUARTER).map(lambda quarter: quarter * QUARTER),
)
def test_the_next_time_is_the_one_that_the_clock_there_comes_to(
    zone: str, times: set[str], days: str, moment: int
) -> None:
    table = timetable(sorted(times), zone, days)
    assert table.after(moment) == looked_at(table, moment, QUARTER)


@given(
    st.sampled_from([zone for zone in ZONES if zone not in ("UTC", "Asia/Kolkata")]),
    st.lists(st.integers(0, 240), min_size=1, max_size=3),
    st.integers(0, 10_000),
    st.integers(-180, 180),
)
def test_so_it_is_where_the_clock_is_put_forward_or_back(
    zone: str, minutes: list[int], number: int, around: int
) -> None:
    found = changes(zone)
    change = found[number % len(found)]
    near = shown_at(change - 7200, zone)
    times = [clock((near.hour * 60 + near.minute + each) % 1440) for each in minutes]
    table, moment = timetable(times, zone), change + around * 60
    assert table.after(moment) == looked_at(table, moment, 60)


@given(st.sampled_from(ZONES), st.sets(st.integers(0, 1439).map(clock), min_size=1, max_size=3), st.data())
def test_times_follow_one_another_and_each_day_has_each_of_them_once(zone: str, times: set[str], data: Any) -> None:
    table = timetable(sorted(times), zone)
    start = data.draw(st.integers(FIRST, LAST))
    found = [float(start)]
    while found[-1] < start + 9 * 86400:
        found.append(table.after(found[-1]))
        assert found[-1] > found[-2]
    whole = [at for at in found[1:] if start + 86400 <= at < start + 8 * 86400]
    # two that fall into one gap are one
    assert len(times) * 7 - 2 * len(times) <= len(whole) <= len(times) * 7 + len(times)


def moment(text: str, zone: str = "Europe/Berlin") -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


@pytest.mark.parametrize(
    ("times", "zone", "after", "utc"),
    [
        ("02:30", "Europe/Berlin", "2026-03-28T12:00", "2026-03-29T01:00"),  # 03:00 there, for there is no 02:30
        ("02:00", "Europe/Berlin", "2026-03-28T12:00", "2026-03-29T01:00"),
        ("03:00", "Europe/Berlin", "2026-03-28T12:00", "2026-03-29T01:00"),
        ("02:30", "Europe/Berlin", "2026-10-24T12:00", "2026-10-25T00:30"),  # and not an hour later again
        ("02:15", "Australia/Lord_Howe", "2026-10-03T12:00", "2026-10-03T15:30"),
        ("01:45", "Australia/Lord_Howe", "2026-04-04T12:00", "2026-04-04T14:45"),
        ("00:30", "America/Havana", "2026-03-07T12:00", "2026-03-08T05:00"),
        ("09:00", "Asia/Kolkata", "2026-03-07T12:00", "2026-03-08T03:30"),
        ("12:00", "Pacific/Apia", "2011-12-29T13:00", "2011-12-30T10:00"),  # a day that there was not
    ],
)
def test_times_that_there_are_not_and_those_that_there_are_twice(times: str, zone: str, after: str, utc: str) -> None:
    found = timetable(times, zone).after(moment(after, zone))
    assert datetime.fromtimestamp(found, UTC).isoformat()[:16] == utc


def test_a_time_that_comes_twice_is_not_done_when_it_comes_again() -> None:
    first = moment("2026-10-25T02:30")
    assert timetable("02:30", "Europe/Berlin").after(first) == moment("2026-10-26T02:30")


@pytest.mark.parametrize(
    ("days", "found"),
    [
        ("mon-fri", ["02", "05", "06", "07"]),  # 1 January 2026 is a Thursday
        ("fri-mon", ["02", "03", "04", "05"]),
        (" Sat , sun", ["03", "04", "10", "11"]),
        ("2,15", ["02", "15", "02", "15"]),
        ("30-31", ["30", "31", "30", "31"]),
        ("last", ["31", "28", "31", "30"]),
        ("1-3,last", ["02", "03", "31", "01"]),
    ],
)
def test_days(days: str, found: list[str]) -> None:
    table, at = timetable("09:00", days=days), moment("2026-01-01T10:00", "UTC")
    for day in found:
        at = table.after(at)
        assert datetime.fromtimestamp(at, UTC).strftime("%d %H:%M") == f"{day} 09:00"


def test_seconds_several_times_and_how_it_is_written() -> None:
    table = timetable(["17:30", "09:00:05"], "Europe/Berlin", "fri,mon-wed")
    assert str(table) == "09:00:05,17:30 mon,tue,wed,fri Europe/Berlin"
    assert str(timetable("00:00")) == "00:00 UTC"
    assert str(timetable("00:00", days="1,last")) == "00:00 1,last UTC"
    assert table.after(moment("2026-01-05T08:00")) == moment("2026-01-05T09:00:05")
    assert table == timetable("09:00:05, 17:30", "Europe/Berlin", "mon,tue,wed,fri")


# -- what was to be due


NINE = timetable("09:00", "Europe/Berlin")
TODAY, TOMORROW = moment("2026-05-05T09:00"), moment("2026-05-06T09:00")


@pytest.mark.parametrize(
    ("known", "now", "due"),
    [
        (None, TODAY - 60, TODAY),
        (None, TODAY, TOMORROW),
        (TODAY, TODAY - 60, TODAY),
        (TODAY, TODAY, TODAY),
        (TODAY, TODAY + 7200, TODAY),  # missed
        (TODAY, TODAY + 864000, TODAY),  # more than once
        (TOMORROW, TODAY - 3600, TOMORROW),  # the clock was set back by up to an hour
        (TOMORROW, TODAY - 3601, TODAY),  # by more
        (TOMORROW + 86400, TODAY - 60, TODAY),
        (TODAY + 1e9, TODAY - 60, TODAY),  # a clock that was wrong
        (TODAY - 3600, TODAY - 60, TODAY),  # another timetable had it at 08:00: this one has not
        (TODAY - 3600, TODAY + 60, TODAY),  # and what this one had meanwhile was missed
        (TODAY + 3600, TODAY - 60, TODAY),
        (TODAY + 1800, TODAY + 60, TOMORROW),
        (TODAY - 0.25, TODAY - 0.125, TODAY),  # a grid's
    ],
)
def test_what_is_due_next(known: float | None, now: float, due: float) -> None:
    assert NINE.due(known, now) == due


@given(st.sampled_from(ZONES), st.integers(FIRST, LAST), st.integers(0, 4_000_000))
@example("Europe/Berlin", int(moment("2026-03-28T12:00")), 86400)
def test_what_was_missed_is_due_when_it_was_to_be(zone: str, begun: int, away: int) -> None:
    table = timetable("02:30,14:00", zone)
    due = table.due(None, begun)
    assert table.due(due, begun + away) == due
    assert table.due(due, due) == due


# -- what cannot be


@pytest.mark.parametrize(
    ("times", "text"),
    [
        ("9:00", "its time is '9:00'; write hours and minutes from 00:00 to 23:59, as in '09:30'"),
        ("24:00", "its time is '24:00'"),
        ("09:60", "its time is '09:60'"),
        ("09:00,", "its time is ''"),
        ("", "its time is ''"),
        (["09:00", 10], "its time is 10"),
        (9, "its time is 9"),
        (None, "its time is None"),
        ([], "it has no time of day"),
    ],
)
def test_a_time_that_is_none(times: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        timetable(times)


@pytest.mark.parametrize("zone", ["Nowhere/X", "../etc/passwd", "/etc/localtime", "", "Europe", "a\0b", 3, None, []])
def test_a_zone_that_is_none(zone: Any) -> None:
    with pytest.raises(ValueError, match=r"which is none that is known here; write a name of the IANA database"):
        timetable("09:00", zone)


def test_a_machine_without_a_database_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(key: str) -> ZoneInfo:
        raise KeyError(key)

    monkeypatch.setattr(module, "ZoneInfo", nowhere)
    monkeypatch.setattr(module, "available_timezones", set)
    with pytest.raises(ValueError, match=r"its zone is 'Europe/Paris', .* no database of time zones: `pip install tz"):
        timetable("09:00", "Europe/Paris")
    assert timetable("09:00", "UTC").after(0.0) == 32400


@pytest.mark.parametrize(
    ("days", "text"),
    [
        ("foo", r"its days are 'foo'; write days of the week \('mon-fri', 'sat,sun'\) or of the month"),
        ("mon-fri-sun", "its days are"),
        ("mon-5", "its days are"),
        ("0", "its days are"),
        ("32", "its days are"),
        ("1000", "its days are"),
        ("mon-", "its days are"),
        (",", "its days are"),
        (3, "its days are 3"),
        (None, "its days are None"),
        ("5-1", "which end before they begin"),
        ("last-3", "which end before they begin"),
        ("20-last", "which end before they begin"),
        ("mon,1", "which are of the week and of the month; say one of both"),
    ],
)
def test_days_that_are_none(days: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        timetable("09:00", days=days)
