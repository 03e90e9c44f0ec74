"""Times of day in a zone: when the next one is, over days on which the clock there is put forward or back."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any, Final, cast
from zoneinfo import ZoneInfo, available_timezones

from .said import shown
from .values import frozen

__all__ = ["Timetable", "timetable"]

_WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_LAST: Final = 0
"""Stands for the last day of a month."""
_TIME: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?", re.ASCII)
_DAY: Final = timedelta(days=1)
_SET_BACK: Final = 3600.0
"""Seconds by which a clock may be set back without anything being done a second time."""


@frozen
class Timetable:
    """Times of day, in a zone, on some days or on all; made by `timetable`.

    Each is one moment: a time that the clock there does not show on a day comes right after the gap, one that it
    shows twice comes the first time.
    """

    times: tuple[int, ...]
    """Seconds of the day by the clock there, from early to late."""
    zone: str = "UTC"
    weekdays: tuple[int, ...] = ()
    """From 0, Monday, to 6; none: every day."""
    monthdays: tuple[int, ...] = ()
    """From 1 to 31; 0 is the last one; none: every day."""

    def after(self, moment: float) -> float:
        """The first one after `moment`. Both are seconds since 1970."""
        zone = _zone(self.zone)
        day = datetime.fromtimestamp(moment, zone).date()
        while True:
            if self._has(day):
                for seconds in self.times:
                    due = _first(day, seconds, zone)
                    if due > moment:
                        return due
            day += _DAY

    def due(self, known: float | None, now: float) -> float:
        """When it is due next, where the next one was to be at `known`; what has passed meanwhile is due still.

        `known` may come from another timetable, or from a wrong clock: what is then due is on this one. Not
        promised: that nothing comes twice where a clock is set back by more than an hour.
        """
        soonest = self.after(now)
        if known is None or known > self.after(now + _SET_BACK):
            return soonest
        first = self.after(math.nextafter(known, -math.inf))  # not before `known`
        return first if first <= now or first == known else soonest

    def _has(self, day: date) -> bool:
        if self.weekdays:
            return day.weekday() in self.weekdays
        if not self.monthdays or day.day in self.monthdays:
            return True
        return _LAST in self.monthdays and (day + _DAY).day == 1

    def __str__(self) -> str:
        parts = [_clock(seconds) for seconds in self.times]
        days = [_WEEKDAYS[day] for day in self.weekdays] + [str(day or "last") for day in self.monthdays]
        return " ".join(filter(None, (",".join(parts), ",".join(days), self.zone)))


def timetable(times: str | Sequence[str], zone: str = "UTC", days: str = "") -> Timetable:
    """The times of day `times` ("09:00", "09:00,17:30", or several texts), by the clock of `zone`, on `days`.

    `zone` is a name of the IANA database ("Europe/Berlin"). `days` are days of the week ("mon-fri", "sat,sun") or of
    the month ("1,15,last"; a month that has no such day is left out); every day, if none are said. Raises `ValueError`
    that names what cannot be, and the remedy.
    """
    _zone(zone)
    weekdays, monthdays = _days(days)
    return Timetable(_times(times), zone, weekdays, monthdays)


def _zone(name: Any) -> tzinfo:
    if name == "UTC":
        return UTC  # which needs no database
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError, TypeError, AttributeError):
        pass
    remedy = "write a name of the IANA database, as in zone='Europe/Berlin'"
    if not available_timezones():
        remedy = "this machine has no database of time zones: `pip install tzdata`"
    raise ValueError(f"its zone is {shown(name)}, which is none that is known here; {remedy}")


def _first(day: date, seconds: int, zone: tzinfo) -> float:
    """When the clock in `zone` comes to a time of `day`, or past it, for the first time."""
    minutes, second = divmod(seconds, 60)
    local = datetime.combine(day, time(*divmod(minutes, 60), second))
    earlier = local.replace(tzinfo=zone)
    high = int(earlier.timestamp())
    if datetime.fromtimestamp(high, zone).replace(tzinfo=None, fold=0) == local:
        return float(high)
    low = int(earlier.replace(fold=1).timestamp())  # it is in a gap, which ends after this and not after `high`
    after = datetime.fromtimestamp(high, zone).utcoffset()
    while high - low > 1:
        middle = (low + high) // 2
        if datetime.fromtimestamp(middle, zone).utcoffset() == after:
            high = middle
        else:
            low = middle
    return float(high)


def _times(given: Any) -> tuple[int, ...]:
    if isinstance(given, str):
        found = {_seconds(text) for text in given.split(",")}
    else:
        found = {_seconds(text) for text in cast("Sequence[Any]", given if isinstance(given, Sequence) else [given])}
    if not found:
        raise ValueError("it has no time of day; write at least one, as in '09:30'")
    return tuple(sorted(found))


def _seconds(text: Any) -> int:
    match = _TIME.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f"its time is {shown(text)}; write hours and minutes from 00:00 to 23:59, as in '09:30'")
    hours, minutes, seconds = match.groups("0")
    return int(hours) * 3600 + int(minutes) * 60 + int(seconds)


def _days(given: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    if given == "":
        return (), ()
    parts = given.lower().split(",") if isinstance(given, str) else [given]
    weekdays: set[int] = set()
    monthdays: set[int] = set()
    for part in parts:
        ends = [_day(end.strip()) for end in part.split("-")] if isinstance(part, str) else []
        kinds = {kind for kind, _ in ends}
        if len(ends) not in (1, 2) or len(kinds) != 1 or None in kinds:
            remedy = "write days of the week ('mon-fri', 'sat,sun') or of the month ('1,15,last')"
            raise ValueError(f"its days are {shown(given)}; {remedy}")
        first, last = ends[0][1], ends[-1][1]
        if "week" in kinds:
            weekdays.update((first + step) % 7 for step in range((last - first) % 7 + 1))
        elif len(ends) == 1 or 0 < first <= last:
            monthdays.update(range(first, last + 1))
        else:
            raise ValueError(f"its days are {shown(given)}, which end before they begin; write them as in '1-5,last'")
    if weekdays and monthdays:
        text = "which are of the week and of the month; say one of both, and give the other a method of its own"
        raise ValueError(f"its days are {shown(given)}, {text}")
    return tuple(sorted(weekdays)), tuple(sorted(monthdays, key=lambda day: day or 32))


def _day(text: str) -> tuple[str | None, int]:
    if text in _WEEKDAYS:
        return "week", _WEEKDAYS.index(text)
    if text == "last":
        return "month", _LAST
    if len(text) <= 2 and text.isascii() and text.isdecimal() and 1 <= int(text) <= 31:
        return "month", int(text)
    return None, 0


def _clock(seconds: int) -> str:
    minutes, second = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}" + (f":{second:02}" if second else "")
