"""What is said from outside of a tree: reports, which stand until they are taken back or time is over, and orders."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from treewarden.agents.core.path import Path
from treewarden.agents.core.said import either
from treewarden.agents.errors import ConfigurationError
from treewarden.agents.slot import Slot
from treewarden.supervisor.core.signal import OperatorAsked, Recovered, check_lasts, report_of

from .errors import checked_path, checked_text
from .root import Root

__all__ = ["Reports"]

_NEVER: Final = 1e300
"""Seconds as good as infinite."""


class Reports:
    """The reports about one tree, and when those are over that end by themselves. What is promised, `Tree` says."""

    def __init__(self, root: Root) -> None:
        self._root = root
        self._common = root.common
        self._ends: dict[tuple[Path, str], tuple[float, float]] = {}
        """When, in the clock of the loop, and how many seconds that was from the last time it was signalled."""

    def signal(self, path: str, facts: Mapping[str, Any], lasts: float | None) -> None:
        subject = checked_path(path)
        supervisor = self._root.supervisor_of(subject)
        try:
            signal = report_of(subject, self._common.clock.now(), facts)
            if lasts is not None:
                check_lasts(lasts)
        except ValueError as error:
            raise ConfigurationError(f"{path}: {error}") from None
        self._let_last(subject, signal.kind, lasts)
        supervisor.post(signal)

    def recovered(self, path: str, kind: str) -> None:
        subject = checked_path(path)
        supervisor = self._root.supervisor_of(subject)
        try:
            signal = Recovered(path=subject, at=self._common.clock.now(), kind=kind)
        except ValueError as error:
            raise ConfigurationError(f"{path}: {error}") from None
        self._let_last(subject, kind, None)
        supervisor.post(signal)

    def ask(self, path: str, what: str, by: str, text: str = "") -> None:
        subject = checked_path(path)
        for name, said in (("by", by), ("text", text)):
            checked_text(name, said)
        at = self._common.clock.now()
        self._root.supervisor_of(subject).post(OperatorAsked(path=subject, at=at, what=what, by=by, text=text))

    def run_now(self, path: str, tick: str) -> bool:
        subject = checked_path(path)
        checked_text("tick", tick)
        self._root.supervisor_of(subject)
        slot = self._common.registry.find(subject)
        if not isinstance(slot, Slot):
            raise ConfigurationError(f"{path} is a pool; name one of its workers, as {path}/0")
        agent = slot.agent
        if agent is None:
            raise ConfigurationError(f"{path} does not run now; what is due comes when it does")
        names = [each.name for each in type(agent).repeated]
        if not names:
            raise ConfigurationError(f"{path} has no @every and no @at method; tell it a message")
        if tick not in names and (tick or len(names) > 1):
            what = f"has no tick {tick!r}" if tick else "has more than one tick"
            raise ConfigurationError(f"{path} {what}; name {either(names)}")
        repeats = agent.life.repeats
        if repeats is None:
            raise ConfigurationError(f"{path} begins or ends just now, and takes no ticks; ask again when it runs")
        return repeats.run_now(tick or names[0])

    def _let_last(self, path: Path, kind: str, seconds: float | None) -> None:
        """It is over in so many seconds, whatever was said before; with None or `math.inf` when somebody says so."""
        before, now = self._ends.pop((path, kind), None), self._common.clock.now()
        if seconds is None or seconds >= _NEVER:
            return
        self._ends[path, kind] = now + seconds, seconds
        if before is None or now + seconds < before[0]:
            self._common.timers.at(now + seconds, lambda: self._look(path, kind))

    def _look(self, path: Path, kind: str) -> None:
        """It may be over."""
        if (path, kind) not in self._ends:
            return
        end, seconds = self._ends[path, kind]
        at = self._common.clock.now()
        if end > at:  # it was signalled again
            self._common.timers.at(end, lambda: self._look(path, kind))
            return
        del self._ends[path, kind]
        supervisor = self._common.supervisors.get(path.parent)
        if supervisor is not None:
            text = f"it was not signalled again within {seconds:g} s"
            supervisor.post(Recovered(path=path, at=at, kind=kind, text=text))
