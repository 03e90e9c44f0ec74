"""What a supervisor's children have shown lately, kept so that siblings in the same trouble are found at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from attrs import field, frozen

from .signal import Recovered, Signal
from .symptom import trouble_in

__all__ = ["Glimpse", "Window"]

_TROUBLES: Final = 32
_CHILDREN: Final = 64


@frozen
class Glimpse:
    """When a child was last seen in a trouble, and what it depends on."""

    at: float
    uses: tuple[str, ...] = ()


@frozen
class Window:
    """For each trouble (a fingerprint, `rate_limited`, `reported:slow`) the children last seen in it. A value.

    Bounded: the 32 latest troubles and in each the 64 latest children, however loud one of them is; older than
    `within` seconds is forgotten. Enough to tell ten siblings failing alike from ten crashes, not a history.
    """

    within: float = 60.0
    seen: Mapping[str, dict[str, Glimpse]] = field(factory=dict[str, dict[str, Glimpse]])

    def add(self, signal: Signal, uses: tuple[str, ...] = ()) -> Window:
        """With `signal`; `uses` are what the child that it is about depends on. A recovery takes its trouble out."""
        child = signal.path.name
        if isinstance(signal, Recovered):
            return self._without(f"reported:{signal.kind}", child)
        trouble = trouble_in(signal)
        if not trouble:
            return self
        limit = signal.at - self.within
        children = {
            name: glimpse
            for name, glimpse in self.seen.get(trouble, {}).items()
            if glimpse.at >= limit and name != child
        }
        if len(children) >= _CHILDREN:
            del children[next(iter(children))]
        children[child] = Glimpse(signal.at, uses)
        seen = {
            name: others
            for name, others in self.seen.items()
            if name != trouble and next(reversed(others.values())).at >= limit
        }
        if len(seen) >= _TROUBLES:
            del seen[next(iter(seen))]
        seen[trouble] = children
        return Window(self.within, seen)

    def alike(self, trouble: str, now: float) -> dict[str, Glimpse]:
        """The children seen in `trouble` within the window, the latest last."""
        limit = now - self.within
        return {name: glimpse for name, glimpse in self.seen.get(trouble, {}).items() if glimpse.at >= limit}

    def _without(self, trouble: str, child: str) -> Window:
        if child not in self.seen.get(trouble, {}):
            return self
        seen = dict(self.seen)
        seen[trouble] = {name: glimpse for name, glimpse in seen[trouble].items() if name != child}
        if not seen[trouble]:
            del seen[trouble]
        return Window(self.within, seen)
