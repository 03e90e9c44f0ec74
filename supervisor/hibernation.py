"""Who has had nothing to do for a while gives its task back, and gets another one with its next message."""

from __future__ import annotations

import math
from contextvars import Context
from functools import partial
from typing import TYPE_CHECKING, Final

from treewarden.agents.ports import Alarms, Clock
from treewarden.agents.slot import current_turn

from .relay import is_alike

if TYPE_CHECKING:
    from .fence import AgentLife

__all__ = ["Hibernation"]

_AT_A_TIME: Final = 64
"""Lives that are looked at before others run: their tasks end in one pass of the scheduler, in half a millisecond."""
_PAUSE: Final = 0.001
"""Seconds until the next of them."""
_CONTEXTS: Final = 8
"""So many different ones are told apart at a time."""


class _Awake:
    """Lives with a task that hibernate after the same time, with how much each had done when it was looked at."""

    __slots__ = ("lives", "unseen")

    def __init__(self) -> None:
        self.lives: dict[AgentLife, int] = {}
        self.unseen: dict[AgentLife, int] = {}
        """Of a look that goes on: those that it has not come to."""


class Hibernation:
    """One per tree. Two looks, as far apart as a spec's `hibernate_after`: who has done nothing in between is idle.

    A look is an alarm and no task, and there is none while nobody is awake. What an agent does costs nothing here: its
    slot counts messages anyway.
    """

    __slots__ = ("_alarms", "_awake", "_clock", "_contexts")

    def __init__(self, alarms: Alarms, clock: Clock) -> None:
        self._alarms = alarms
        self._clock = clock
        self._awake: dict[float, _Awake] = {}
        self._contexts: list[Context] = []
        """Of lives that have fallen asleep in the last look."""

    def woke(self, life: AgentLife) -> None:
        """It has a task now."""
        after = life.spec.hibernate_after
        awake = self._awake.get(after)
        if awake is None:
            if after == math.inf:
                return
            awake = self._awake[after] = _Awake()
            self._alarms.at(self._clock.now() + after, partial(self._look, after, awake))
        awake.lives[life] = -1

    def ended(self, life: AgentLife) -> None:
        """It has no task any more."""
        awake = self._awake.get(life.spec.hibernate_after)
        if awake is not None and awake.lives.pop(life, None) is None and awake.unseen:
            awake.unseen.pop(life, None)

    def context_like(self, context: Context) -> Context:
        """One with the same variables, to be copied: most agents have those of whoever opened the tree, and it would be
        300 bytes for each."""
        for known in self._contexts:
            if is_alike(context, known):
                return known
        kept = context.copy()
        kept.run(current_turn.set, None)
        self._contexts.append(kept)
        if len(self._contexts) > _CONTEXTS:
            del self._contexts[0]
        return kept

    def _look(self, after: float, awake: _Awake) -> None:
        self._contexts.clear()  # what its variables hold on to may go with the last agent that has it
        awake.unseen, awake.lives = awake.lives, {}  # not emptied: a dict that was large once stays large
        self._go_on(after, awake, self._clock.now())

    def _go_on(self, after: float, awake: _Awake, began: float) -> None:
        unseen, lives = awake.unseen, awake.lives
        for _ in range(min(_AT_A_TIME, len(unseen))):
            life, before = unseen.popitem()
            slot = life.slot
            done = slot.handled + slot.accepted
            lives[life] = done
            if done == before and slot.reader is not None:
                slot.send_to_sleep()
        now = self._clock.now()
        if unseen:
            self._alarms.at(now + _PAUSE, partial(self._go_on, after, awake, began))
            return
        awake.unseen = {}
        if lives:
            self._alarms.at(max(began + after, now + _PAUSE), partial(self._look, after, awake))
        else:
            del self._awake[after]
