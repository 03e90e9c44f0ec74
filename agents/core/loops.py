"""An agent that does the same again and again: the same calls with the same arguments and the same results."""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Sequence
from typing import Any

from attrs import Attribute, field

from .said import is_count, shown
from .values import define, frozen

__all__ = ["Cycle", "LoopLimit", "Loops", "digest_of", "period_in"]


def _from(least: int, most: int) -> Any:
    def check(_instance: Any, attribute: Attribute[Any], value: Any) -> None:
        if not is_count(value, least) or value > most:
            raise ValueError(f"{attribute.name} is {shown(value)}; give a whole number from {least} to {most}")

    return check


@frozen(kw_only=True)
class LoopLimit:
    """From when repeating itself is a loop."""

    period: int = field(default=4, validator=_from(1, 16))
    """How many calls a cycle may have at most."""
    times: int = field(default=3, validator=_from(2, 100))
    """How often a cycle has to come one after the other."""


@frozen
class Cycle:
    """What is repeated."""

    calls: tuple[str, ...]
    """The names of the calls of one turn, in order."""
    times: int

    def __str__(self) -> str:
        return f"{' -> '.join(self.calls)}, {self.times} times with the same arguments and results"


def period_in(seen: Sequence[object], limit: LoopLimit) -> int | None:
    """The length of the shortest cycle that has come `limit.times` times in a row at the end of `seen`."""
    for period in range(1, limit.period + 1):
        needed = period * limit.times
        if len(seen) < needed:
            return None
        last = len(seen) - 1
        if all(seen[last - back] == seen[last - back - period] for back in range(needed - period)):
            return period
    return None


def digest_of(call: str, arguments: object, result: object) -> bytes:
    """Equal for the same call with the same arguments, in whatever order they are named, and the same result.

    Raises `ValueError` for what JSON cannot say; bytes may stand for a result.
    """
    try:
        said = json.dumps([call, arguments], sort_keys=True, separators=(",", ":")).encode()
        came = result if isinstance(result, bytes) else json.dumps(result, sort_keys=True).encode()
    except (TypeError, ValueError) as error:
        raise ValueError(f"{call}: {error}; give what JSON can say, or a digest of it") from None
    return hashlib.blake2b(said + b"\0" + came, digest_size=12).digest()


@define
class Loops:
    """What one incarnation has done lately. Costs a digest and a few comparisons for each call."""

    limit: LoopLimit
    _seen: deque[bytes] = field(init=False)
    _calls: deque[str] = field(init=False)
    _tokens: deque[object] = field(init=False)
    _said: int | None = field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        most = self.limit.period * self.limit.times
        self._seen, self._calls, self._tokens = deque(maxlen=most), deque(maxlen=most), deque(maxlen=self.limit.period)

    def noted(self, call: str, arguments: object, result: object) -> Cycle | None:
        """Take a call; the cycle that it completes, once for each loop. Raises as `digest_of`."""
        self._seen.append(digest_of(call, arguments, result))
        self._calls.append(call)
        period, before = period_in(self._seen, self.limit), self._said
        self._said = period
        if period is None or before is not None:
            return None
        return Cycle(tuple(self._calls)[-period:], self.limit.times)

    def is_new(self, token: object) -> bool:
        """Whether a token of progress is none of the last few: going round in circles is no progress."""
        if token in self._tokens:
            return False
        self._tokens.append(token)
        return True
