"""What a supervisor's children have shown lately, kept so that siblings in the same trouble are found at once."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from attrs import evolve

from treewarden.agents.core.message import MessageId
from treewarden.agents.core.values import frozen

from .signal import ChildExited, Recovered, Reported, RestartFailed, Signal, Stalled
from .symptom import SEVERE, failure_in, is_outside, message_in, tick_in, trouble_in

__all__ = ["ENOUGH", "NOTHING_DONE", "NOTHING_SEEN", "Glimpse", "Window", "Work", "are_apart", "count_apart", "work_of"]

ENOUGH: Final = 5
"""Messages of each kind that a child handles, on the average, after which it works: a child all of whose calls of one
kind fail gets to so many only if that kind is a small part of what it does, and one that fails at one in twenty-five
gets there four times in five."""
_TROUBLES: Final = 32
_CHILDREN: Final = 64
_UNSORTED: Final = 8


@frozen
class Work:
    """What a child had handled when somebody looked. Ticks are counted by their names, for a heartbeat says nothing of
    calls; to count messages by their kinds would cost each of them."""

    messages: int = 0
    kinds: int = 1
    """How many kinds of messages it handles."""
    ticks: Mapping[str, int] = MappingProxyType({})

    def is_enough(self, before: Work, handling: str) -> bool:
        """Whether it has worked since `before`: as many ticks of the name at which it failed, or messages."""
        if name := tick_in(handling):
            return self.ticks.get(name, 0) - before.ticks.get(name, 0) >= ENOUGH
        return self.messages - before.messages >= self.enough

    @property
    def enough(self) -> int:
        """Messages after which it works."""
        return ENOUGH * max(1, self.kinds)


NOTHING_DONE: Final = Work()


def work_of(handled: int, ticks: Mapping[str, int] | None, kinds: int) -> Work:
    """What a slot has done that has handled so many messages and ticks, these ticks among them."""
    return Work(handled - sum(ticks.values()), kinds, dict(ticks)) if ticks else Work(handled, kinds)


@frozen
class Glimpse:
    """When a child was last seen in a trouble, what it depends on, and what it had done until then."""

    at: float
    uses: tuple[str, ...] = ()
    work: Work | None = None
    """None: to handle messages is no sign that this trouble is over."""
    handling: str = ""
    """The message or tick at which it failed; empty for a start."""
    message: MessageId | None = None
    """The one that it failed over, if it has an id."""
    proof: float = -math.inf
    """Since when it is known to have worked: what failed before that was not down for all from then on."""
    works: bool = False
    """It has worked since. Or it had worked since it was seen in this trouble before, and fails now and then. Not at
    the first failure, however much it had worked: a second one may cost the message in hand its last delivery."""

    def has_worked(self, now: Work) -> bool:
        return self.work is not None and now.is_enough(self.work, self.handling)


def are_apart(signal: Signal, uses: tuple[str, ...], others: tuple[str, ...]) -> bool:
    """Whether the trouble of `signal` cannot be one for who uses `uses` and who uses `others`: it is outside, and they
    share nothing there. Who declares nothing may use anything; and of a fault in their code it says nothing."""
    return bool(uses) and bool(others) and is_outside(signal) and not any(name in others for name in uses)


def count_apart(signal: Signal, found: Mapping[str, Glimpse]) -> int:
    """How many of those who were seen in the trouble of `signal` say more than it does. Where one message fails at one
    after the other, as in a queue that they share, it may be that message; so all of these count as one. What fails
    outside says the same of what is there, whichever message it was."""
    message = message_in(signal)
    if message is None or is_outside(signal):
        return len(found)
    over = [glimpse.message for glimpse in found.values()]
    return over.count(None) + len({each for each in over if each is not None} - {message})


@frozen(eq=False, repr=False)
class Window:
    """For each trouble (a fingerprint, `rate_limited`, `reported:slow`) the children last seen in it. A value.

    Who fails, works and fails again is not in it: that is a share of errors, and what siblings share is not down. A
    child counts until it or another one has worked since (`ENOUGH`), and not where it had worked between two failures.
    Who fails outside of its messages (in its body), is rate limited, overloaded, or reports something, does so although
    it works, and counts until its time is over.

    Bounded: the 32 latest troubles and in each the 64 latest children, however loud one of them is; older than
    `within` seconds is forgotten. Enough to tell ten siblings failing alike from ten crashes, not a history.

    Signals are sorted into it when somebody looks, or when there are a few of them: most policies never look.
    """

    within: float = 60.0
    _sorted: Mapping[str, dict[str, Glimpse]] = MappingProxyType({})
    _unsorted: tuple[tuple[Signal, tuple[str, ...], Work], ...] = ()

    def add(self, signal: Signal, uses: tuple[str, ...] = (), work: Work = NOTHING_DONE) -> Window:
        """With `signal`; `uses` are what the child that it is about depends on, and `work` is what it has done until
        now. A recovery takes its trouble out."""
        if isinstance(signal, Reported) and signal.severity < SEVERE:
            return self  # no trouble that siblings are compared by
        if len(self._unsorted) >= _UNSORTED:
            return Window(self.within, self.seen, ((signal, uses, work),))
        return Window(self.within, self._sorted, (*self._unsorted, (signal, uses, work)))

    def with_others(self, signal: Signal, others: Mapping[str, tuple[tuple[str, ...], Work]]) -> Window:
        """With children that are still in the trouble of `signal`, however long ago they were seen in it; of each what
        it depends on and has done. What is known of them since then goes on to count."""
        trouble, handling, oldest = trouble_in(signal), _handling(signal), signal.at - self.within
        before = self.seen.get(trouble, {})
        kept = {
            name: evolve(before[name], at=max(before[name].at, oldest))
            if name in before
            else Glimpse(oldest, uses, None if handling is None else work, handling or "")
            for name, (uses, work) in others.items()
        }
        seen = {name: each for name, each in self.seen.items() if name != trouble}
        if len(seen) >= _TROUBLES:
            del seen[next(iter(seen))]
        kept |= {name: glimpse for name, glimpse in before.items() if name not in others}
        seen[trouble] = dict(sorted(kept.items(), key=lambda item: item[1].at)[-_CHILDREN:])
        return Window(self.within, seen)

    def looked_at(self, trouble: str, work: Mapping[str, Work]) -> Window:
        """With what the children that were seen in `trouble` have done until now, as far as that is known."""
        before = self.seen.get(trouble, {})
        works = [
            name
            for name, glimpse in before.items()
            if not glimpse.works and name in work and glimpse.has_worked(work[name])
        ]
        if not works:
            return self
        children = {
            name: evolve(glimpse, works=True, proof=glimpse.at) if name in works else glimpse
            for name, glimpse in before.items()
        }
        return Window(self.within, {**self.seen, trouble: children})

    def has_worked(self, child: str, now: float, work: Work) -> bool:
        """Whether a child was seen in some trouble within the window, and has worked since it was last seen so."""
        seen = [children[child] for children in self.seen.values() if child in children]
        latest = max(seen, key=lambda glimpse: glimpse.at, default=None)
        return latest is not None and latest.at >= now - self.within and latest.has_worked(work)

    @property
    def seen(self) -> Mapping[str, dict[str, Glimpse]]:
        """By trouble, the latest last, and child, likewise."""
        if self._unsorted:
            found = self._sorted
            for signal, uses, work in self._unsorted:
                found = self._with(found, signal, uses, work)
            object.__setattr__(self, "_sorted", found)  # another form of the same value
            object.__setattr__(self, "_unsorted", ())
        return self._sorted

    def alike(self, trouble: str, now: float) -> dict[str, Glimpse]:
        """The children seen in `trouble` within the window, the latest last; also those that work."""
        limit = now - self.within
        if not self._sorted and len(self._unsorted) == 1 and not isinstance(self._unsorted[0][0], Recovered):
            ((signal, uses, work),) = self._unsorted
            found = signal.at >= limit and trouble and trouble_in(signal) == trouble
            return {signal.path.name: _glimpse(signal, uses, work)} if found else {}
        return {name: glimpse for name, glimpse in self.seen.get(trouble, {}).items() if glimpse.at >= limit}

    def seen_with(self, signal: Signal, uses: tuple[str, ...], now: float, *, room: bool = True) -> dict[str, Glimpse]:
        """The children seen in the trouble of `signal`, which is that of a child that uses `uses`, as far as it can be
        one for both; that child too, if it was seen in it, and those that work. Without `room` for more restarts nobody
        is taken to work: to leave all alone for a while is better than that their supervisor gives up."""
        found = self.alike(trouble_in(signal), now)
        if uses and is_outside(signal):
            found = {name: glimpse for name, glimpse in found.items() if not are_apart(signal, uses, glimpse.uses)}
        if not room:
            return {name: evolve(glimpse, works=False) if glimpse.works else glimpse for name, glimpse in found.items()}
        proof = max((glimpse.proof for glimpse in found.values()), default=-math.inf)
        if proof == -math.inf:
            return found
        return {
            name: evolve(glimpse, works=True) if glimpse.at <= proof and not glimpse.works else glimpse
            for name, glimpse in found.items()
        }

    def with_it(self, signal: Signal, uses: tuple[str, ...], now: float, *, room: bool = True) -> set[str]:
        """Those of them that are in it now."""
        return {name for name, glimpse in self.seen_with(signal, uses, now, room=room).items() if not glimpse.works}

    def is_apart(self, signal: Signal, uses: tuple[str, ...], *, room: bool = True) -> bool:
        """Whether the trouble of `signal`, which was added, is none of several: the child works in between, or all do
        who were seen in it besides."""
        seen = self.seen_with(signal, uses, signal.at, room=room)
        own = seen.pop(signal.path.name, None)
        return (own is not None and own.works) or (bool(seen) and all(glimpse.works for glimpse in seen.values()))

    def _with(
        self, before: Mapping[str, dict[str, Glimpse]], signal: Signal, uses: tuple[str, ...], work: Work
    ) -> Mapping[str, dict[str, Glimpse]]:
        child = signal.path.name
        if isinstance(signal, Recovered):
            return _without(before, f"reported:{signal.kind}", child)
        trouble = trouble_in(signal)
        if not trouble:
            return before
        limit = signal.at - self.within
        last = before.get(trouble, {}).get(child)
        children = {
            name: glimpse for name, glimpse in before.get(trouble, {}).items() if glimpse.at >= limit and name != child
        }
        if len(children) >= _CHILDREN:
            del children[next(iter(children))]
        children[child] = _glimpse(signal, uses, work, last if last is not None and last.at >= limit else None)
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
        return hash((self.within, frozenset(self.seen)))

    def __repr__(self) -> str:
        return f"Window({self.within:g} s, {dict(self.seen)})"


NOTHING_SEEN: Final = Window()
"""A value, so one will do for all."""


def _glimpse(signal: Signal, uses: tuple[str, ...], work: Work, last: Glimpse | None = None) -> Glimpse:
    """`last` is the one before it of the same child in the same trouble."""
    handling = _handling(signal)
    if handling is None:
        return Glimpse(signal.at, uses)
    since = _worked_from(signal, work)
    message = message_in(signal)
    if last is None:
        return Glimpse(signal.at, uses, work, handling, message, since)
    works = last.has_worked(work)
    return Glimpse(signal.at, uses, work, handling, message, max(since, last.proof, last.at if works else since), works)


def _worked_from(signal: Signal, work: Work) -> float:
    """From when on it had handled enough until it failed; endless, if it had not, or nobody knows when: how many of
    those that a life has settled were ticks is not known."""
    if not isinstance(signal, ChildExited) or work.ticks or signal.settled < work.enough:
        return -math.inf
    return signal.at - signal.uptime * work.enough / signal.settled


def _handling(signal: Signal) -> str | None:
    """What was in hand, empty for a start; None where to handle messages is no sign that it is over."""
    match signal:
        case RestartFailed():
            return ""
        case ChildExited():
            failure = failure_in(signal)
            return None if failure is None else failure.message_kind
        case Stalled():
            return signal.doing or None
        case _:
            return None


def _without(before: Mapping[str, dict[str, Glimpse]], trouble: str, child: str) -> Mapping[str, dict[str, Glimpse]]:
    if child not in before.get(trouble, {}):
        return before
    seen = dict(before)
    seen[trouble] = {name: glimpse for name, glimpse in seen[trouble].items() if name != child}
    if not seen[trouble]:
        del seen[trouble]
    return seen
