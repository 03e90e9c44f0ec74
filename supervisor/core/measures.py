"""Limits of what is measured, from readings to signals: memory that grows, calls that take long, what is spent."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeAlias

from attrs import Attribute, field

from treewarden.agents.core.path import Path
from treewarden.agents.core.said import DELIVERY, check_reading, is_count, is_number, shown
from treewarden.agents.core.values import frozen

from .signal import Recovered, Reported

__all__ = [
    "HANDLING",
    "BudgetGauge",
    "BudgetLimit",
    "Gauge",
    "LatencyLimit",
    "Limit",
    "MemoryGauge",
    "MemoryLimit",
    "Trend",
    "check_limits",
    "gauge_of",
    "quantile",
    "trend",
]

HANDLING: Final = "handling"
"""The readings of how long messages are handled. Nobody but the runner says them."""
_READ: Final = {
    "message": (DELIVERY, "from sent to handled"),
    "handler": (HANDLING, "in its handler"),
    "said": ("latency", "as it says"),
}
"""By what a `LatencyLimit` is of: its readings, and how they are called."""
_READINGS: Final = 64
"""Readings of a meter that are kept."""
_FEWEST: Final = 5
"""Readings that a trend takes at least, over half of its window."""
_STRAIGHT: Final = 0.5
"""How much of the ups and downs a trend has to explain (R squared): a sawtooth is none."""
_BUCKETS: Final = 60
"""Parts of the time that a budget is for; the oldest is forgotten as a whole."""
_WORTH: Final = 0.02
"""Share of a budget from which on what was spent is journaled at once."""
_BACK: Final = 0.8
"""Share of its limit down to which something that was over it stays so: what is at the mark does not flap."""
_OF_ANOTHER: Final = -1.0
"""How bad it was in an earlier life: whatever is read now is worse by more than `_WORSE`."""
_WORSE: Final = 0.2
"""How much worse it has to become to be said again."""


def _amount(_instance: Any, attribute: Attribute[Any], value: Any) -> None:
    if not is_number(value) or not 0 < value < math.inf:
        raise ValueError(f"{attribute.name} is {shown(value)}; give a number above 0")


def _amount_or_none(instance: Any, attribute: Attribute[Any], value: Any) -> None:
    if value is not None:
        _amount(instance, attribute, value)


def _share(_instance: Any, attribute: Attribute[Any], value: Any) -> None:
    if not is_number(value) or not 0 < value < 1:
        raise ValueError(f"{attribute.name} is {shown(value)}; give a share between 0 and 1, as in 0.95")


def _count(_instance: Any, attribute: Attribute[Any], value: Any) -> None:
    if not is_count(value, 2) or value > 10_000:
        raise ValueError(f"{attribute.name} is {shown(value)}; give a whole number from 2 to 10000")


def _of(_instance: Any, attribute: Attribute[Any], value: Any) -> None:
    if not isinstance(value, str) or value not in _READ:
        raise ValueError(f"{attribute.name} is {value!r:.80}; say 'message', 'handler' or 'said'")


def _callable_or_none(_instance: Any, attribute: Attribute[Any], value: Any) -> None:
    if value is not None and not callable(value):
        raise ValueError(f"{attribute.name} is {value!r:.80}; give a function without arguments that returns bytes")


@frozen(kw_only=True)
class MemoryLimit:
    """When an agent's memory grows too fast (`memory_slope`), or is too much (`memory`)."""

    grows: float | None = field(default=None, validator=_amount_or_none)
    """Bytes per second, over `within` seconds, from which on it leaks."""
    most: float | None = field(default=None, validator=_amount_or_none)
    """Bytes from which on it is too much."""
    meter: Callable[[], float] | None = field(default=None, validator=_callable_or_none)
    """Returns the bytes in use, at once. Without one those of the agent's own process are read (a `ProcessAgent`, on
    Linux); an agent without a process says `self.measured("memory", bytes)` itself."""
    within: float = field(default=60.0, validator=_amount)
    every: float = field(default=2.0, validator=_amount)
    """Seconds between two readings of the meter."""

    def __attrs_post_init__(self) -> None:
        if self.grows is None and self.most is None:
            raise ValueError("a MemoryLimit needs `grows` (bytes per second) or `most` (bytes)")


@frozen(kw_only=True)
class LatencyLimit:
    """When calls take too long: a share `p` of the last `last` readings in seconds lies above `most`."""

    most: float = field(validator=_amount)
    """Seconds."""
    of: str = field(default="message", validator=_of)
    """What is read: `message`, how long it takes from when a message was sent until it was handled; `handler`, only
    while it is handled; or `said`, what the agent says itself (`self.measured("latency", seconds)`). The first two are
    measured without a word of the agent's."""
    p: float = field(default=0.95, validator=_share)
    last: int = field(default=100, validator=_count)
    """Readings that are looked at; before there are a fifth of them nothing is said."""


@frozen(kw_only=True)
class BudgetLimit:
    """When too much is spent: readings of `cost` add up to more than `most` in `within` seconds (`budget`)."""

    most: float = field(validator=_amount)
    """In the unit of the readings: dollars, tokens, calls."""
    within: float = field(default=3600.0, validator=_amount)


Limit: TypeAlias = MemoryLimit | LatencyLimit | BudgetLimit


def check_limits(limits: object) -> tuple[Limit, ...]:
    """The limits of an agent. Raises `ValueError` for what is none, and for two of one kind."""
    if limits == ():
        return ()
    if not isinstance(limits, (tuple, list)):
        raise ValueError(f"limits is {limits!r:.80}; give a tuple, (LatencyLimit(most=0.5),)")
    found: list[Limit] = []
    for each in limits:  # pyright: ignore[reportUnknownVariableType]
        if not isinstance(each, (MemoryLimit, LatencyLimit, BudgetLimit)):
            raise ValueError(f"limits has {each!r:.80}; give a MemoryLimit, LatencyLimit or BudgetLimit")
        if any(type(each) is type(other) for other in found):
            raise ValueError(f"limits has two of {type(each).__name__}; give one")
        found.append(each)
    return tuple(found)


# What readings say -----------------------------------------------------------------------------------------------


@frozen
class Trend:
    """A straight line through readings."""

    slope: float
    """Per second."""
    straight: float
    """R squared: the share of the ups and downs that it explains, from 0 to 1."""


def trend(readings: Sequence[tuple[float, float]]) -> Trend:
    """The least-squares line through `(seconds, value)`; of fewer than two moments a level one."""
    count = len(readings)
    if count < 2:
        return Trend(0.0, 0.0)
    at = sum(when for when, _ in readings) / count
    mean = sum(value for _, value in readings) / count
    times = sum((when - at) ** 2 for when, _ in readings)
    values = sum((value - mean) ** 2 for _, value in readings)
    both = sum((when - at) * (value - mean) for when, value in readings)
    if times <= 0.0 or values <= 0.0:
        return Trend(0.0, 0.0)
    return Trend(both / times, min(1.0, both / times * (both / values)))


def quantile(ordered: Sequence[float], p: float) -> float:
    """The smallest value that a share `p` of `ordered` does not exceed (nearest rank)."""
    return ordered[max(0, math.ceil(p * len(ordered)) - 1)]


# Gauges ----------------------------------------------------------------------------------------------------------


class Gauge:
    """One limit of one agent, with what was measured. Time is given; it reads no clock."""

    what = ""
    """The readings that it is about."""
    every = math.inf
    """Seconds between two looks at it; infinite for one that only readings move."""
    kinds: frozenset[str] = frozenset()
    """What it may say."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._said: dict[str, float] = {}
        """How bad it was when it was said last, by kind; empty while all is well."""

    @property
    def exceeded(self) -> frozenset[str]:
        """The kinds that were said, and that are not over."""
        return frozenset(self._said)

    def follow(self, exceeded: Iterable[str]) -> None:
        """What had been `exceeded` in an earlier life: if it still is, that is said anew; if not, that it is over."""
        self._said = {kind: _OF_ANOTHER for kind in exceeded if kind in self.kinds}

    def read(self, value: float, at: float) -> list[Reported | Recovered]:
        """One more reading; what is to be told of it. Raises `ValueError` for a value that cannot have been read."""
        check_reading(self.what, value)
        return self._read(float(value), at)

    def _read(self, value: float, at: float) -> list[Reported | Recovered]:
        raise NotImplementedError

    def look(self, at: float) -> list[Reported | Recovered]:
        """Time has passed."""
        return []

    def _judge(
        self, kind: str, value: float, limit: float, at: float, text: str, **facts: float
    ) -> list[Reported | Recovered]:
        severity = min(1.0, 0.5 * value / limit)
        said = self._said.get(kind)
        if value > limit and (said is None or severity >= said + _WORSE):
            self._said[kind] = severity
            return [Reported(path=self._path, at=at, kind=kind, severity=severity, text=text, facts=facts)]
        if said is not None and value <= _BACK * limit:
            del self._said[kind]
            return [Recovered(path=self._path, at=at, kind=kind, text=text)]
        return []


class MemoryGauge(Gauge):
    """Bytes over time."""

    what = "memory"

    def __init__(self, path: Path, limit: MemoryLimit) -> None:
        super().__init__(path)
        self.limit = limit
        self.every = limit.every
        said = {"memory": limit.most, "memory_slope": limit.grows}
        self.kinds = frozenset(kind for kind, mark in said.items() if mark is not None)
        self._readings = deque[tuple[float, float]]()
        self._due = -math.inf

    def is_due(self, at: float) -> bool:
        """Whether the meter is to be read now; then it is not until `every` seconds later."""
        if at < self._due:
            return False
        self._due = at + self.every
        return True

    def _read(self, value: float, at: float) -> list[Reported | Recovered]:
        limit, readings = self.limit, self._readings
        if not readings or at - readings[-1][0] >= limit.within / _READINGS:
            readings.append((at, value))
        while len(readings) > 1 and at - readings[0][0] > limit.within:
            readings.popleft()
        told: list[Reported | Recovered] = []
        if limit.most is not None:
            told += self._judge("memory", value, limit.most, at, f"{value:.4g} bytes", rss_bytes=value)
        if limit.grows is not None and len(readings) >= _FEWEST and at - readings[0][0] >= limit.within / 2:
            line = trend(readings)
            slope = line.slope if line.straight >= _STRAIGHT else 0.0
            text = f"{slope:+.4g} bytes per second over {at - readings[0][0]:.3g} s"
            told += self._judge("memory_slope", slope, limit.grows, at, text, slope=slope, rss_bytes=value)
        return told


class LatencyGauge(Gauge):
    """How long the last calls took."""

    kinds = frozenset({"latency"})

    def __init__(self, path: Path, limit: LatencyLimit) -> None:
        super().__init__(path)
        self.what, self._span = _READ[limit.of]
        self._limit = limit
        self._last = deque[float]()
        self._ordered: list[float] = []

    def _read(self, value: float, at: float) -> list[Reported | Recovered]:
        limit, ordered = self._limit, self._ordered
        self._last.append(value)
        insort(ordered, value)
        if len(ordered) > limit.last:
            del ordered[bisect_left(ordered, self._last.popleft())]
        if 5 * len(ordered) < limit.last:
            return []
        slow = quantile(ordered, limit.p)
        if not self._said and slow <= limit.most:
            return []
        text = f"p{100 * limit.p:g} of {len(ordered)} is {slow:.3g} s {self._span} (limit {limit.most:g} s)"
        return self._judge("latency", slow, limit.most, at, text, latency_ms=1000 * slow)


class BudgetGauge(Gauge):
    """What was spent lately."""

    what = "cost"
    kinds = frozenset({"budget"})

    def __init__(self, path: Path, limit: BudgetLimit) -> None:
        super().__init__(path)
        self.limit = limit
        self.every = min(5.0, limit.within / _BUCKETS)
        self._spent = deque[tuple[float, float]]()
        """By the beginning of a part of the time, how much was spent in it."""
        self._untold = 0.0
        self._untold_since = 0.0

    def recall(self, spent: Iterable[tuple[float, float]], at: float) -> None:
        """What was spent before it was made: when, and how much, in the order of time."""
        known = [each for each in spent if at - each[0] < self.limit.within]
        self._spent.extendleft(reversed(known))

    def spent(self, at: float) -> tuple[tuple[float, float], ...]:
        """When how much was spent, as far as it counts."""
        return tuple([each for each in self._spent if at - each[0] < self.limit.within])

    def tell(self, at: float, *, all: bool = False) -> float:
        """What was spent that nobody was told of, if it is worth telling, or time; 0 if not. With `all` it is."""
        untold, limit = self._untold, self.limit
        worth = untold >= _WORTH * limit.most or at - self._untold_since >= limit.within / _BUCKETS
        if not untold or not (worth or all):
            return 0.0
        self._untold = 0.0
        return untold

    def _read(self, value: float, at: float) -> list[Reported | Recovered]:
        spent = self._spent
        if not self._untold:
            self._untold_since = at
        self._untold += value
        if spent and at - spent[-1][0] < self.limit.within / _BUCKETS:
            spent[-1] = spent[-1][0], spent[-1][1] + value
        else:
            spent.append((at, value))
        return self.look(at)

    def look(self, at: float) -> list[Reported | Recovered]:
        limit, spent = self.limit, self._spent
        while spent and at - spent[0][0] >= limit.within:
            spent.popleft()
        if not self._said and not spent:
            return []
        total = math.fsum(amount for _, amount in spent)
        text = f"{total:.4g} spent in {limit.within:g} s (limit {limit.most:g})"
        return self._judge("budget", total, limit.most, at, text, spent=total)


def gauge_of(limit: Limit, path: Path) -> Gauge:
    """What measures by this limit."""
    if isinstance(limit, MemoryLimit):
        return MemoryGauge(path, limit)
    return LatencyGauge(path, limit) if isinstance(limit, LatencyLimit) else BudgetGauge(path, limit)
