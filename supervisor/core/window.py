"""What a supervisor's children have shown lately, kept so that siblings in the same trouble are found at once."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from treewarden.agents.core.values import frozen

from .signal import Recovered, Reported, Signal
from .symptom import SEVERE, is_outside, trouble_in

__all__ = ["NOTHING_SEEN", "Glimpse", "Window", "are_apart"]

_TROUBLES: Final = 32
_CHILDREN: Final = 64
_UNSORTED: Final = 8


@frozen
class Glimpse:
    """When a child was last seen in a trouble, and what it depends on."""

    at: float
    uses: tuple[str, ...] = ()


def are_apart(signal: Signal, uses: tuple[str, ...], others: tuple[str, ...]) -> bool:
    """Whether the trouble of `signal` cannot be one for who uses `uses` and who uses `others`: it is outside, and they
    share nothing there. Who declares nothing may use anything; and of a fault in their code it says nothing."""
    return bool(uses) and bool(others) and is_outside(signal) and not any(name in others for name in uses)


@frozen(eq=False, repr=False)
class Window:
    """For each trouble (a fingerprint, `rate_limited`, `reported:slow`) the children last seen in it. A value.

    Bounded: the 32 latest troubles and in each the 64 latest children, however loud one of them is; older than
    `within` seconds is forgotten. Enough to tell ten siblings failing alike from ten crashes, not a history.

    Signals are sorted into it when somebody looks, or when there are a few of them: most policies never look.
    """

    within: float = 60.0
    _sorted: Mapping[str, dict[str, Glimpse]] = MappingProxyType({})
    _unsorted: tuple[tuple[Signal, tuple[str, ...]], ...] = ()

    def add(self, signal: Signal, uses: tuple[str, ...] = ()) -> Window:
        """With `signal`; `uses` are what the child that it is about depends on. A recovery takes its trouble out."""
        if isinstance(signal, Reported) and signal.severity < SEVERE:
            return self  # no trouble that siblings are compared by
        if len(self._unsorted) >= _UNSORTED:
            return Window(self.within, self.seen, ((signal, uses),))
        return Window(self.within, self._sorted, (*self._unsorted, (signal, uses)))

    @property
    def seen(self) -> Mapping[str, dict[str, Glimpse]]:
        """By trouble, the latest last, and child, likewise."""
        if self._unsorted:
            found = self._sorted
            for signal, uses in self._unsorted:
                found = self._with(found, signal, uses)
            object.__setattr__(self, "_sorted", found)  # another form of the same value
            object.__setattr__(self, "_unsorted", ())
        return self._sorted

    def alike(self, trouble: str, now: float) -> dict[str, Glimpse]:
        """The children seen in `trouble` within the window, the latest last."""
        limit = now - self.within
        if not self._sorted and len(self._unsorted) == 1 and not isinstance(self._unsorted[0][0], Recovered):
            ((signal, uses),) = self._unsorted
            found = signal.at >= limit and trouble and trouble_in(signal) == trouble
            return {signal.path.name: Glimpse(signal.at, uses)} if found else {}
        return {name: glimpse for name, glimpse in self.seen.get(trouble, {}).items() if glimpse.at >= limit}

    def with_it(self, signal: Signal, uses: tuple[str, ...], now: float) -> dict[str, Glimpse]:
        """The children that are in the trouble of `signal`, which is that of a child that uses `uses`; that child too,
        if it was seen in it."""
        found = self.alike(trouble_in(signal), now)
        if not uses or not is_outside(signal):
            return found
        return {name: glimpse for name, glimpse in found.items() if not are_apart(signal, uses, glimpse.uses)}

    def _with(
        self, before: Mapping[str, dict[str, Glimpse]], signal: Signal, uses: tuple[str, ...]
    ) -> Mapping[str, dict[str, Glimpse]]:
        child = signal.path.name
        if isinstance(signal, Recovered):
            return _without(before, f"reported:{signal.kind}", child)
        trouble = trouble_in(signal)
        if not trouble:
            return before
        limit = signal.at - self.within
        children = {
            name: glimpse for name, glimpse in before.get(trouble, {}).items() if glimpse.at >= limit and name != child
        }
        if len(children) >= _CHILDREN:
            del children[next(iter(children))]
        children[child] = Glimpse(signal.at, uses)
        seen = {
            name: others
            for name, others in before.items()
            if name != trouble and next(reversed(others.values())).at >= limit
        }
        if len(seen) >= _TROUBLES:
            del seen[next(iter(seen))]
        seen[trouble] = children
        return seen

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Window) and (self.within, self.seen) == (other.within, other.seen)

    def __hash__(self) -> int:
        return hash((self.within, *self.seen))

    def __repr__(self) -> str:
        return f"Window({self.within:g} s, {dict(self.seen)})"


NOTHING_SEEN: Final = Window()
"""A value, so one will do for all."""


def _without(before: Mapping[str, dict[str, Glimpse]], trouble: str, child: str) -> Mapping[str, dict[str, Glimpse]]:
    if child not in before.get(trouble, {}):
        return before
    seen = dict(before)
    seen[trouble] = {name: glimpse for name, glimpse in seen[trouble].items() if name != child}
    if not seen[trouble]:
        del seen[trouble]
    return seen
