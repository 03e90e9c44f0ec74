"""Faults that wait for their moment: whoever passes a gate asks whether one is meant for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from math import inf

import trio
from attrs import define, field

from treewarden.agents.core.message import MessageId

from ..core.faults import Knob

__all__ = ["Gate"]


@define(eq=False)
class _Armed:
    target: str
    knobs: Mapping[str, Knob]
    left: int
    until: float


@define(eq=False)
class Gate:
    """What is armed at present."""

    now: Callable[[], float]
    struck: Callable[[str, str], None]
    """Told of each fault that has found its victim: kind and name."""
    mid_restart: Callable[[str], object] = lambda above: None
    """Told of the supervisor that a fault wants dead while it acts on what it decides now."""
    begun: Callable[[str], object] = lambda text: None
    """Told of each message that a handler begins with."""
    poisoned: set[MessageId] = field(factory=set[MessageId])
    """Messages whose handlers fail every time."""
    lifted: trio.Event = field(factory=trio.Event)
    """Set when whoever is held up is to go on."""
    _armed: dict[str, list[_Armed]] = field(factory=dict[str, list[_Armed]])
    """By kind, only those of which there are some: a world asks at each of its places."""

    @property
    def is_armed(self) -> bool:
        """Whether anything may strike whoever passes."""
        return bool(self._armed or self.poisoned)

    def arm(self, kind: str, target: str, knobs: Mapping[str, Knob], *, times: int = 1, seconds: float = inf) -> None:
        """Let `kind` strike the next `times` that `target` fits, within so many seconds."""
        self._armed.setdefault(kind, []).append(_Armed(target, knobs, times, self.now() + seconds))

    def take(self, kind: str, name: str) -> Mapping[str, Knob] | None:
        """The knobs of a fault of this kind that is meant for `name`; None if there is none."""
        armed = self._armed.get(kind)
        if armed is None:
            return None
        for each in armed:
            if each.until >= self.now() and fnmatchcase(name, each.target):
                each.left -= 1
                if each.left <= 0:
                    armed.remove(each)
                    if not armed:
                        del self._armed[kind]
                self.struck(kind, name)
                return each.knobs
        return None

    def waits(self, kind: str, name: str) -> bool:
        """Whether `take` would give anything."""
        armed = self._armed.get(kind, ())
        return any(each.until >= self.now() and fnmatchcase(name, each.target) for each in armed)

    def clear(self) -> None:
        """Nothing is meant for anybody any more."""
        self._armed.clear()

    def lift(self) -> None:
        """The same, and whoever is held up goes on."""
        self.clear()
        self.lifted.set()
