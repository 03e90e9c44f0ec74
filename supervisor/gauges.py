"""The gauges of a tree: what is measured of agents that have limits, by meters and by what they say of themselves."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from treewarden.agents.core.exit import describe
from treewarden.agents.core.path import Path
from treewarden.agents.core.said import DELIVERY

from .core.event import Spent
from .core.measures import HANDLING, BudgetGauge, Gauge, LatencyLimit, MemoryGauge, gauge_of
from .core.signal import Recovered, Reported

if TYPE_CHECKING:
    from .warden import AgentWarden

__all__ = ["Gauges", "rss_of"]

Handlers: TypeAlias = Mapping[type, Callable[..., Any]]

_KEPT: Final = 1000
"""Budgets of paths at which nobody lives that are remembered at most."""
_FAILED: Final = "meter_failed"
_NOTHING: Final = frozenset[str]()


class Gauges:
    """One per tree. A new life begins with new gauges, except that what was spent is spent."""

    def __init__(self, now: Callable[[], float], rss: Callable[[int], float | None] | None = None) -> None:
        """`rss` reads the bytes that a process uses (`rss_of`)."""
        self._now = now
        self._rss = rss if rss is not None else rss_of
        self._lives: dict[AgentWarden, tuple[Gauge, ...]] = {}
        self._budgets: dict[Path, BudgetGauge] = {}
        """Of all that live here, and of the last ones that did."""
        self._recalled: dict[Path, list[tuple[float, float]]] = {}
        """What was spent in earlier processes, where nobody has lived yet."""
        self._broken = set[Path]()
        """Whose meter failed the last time."""

    def begin(self, life: AgentWarden, handlers: Handlers) -> Handlers:
        """A life has begun whose spec has limits. Returns what is to handle its messages: `handlers`, timed if one of
        the limits is of how long that takes."""
        path, now = life.slot.path, self._now()
        gauges = [gauge_of(limit, path) for limit in life.spec.limits]
        for place, gauge in enumerate(gauges):
            if isinstance(gauge, BudgetGauge):
                before = self._budgets.pop(path, None)
                if before is None:
                    gauge.recall(self._recalled.pop(path, ()), now)
                elif before.limit == gauge.limit:
                    gauges[place] = gauge = before
                else:
                    gauge.recall(before.spent(now), now)
                self._budgets[path] = gauge
            if not gauge.exceeded:
                gauge.follow(life.child.exceeded)
        self._forget_unmeasured(life, gauges)
        if gauges:
            self._lives[life] = tuple(gauges)
        timed = next((limit for limit in life.spec.limits if isinstance(limit, LatencyLimit)), None)
        if timed is None or timed.of == "said":
            return handlers
        from treewarden.agents.clocked import clocked, sent_at  # few want to know

        if timed.of == "handler":
            return clocked(handlers, self._now, partial(life.measured, HANDLING))
        life.slot.time_messages()
        return clocked(handlers, self._now, partial(life.measured, DELIVERY), partial(sent_at, life.slot))

    def _forget_unmeasured(self, life: AgentWarden, gauges: Sequence[Gauge]) -> None:
        """What an earlier life exceeded by a limit that is not there any more is over: nobody would ever say so."""
        gone, life.child.exceeded = life.child.exceeded.difference(*[gauge.kinds for gauge in gauges]), _NOTHING
        now, text = self._now(), "it has no such limit any more"
        _tell(life, [Recovered(path=life.slot.path, at=now, kind=kind, text=text) for kind in sorted(gone)])

    def recall(self, path: Path, at: float, amount: float) -> None:
        """Of an earlier process: what was spent at `at`, in the clock of the loop. In the order of time."""
        self._recalled.setdefault(path, []).append((at, amount))

    def end(self, life: AgentWarden) -> None:
        gauges = self._lives.pop(life, ())
        life.child.exceeded = _NOTHING.union(*[gauge.exceeded for gauge in gauges])
        for gauge in gauges:
            if isinstance(gauge, BudgetGauge):
                self._journal(life, gauge, all=True)
        if len(self._budgets) > len(self._lives) + _KEPT:
            self._forget()

    def _forget(self) -> None:
        """Budgets where nobody lives: those of which nothing counts any more, and of the others the oldest."""
        now, alive = self._now(), {life.slot.path for life in self._lives}
        empty = [path for path in self._budgets if path not in alive]
        spent = [path for path in empty if self._budgets[path].spent(now)]
        for path in {*empty}.difference(spent[-_KEPT // 2 :]):
            del self._budgets[path]

    def _journal(self, life: AgentWarden, gauge: BudgetGauge, *, all: bool = False) -> None:
        amount = gauge.tell(self._now(), all=all)
        if amount:
            life.parent.common.note(Spent(path=life.slot.path, amount=amount))

    def measured(self, life: AgentWarden, what: str, value: float) -> None:
        """A reading; one that no limit is about is dropped."""
        for gauge in self._lives.get(life, ()):
            if gauge.what == what:
                told = gauge.read(value, self._now())
                if isinstance(gauge, BudgetGauge):
                    self._journal(life, gauge)
                _tell(life, told)

    @property
    def interval(self) -> float:
        """Seconds until something may be due; infinite where nothing is looked at."""
        return min((gauge.every for gauges in self._lives.values() for gauge in gauges), default=math.inf)

    def look(self) -> None:
        """Read the meters that are due, and forget what is over."""
        now = self._now()
        for life, gauges in list(self._lives.items()):
            for gauge in gauges:
                if isinstance(gauge, MemoryGauge):
                    if gauge.is_due(now):
                        self._read(life, gauge, now)
                else:
                    if isinstance(gauge, BudgetGauge):
                        self._journal(life, gauge)
                    _tell(life, gauge.look(now))

    def _read(self, life: AgentWarden, gauge: MemoryGauge, now: float) -> None:
        path = life.slot.path
        try:
            value = self._meter(life, gauge)
            told = gauge.read(value, now) if value is not None else []
        except Exception as error:
            if path not in self._broken:
                self._broken.add(path)
                text = f"the meter of its memory failed: {describe(error)}"
                _tell(life, [Reported(path=path, at=now, kind=_FAILED, severity=0.2, text=text[:1000])])
            return
        if path in self._broken:
            self._broken.discard(path)
            _tell(life, [Recovered(path=path, at=now, kind=_FAILED)])
        _tell(life, told)

    def _meter(self, life: AgentWarden, gauge: MemoryGauge) -> float | None:
        if gauge.limit.meter is not None:
            return gauge.limit.meter()
        from treewarden.agents.process import ProcessAgent  # nobody needs it who has none

        agent = life.slot.agent
        pid = agent.pid if isinstance(agent, ProcessAgent) else None
        return self._rss(pid) if pid is not None else None


def rss_of(pid: int) -> float | None:
    """The bytes of memory that a process has in use, where the system says so in `/proc` (Linux); else None."""
    try:
        with open(f"/proc/{pid}/statm", encoding="ascii") as file:
            pages = int(file.read().split()[1])
    except (OSError, IndexError, ValueError):
        return None
    return float(pages * os.sysconf("SC_PAGE_SIZE"))


def _tell(life: AgentWarden, signals: Sequence[Reported | Recovered]) -> None:
    for signal in signals:
        life.parent.post(signal)
