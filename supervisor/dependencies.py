"""Broken dependencies: nobody in the tree who uses one works until one of them has found that it is back."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Final

from attrs import evolve, field

from treewarden.agents.core.lifecycle import SlotState
from treewarden.agents.core.path import Path
from treewarden.agents.core.values import define
from treewarden.agents.ports import Alarm
from treewarden.agents.slot import Slot

from .core.breaker import (
    CLOSED,
    PROBE_WITHIN,
    Breaker,
    Passage,
    blames,
    disproves,
    opened,
    probing,
    reopened,
    turns,
)
from .core.event import DependencyChanged
from .core.signal import Signal
from .core.spec import ChildSpec
from .core.symptom import describe, trouble_in

if TYPE_CHECKING:
    from .child import Child
    from .common import Common

__all__ = ["Dependencies", "one_waits"]

_LOOK_EVERY: Final = 1.0
"""Seconds between two looks at a probe."""


@define(eq=False)
class _Broken:
    """One dependency that is not closed."""

    trouble: str
    origin: Path
    """Whose trouble it was first."""
    breaker: Breaker = CLOSED
    paused: dict[Slot, None] = field(factory=dict[Slot, None])
    delayed: dict[Child, int] = field(factory=dict["Child", int])
    """Restarts that were put off, by the token that they then had."""
    worked: int = 0
    """What the probe's slot had settled when it was let through."""
    alarm: Alarm | None = None
    returns: dict[Child, Alarm] = field(factory=dict["Child", Alarm])
    """It is closed, and these go on one after the other: all at once would be too much for what has just come back."""


class Dependencies:
    """The broken dependencies of one tree. Those that are not here are closed, also at the start of each process.

    All of it happens at once, in the loop of the tree; nothing here is waited for.
    """

    def __init__(self, common: Common) -> None:
        self._common = common
        self._broken: dict[str, _Broken] = {}
        self._returning: dict[str, _Broken] = {}
        """Those that are closed, to which users are still coming back."""
        self._proven = Counter[str]()

    @property
    def any_broken(self) -> bool:
        """Whether one of them is not closed."""
        return bool(self._broken)

    def break_for_all(self, child: Child, signal: Signal, dependency: str, seconds: float) -> list[Child]:
        """Let nobody use it for `seconds`. Returns its users; where nobody declares it, nothing is done."""
        users = self._users(dependency)
        if users:
            broken = self._broken.get(dependency)
            if broken is None:
                broken = self._broken[dependency] = self._anew(dependency, trouble_in(signal), child.path)
            after = opened(broken.breaker, self._common.clock.now(), seconds)
            self._open(dependency, broken, after, child, "its supervisor decided so")
        return users

    def explains(self, child: Child, signal: Signal) -> DependencyChanged | None:
        """Let a user wait whose signal is only what was to be expected; returns what to journal of that. The probe's
        failure is judged."""
        if not self._broken or not isinstance(child.spec, ChildSpec):
            return None
        for name in child.spec.uses:
            broken = self._broken.get(name)
            if broken is None:
                continue
            if broken.breaker.passage is Passage.HALF_OPEN and broken.breaker.probe == child.path:
                if disproves(signal, broken.trouble):
                    self._reopen(name, broken, child, "the probe failed")
            elif blames(signal, broken.trouble):
                self._keep(name, broken, child, down=True)
                left = broken.breaker.until - self._common.clock.now()
                return one_waits(child, signal, name, left if broken.breaker.passage is Passage.OPEN else 0.0)
        return None

    def is_down_for(self, child: Child) -> bool:
        """Whether it declares something that is not closed."""
        return any(name in self._broken for name in child.uses)

    def times_proven(self, child: Child) -> int:
        """How often a probe has shown that what this child declares works again."""
        return sum(self._proven[name] for name in child.uses)

    def join(self, child: Child) -> None:
        """Somebody is about to begin: it waits too, if it uses what is broken and is not the one that tries."""
        if isinstance(child.spec, ChildSpec):
            for name in child.spec.uses:
                broken = self._broken.get(name)
                if broken is not None and not self._is_probe(broken, child):
                    self._keep(name, broken, child)

    # -- transitions

    def _anew(self, name: str, trouble: str, origin: Path) -> _Broken:
        """It is broken: whoever was still to come back to it waits on."""
        broken, before = _Broken(trouble, origin), self._returning.pop(name, None)
        if before is not None:
            broken.paused, broken.delayed = before.paused, before.delayed
            for alarm in before.returns.values():
                alarm.cancel()
        return broken

    def _open(self, name: str, broken: _Broken, after: Breaker, child: Child, why: str) -> None:
        if after is not broken.breaker:
            broken.breaker = after
            self._look_at(name, broken, after.until)
            self._note(name, broken, child.path, after.until - self._common.clock.now(), why)
        for user in self._users(name):
            self._keep(name, broken, user, down=user is child)

    def _reopen(self, name: str, broken: _Broken, child: Child, why: str) -> None:
        now, spread = self._common.clock.now(), self._common.random.random()
        self._open(name, broken, reopened(broken.breaker, now, spread), child, why)

    def _look(self, name: str) -> None:
        broken = self._broken[name]
        now = self._common.clock.now()
        if broken.breaker.passage is Passage.OPEN:
            self._let_one_through(name, broken)
            return
        users = {user.path: user for user in self._users(name)}
        probe = users.get(broken.breaker.probe) if broken.breaker.probe is not None else None
        slot = probe.slot if probe is not None else None
        if probe is None or slot is None or probe.state in (SlotState.HELD, SlotState.DOWN):
            self._hand_over(name, broken, now)
        elif probe.current is not None and slot.worked > broken.worked:
            self._proven[name] += 1
            self._close(name, broken, probe.path, "the probe worked")
        elif now >= broken.breaker.until:
            self._reopen(name, broken, probe, "the probe took too long")
        elif probe.current is None or slot.busy is not None or slot.has_work:
            self._look_at(name, broken, now + _LOOK_EVERY)
        elif any(_is_eager(user) for user in users.values() if user is not probe):
            self._hand_over(name, broken, now)
        else:
            self._close(name, broken, probe.path, "nobody has anything to do with it")

    def _hand_over(self, name: str, broken: _Broken, now: float) -> None:
        """The probe could find nothing out."""
        broken.breaker = evolve(broken.breaker, passage=Passage.OPEN, until=now)
        for user in self._users(name):
            self._keep(name, broken, user)
        self._let_one_through(name, broken)

    def _let_one_through(self, name: str, broken: _Broken) -> None:
        able = [user for user in self._users(name) if user.current is not None or user.state is SlotState.RESTARTING]
        free = [user for user in able if not self._waits_elsewhere(broken, user)] or able
        chosen = [user for user in free if _is_eager(user)] or free
        by_path = {user.path: user for user in chosen}
        after = probing(broken.breaker, self._common.clock.now(), tuple(by_path))
        if after.probe is None or after.passage is not Passage.HALF_OPEN:
            if not able:
                self._close(name, broken, broken.breaker.probe or broken.origin, "nobody who uses it is left")
            else:
                self._look_at(name, broken, broken.breaker.until)
            return
        broken.breaker = after
        probe = by_path[after.probe]
        self._note(name, broken, probe.path, 0.0, "one user tries")
        broken.worked = probe.slot.worked if probe.slot is not None else 0
        self._release(name, broken, probe)
        probe.says(f"tries {name}")
        self._look_at(name, broken, self._common.clock.now() + _LOOK_EVERY)

    def _close(self, name: str, broken: _Broken, path: Path, why: str) -> None:
        del self._broken[name]
        broken.breaker = CLOSED
        self._note(name, broken, path, 0.0, why)
        users = self._users(name)
        waiting = [user for user in users if user.slot in broken.paused or user in broken.delayed]
        for user in users:
            if user.slot not in broken.paused and user not in broken.delayed:
                self._release(name, broken, user)
        theirs = {user.slot for user in waiting}
        for slot in [slot for slot in broken.paused if slot not in theirs]:
            slot.resume(_waits(name))  # of somebody who does not use it any more
        now, after = self._common.clock.now(), turns(len(waiting), self._common.random.random)
        for user, seconds in zip(waiting, after, strict=True):
            if seconds:
                back = partial(self._come_back, name, broken, user)
                broken.returns[user] = self._common.timers.at(now + seconds, back)
            else:
                self._release(name, broken, user)
        if broken.returns:
            self._returning[name] = broken

    def _come_back(self, name: str, broken: _Broken, user: Child) -> None:
        del broken.returns[user]
        if not broken.returns:
            del self._returning[name]
        self._release(name, broken, user)

    # -- one user

    def _keep(self, name: str, broken: _Broken, child: Child, *, down: bool = False) -> None:
        """Hand it no messages, and start it later; `down`: it has just ended, and is to be restarted."""
        if child.slot is not None:
            child.slot.pause(_waits(name))
            broken.paused[child.slot] = None
        pending = child.state is SlotState.RESTARTING or (down and child.state is SlotState.DOWN)
        if child.current is None and pending:
            which = [broken, *self._others(broken, child)]
            remaining = max(0.0, max(each.breaker.until for each in which) - self._common.clock.now())
            self._delay(child, remaining + PROBE_WITHIN + _LOOK_EVERY)
            for each in which:
                each.delayed[child] = child.token
        if child.current is not None or pending:
            child.says(_waits(name))

    def _release(self, name: str, broken: _Broken, child: Child) -> None:
        if child.slot is not None:
            broken.paused.pop(child.slot, None)
            child.slot.resume(_waits(name))
        if child.note in (_waits(name), f"tries {name}"):
            child.note = ""
        delayed = broken.delayed.pop(child, None)
        if delayed == child.token and child.state is SlotState.RESTARTING and not self._others(broken, child):
            self._delay(child, 0.0)

    def _waits_elsewhere(self, broken: _Broken, child: Child) -> bool:
        """Whether it could not try this one now, for another is down."""
        paused = any(child.slot in each.paused for each in self._broken.values() if each is not broken)
        return paused or bool(self._others(broken, child))

    def _others(self, broken: _Broken, child: Child) -> list[_Broken]:
        """The other dependencies for which its restart is put off."""
        every = (*self._broken.values(), *self._returning.values())
        return [each for each in every if each is not broken and each.delayed.get(child) == child.token]

    def _delay(self, child: Child, seconds: float) -> None:
        supervisor = self._common.supervisors.get(child.path.parent)
        if supervisor is not None:
            supervisor.restarts.delay(child, seconds)

    def _is_probe(self, broken: _Broken, child: Child) -> bool:
        return broken.breaker.passage is Passage.HALF_OPEN and broken.breaker.probe == child.path

    # -- all of them

    def _users(self, name: str) -> list[Child]:
        """Everybody in the tree who declares it, in start order. Sleepers use nothing."""
        return [
            child
            for supervisor in self._common.supervisors.values()
            for child in supervisor.children.awake
            if isinstance(child.spec, ChildSpec) and name in child.spec.uses
        ]

    def _look_at(self, name: str, broken: _Broken, when: float) -> None:
        if broken.alarm is not None:
            broken.alarm.cancel()
        broken.alarm = self._common.timers.at(when, lambda: self._due(name, broken))

    def _due(self, name: str, broken: _Broken) -> None:
        if self._broken.get(name) is broken:
            self._look(name)

    def _note(self, name: str, broken: _Broken, path: Path, seconds: float, why: str) -> None:
        users = tuple(user.path for user in self._users(name))
        passage = str(broken.breaker.passage)
        self._common.note(
            DependencyChanged(path=path, dependency=name, passage=passage, users=users, seconds=seconds, why=why)
        )


def one_waits(child: Child, signal: Signal, dependency: str, seconds: float) -> DependencyChanged:
    """The fact that one more waits for what is down; 0 seconds: until somebody else has found out whether it is so."""
    return DependencyChanged(
        path=child.path,
        dependency=dependency,
        passage="waits",
        users=(child.path,),
        seconds=max(0.0, seconds),
        why=describe(signal),
    )


def _is_eager(user: Child) -> bool:
    """Whether it would use it at once."""
    return user.state is SlotState.RESTARTING or (user.slot is not None and len(user.slot) > 0)


def _waits(name: str) -> str:
    return f"waits for {name}"
