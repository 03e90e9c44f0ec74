"""Chaos in a tree that runs: what was asked for, when each fault comes, and what has to end it."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Mapping
from typing import Final

from attrs import frozen

from treewarden.supervisor.core.event import DeadLettered, Decided, Event, JournalFailed, SupervisorEnded

from .draws import Draws
from .faults import matches

__all__ = ["ChaosOrder", "Strike", "broken_by", "parse_order", "strikes"]

KINDS: Final = ("kill", "hang", "slow")
_UNITS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0}
_TIMES: Final = {"for": "lasts", "hangs": "hangs", "slows": "slows", "recover": "recover"}
_KNOWN: Final = ("seed", *KINDS, "blast", "max", *_TIMES, "promise")
_MOST_STRIKES: Final = 100.0
"""Faults of one kind a second, at most."""


@frozen(kw_only=True)
class ChaosOrder:
    """Which faults, how often, against whom, and until when."""

    seed: int
    rates: Mapping[str, float]
    """How often a second each kind comes, on average."""
    blast: tuple[str, ...] = ()
    """Patterns of paths; only agents that one of them fits are struck. None given: all agents."""
    most: int = 1
    """As many of those may be down, or struck and not well again, at once."""
    lasts: float = 60.0
    """Seconds; no fault comes after that."""
    bounded: bool = False
    """Whether `lasts` was said."""
    hangs: float = 10.0
    slows: float = 2.0
    recover: float = 30.0
    """Seconds that whoever was struck has until it is well again."""
    promise: str = ""
    """`module:function`, which says of a tree what does not hold in it."""

    @property
    def text(self) -> str:
        """The whole order, as `parse_order` reads it."""
        parts = [f"seed={self.seed}", *(f"{kind}={rate:g}/s" for kind, rate in self.rates.items())]
        parts += [f"blast={pattern}" for pattern in self.blast]
        parts += [f"max={self.most}", f"for={self.lasts:g}s"]
        parts += [f"hangs={self.hangs:g}s"] if "hang" in self.rates else []
        parts += [f"slows={self.slows:g}s"] if "slow" in self.rates else []
        parts += [f"recover={self.recover:g}s", *([f"promise={self.promise}"] if self.promise else [])]
        return ",".join(parts)

    def aims_at(self, path: str) -> bool:
        """Whether the agent at `path` may be struck. The root never is."""
        return path != "/" and (not self.blast or any(matches(pattern, [path]) for pattern in self.blast))

    @property
    def refusal(self) -> str:
        """Why a tree that people depend on is not to have this; empty if it may."""
        if not self.blast or "*" in self.blast:
            return "say whom it may strike: blast=PATTERN, and not blast=*"
        return "" if self.bounded else "say how long it may last: for=10m"


@frozen(kw_only=True)
class Strike:
    """One fault that is due."""

    at: float
    """Seconds after the beginning."""
    kind: str
    pick: float
    """Which of those that it may strike at that moment: a share of their sorted list."""


def parse_order(text: str) -> ChaosOrder:
    """`seed=7,kill=0.1/s,hang=2/m,blast=pool/*,max=1,for=10m`. Raises `ValueError` naming what is wrong."""
    patterns: list[str] = []
    given: dict[str, str] = {}
    for part in filter(None, (each.strip() for each in text.split(","))):
        name, equals, value = part.partition("=")
        if name not in _KNOWN or not equals:
            raise ValueError(
                f"{part!r} is nothing that chaos takes; it takes {', '.join(f'{each}=' for each in _KNOWN)}"
            )
        if not value:
            raise ValueError(f"{name}= needs a value")
        if name == "blast":
            patterns.append(value.removeprefix("/"))
        elif name in given:
            raise ValueError(f"{name} is said twice")
        else:
            given[name] = value
    rates = {kind: _rate(kind, given[kind]) for kind in KINDS if kind in given}
    if not rates:
        raise ValueError("no fault is asked for; give kill=0.1/s, hang=2/m or slow=1/m")
    if "seed" not in given:
        raise ValueError("a seed is missing, without which it could not be done again; give seed=7")
    times = {_TIMES[name]: _seconds(name, given[name]) for name in _TIMES if name in given}
    promise = given.get("promise", "")
    if promise and not all(part.isidentifier() for part in promise.replace(":", ".", 1).split(".")):
        raise ValueError(f"promise={promise} names no function; write promise=module:function")
    return ChaosOrder(
        seed=_whole("seed", given["seed"], 0), rates=rates, blast=tuple(patterns),
        most=_whole("max", given.get("max", "1"), 1), bounded="for" in given, promise=promise, **times,
    )  # fmt: skip


def _whole(name: str, text: str, least: int) -> int:
    if not text.isdecimal() or int(text) < least:
        raise ValueError(f"{name}={text} is no whole number, {least} or more")
    return int(text)


def _rate(kind: str, text: str) -> float:
    number, slash, unit = text.partition("/")
    value = _number(number) / _UNITS[unit] if slash and unit in _UNITS else math.nan
    if not 0 < value <= _MOST_STRIKES:
        raise ValueError(f"{kind}={text} is no rate; write how often on average, as in {kind}=0.1/s, 6/m or 20/h")
    return value


def _seconds(name: str, text: str) -> float:
    value = _number(text[:-1]) * _UNITS[text[-1]] if text[-1] in _UNITS else _number(text)
    if not 0 < value < 1e8:
        raise ValueError(f"{name}={text} is no time; write 30, 30s, 10m or 2h")
    return value


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def strikes(order: ChaosOrder) -> Iterator[Strike]:
    """All faults of an order, as they come: each kind at random (a Poisson process), by the seed alone."""
    rows = {kind: Draws(order.seed, "live", kind) for kind in order.rates}
    due = [(rows[kind].gap(rate), kind) for kind, rate in order.rates.items()]
    heapq.heapify(due)
    while due:
        at, kind = heapq.heappop(due)
        if at >= order.lasts:
            return
        draws = rows[kind]
        yield Strike(at=at, kind=kind, pick=draws.share())
        heapq.heappush(due, (at + draws.gap(order.rates[kind]), kind))


_SERIOUS: Final = {"hold": "a person is asked", "stop": "it is not restarted", "escalate": "its supervisor gives up"}


def broken_by(event: Event) -> str:
    """What this fact says is no longer as it has to be in a tree under chaos; empty if it says nothing of the kind."""
    match event:
        case DeadLettered(path=path, reason=reason):
            return f"{path} has given a message up: {reason}"
        case Decided(path=path, action=action) if action in _SERIOUS:
            return f"{path}: {_SERIOUS[action]}"
        case SupervisorEnded(path=path, reason=reason) if "intensity" in reason:
            return f"{path} has given up: {reason}"
        case JournalFailed(error=error):
            return f"the journal fails: {error}"
        case _:
            return ""
