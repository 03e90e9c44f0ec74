"""What was signalled for a time: it is taken back when that is over."""

from __future__ import annotations

from typing import Final

from treewarden.agents.core.path import Path
from treewarden.supervisor.common import Common
from treewarden.supervisor.core.signal import Recovered

__all__ = ["Lasting"]

_NEVER: Final = 1e300
"""Seconds as good as infinite."""


class Lasting:
    """The reports of one tree that end by themselves, by slot and kind."""

    def __init__(self, common: Common) -> None:
        self._common = common
        self._ends: dict[tuple[Path, str], tuple[float, float]] = {}
        """When, in the clock of the loop, and how many seconds that was from the last time it was signalled."""

    def set(self, path: Path, kind: str, seconds: float | None) -> None:
        """What was signalled is over in so many seconds, whatever was said before; with None or `math.inf` only when
        somebody says so."""
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
