"""The restart bucket of a tree: how often anything in it may be restarted, whoever decides so."""

from __future__ import annotations

import math
from typing import Any, Final

from attrs import Attribute, field

from treewarden.agents.core.values import define, frozen

__all__ = ["EMPTY", "Pace", "RestartBucket"]

EMPTY: Final = -math.inf
"""The `due` of a tree in which nothing was restarted yet."""


def _holds(_instance: Any, attribute: Attribute[Any], value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{attribute.name} is {value!r}; it must be a whole number, 1 or more")


def _every(_instance: Any, attribute: Attribute[Any], value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
        raise ValueError(f"{attribute.name} is {value!r}; it must be a number of seconds, more than 0 and finite")


@frozen
class RestartBucket:
    """At most `holds` restarts at once in a whole tree, and one more every `every` seconds.

    So no window of w seconds sees more than `holds + w / every` of them; what is beyond that waits its turn. It is a
    token bucket in the form of the generic cell rate algorithm (ITU-T I.371): all that is remembered is one moment,
    `due`, at which the bucket will be full again; times are seconds of one clock.
    """

    holds: int = field(default=1000, validator=_holds)
    every: float = field(default=0.01, validator=_every)

    def wait(self, due: float, now: float) -> float:
        """Seconds until the next restart may begin."""
        return max(0.0, due - (self.holds - 1) * self.every - now)

    def taken(self, due: float, now: float) -> float:
        """`due` after one more that was asked for `now`, and begins when `wait` is over."""
        return max(due, now) + self.every

    def describe(self) -> str:
        """`at most 1000 restarts at once in the whole tree, then one every 0.01 s`."""
        many = "1 restart" if self.holds == 1 else f"{self.holds} restarts"
        return f"at most {many} at once in the whole tree, then one every {self.every:g} s"


@define(eq=False)
class Pace:
    """A bucket and how much of it is used. One per tree; a new process begins with a full one."""

    bucket: RestartBucket | None = RestartBucket()
    """None: nothing has to wait."""
    due: float = EMPTY

    def wait(self, now: float) -> float:
        """Seconds until the next restart may begin; nothing is taken."""
        return 0.0 if self.bucket is None or self.due <= now else self.bucket.wait(self.due, now)

    def take(self, now: float, *, bound: bool = True) -> float:
        """Take the place of one restart, and return the seconds until then. One that is not bound begins at once."""
        bucket = self.bucket
        if bucket is None:
            return 0.0
        wait = self.wait(now)
        if bound or not wait:
            self.due = bucket.taken(self.due, now)
            return wait
        return 0.0
