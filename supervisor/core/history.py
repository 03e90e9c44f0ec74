"""How often a supervisor, and a whole tree, has restarted children lately, and how long the next restart waits."""

from __future__ import annotations

import math
from bisect import bisect_left
from typing import Final

from attrs import field

from treewarden.agents.core.values import define, frozen

from .spec import Backoff, Intensity, RestartBucket

__all__ = ["EMPTY", "NO_RESTARTS", "ONE_FAULT", "Pace", "RestartHistory", "delay"]

EMPTY: Final = -math.inf
"""The `due` of a tree in which nothing was restarted yet."""
ONE_FAULT: Final = 1.0
"""Seconds from the first failure of a fault within which siblings that fail by the same fault count as one restart."""
_COMPACT: Final = 64
_CLIMB: Final = 3
"""Failures in a row after which the default backoff is longer than the window of the default intensity."""


@frozen
class _Group:
    """The children that one fault has taken down, counted as one restart.

    `members` is shared by successive values and only ever grows; a value sees its first `size` keys.
    """

    fault: str
    first: float
    members: dict[str, int]
    size: int

    @classmethod
    def opened(cls, fault: str, at: float, child: str) -> _Group:
        return cls(fault, at, {child: 0}, 1)

    def holds(self, child: str) -> bool:
        return self.members.get(child, self.size) < self.size

    def joined(self, child: str) -> _Group:
        members = self.members
        if len(members) != self.size:  # another value grew them after this one: go on with a copy
            members = {name: place for name, place in members.items() if place < self.size}
        members[child] = self.size
        return _Group(self.fault, self.first, members, self.size + 1)


@frozen(eq=False, repr=False)
class RestartHistory:
    """The restarts of a supervisor, or of one child, that still count. A value: `noted` returns the next one.

    The algorithm is OTP's `add_restart`: drop what is older than the window, keep what is exactly as old, add
    the new one, and compare the number with the limit. Successive values share one growing list of times, of
    which each sees its own part; so noting costs amortised O(1) along a line of values, and one copy of the
    window where two values go on from the same one.

    Not promised: more than `max_restarts + 1` times; nothing needs them.
    """

    _times: list[float] = field(factory=list[float])
    _start: int = 0
    _stop: int = 0
    _groups: tuple[_Group, ...] = ()

    @property
    def count(self) -> int:
        """Restarts in the window, as of the last one noted."""
        return self._stop - self._start

    @property
    def times(self) -> tuple[float, ...]:
        """When they were, oldest first."""
        return tuple(self._times[self._start : self._stop])

    def noted(self, at: float, intensity: Intensity, child: str = "", fault: str | None = None) -> RestartHistory:
        """With a restart of `child` at `at` (seconds; a time before the last one counts as the last one).

        With a `fault`, other children that fail by it within `ONE_FAULT` seconds of its first failure count as
        one with that, so that a group restart counts once; the same child counts again. Without, each counts.
        """
        times, start, stop = self._times, self._start, self._stop
        if start < stop:
            at = max(at, times[stop - 1])
        limit = at - intensity.within
        while start < stop and times[start] < limit:
            start += 1
        groups = self._groups
        if groups or fault:
            groups = tuple(group for group in groups if at - group.first <= ONE_FAULT)
        if fault:
            for index, group in enumerate(groups):
                if group.fault == fault and not group.holds(child):
                    joined = (*groups[:index], group.joined(child), *groups[index + 1 :])
                    return RestartHistory(times, start, stop, joined)
            rest = tuple(group for group in groups if group.fault != fault)
            groups = (*rest, _Group.opened(fault, at, child))
        if len(times) != stop or not stop:  # another value noted a restart after this one: go on with a copy
            times, start, stop = times[start:stop], 0, stop - start
        elif start > _COMPACT and 2 * start > stop:
            times, start, stop = times[start:], 0, stop - start
        times.append(at)
        stop += 1
        return RestartHistory(times, max(start, stop - intensity.max_restarts - 1), stop, groups)

    def exceeded(self, intensity: Intensity) -> bool:
        """Whether the restart that was noted last is one too many: more than `max_restarts` in the window."""
        return self._stop - self._start > intensity.max_restarts

    def room_in(self, at: float, intensity: Intensity) -> float:
        """Seconds from `at` on until one of these restarts counts no more, where they are as many as the limit allows;
        0 where one more is within it."""
        if self.count < intensity.max_restarts or not self.count:
            return 0.0
        left = self._times[self._stop - max(1, intensity.max_restarts)] + intensity.within - at
        return max(0.0, math.nextafter(left, math.inf))

    def has_room(self, at: float, intensity: Intensity) -> bool:
        """Whether a child that fails at `at` may begin anew with its first backoff: half of the restarts are left, and
        those that lead up to a backoff as long as the window of the default intensity."""
        used = self._stop - bisect_left(self._times, at - intensity.within, self._start, self._stop)
        return used + _CLIMB <= intensity.max_restarts and 2 * used <= intensity.max_restarts

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RestartHistory) and self._value() == other._value()

    def __hash__(self) -> int:
        return hash(self.times)

    def __repr__(self) -> str:
        return f"RestartHistory({self.count} at {self.times})"

    def _value(self) -> tuple[tuple[float, ...], tuple[tuple[str, float, frozenset[str]], ...]]:
        groups = ((g.fault, g.first, frozenset(name for name in g.members if g.holds(name))) for g in self._groups)
        return self.times, tuple(groups)


NO_RESTARTS: Final = RestartHistory()
"""Nothing was restarted yet. A value, so one will do for all: nobody else's list begins in it."""


@define(eq=False)
class Pace:
    """A bucket and how much of it is used. One per tree; a new process begins with a full one.

    It is a token bucket in the form of the generic cell rate algorithm (ITU-T I.371).
    """

    bucket: RestartBucket | None = RestartBucket()
    """None: nothing has to wait."""
    due: float = EMPTY
    """When the bucket will be full again: all that has to be remembered, in seconds of one clock."""

    def wait(self, now: float) -> float:
        """Seconds until the next restart may begin; nothing is taken."""
        bucket = self.bucket
        if bucket is None:
            return 0.0
        wait = self.due - (bucket.holds - 1) * bucket.every - now
        return wait if wait > 0.0 else 0.0

    def begin(self, now: float) -> None:
        """Take the place of a restart that was asked for now, and begins when its `wait` is over."""
        if self.bucket is not None:
            due = self.due
            self.due = (due if due > now else now) + self.bucket.every

    def take(self, now: float, *, bound: bool = True) -> float:
        """Take the place of one restart, and return the seconds until then. One that is not bound begins at once."""
        wait = self.wait(now)
        if wait and not bound:
            return 0.0
        self.begin(now)
        return wait


def delay(backoff: Backoff, attempt: int, spread: float) -> float:
    """Seconds that attempt number `attempt` (from 1) waits: exponential, capped, less a random share.

    `spread` is from 0 (the whole delay) up to 1 (the whole `jitter` taken off); the shell draws it. Jitter after
    AWS, "Exponential Backoff And Jitter": children that failed together do not come back together.
    """
    try:
        full = min(backoff.first * backoff.factor ** (max(attempt, 1) - 1), backoff.most)
    except OverflowError:  # the power has left the floats; a `first` of 0 stays 0
        full = backoff.most if backoff.first else 0.0
    return full * (1.0 - backoff.jitter * spread)
