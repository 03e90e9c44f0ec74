"""What waited for somebody who has ended for good, on its way to the dead letters: in slices, if it is much."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, TypeAlias

import trio

from treewarden.agents.core.path import Path

from .timers import Timers

if TYPE_CHECKING:
    from treewarden.agents.slot import Slot

    from .common import Common

__all__ = ["Leftovers", "give_up_soon"]

_AT_ONCE: Final = 64
"""Messages that are given up before anybody else has a turn: in two milliseconds, if they are stored."""
_LONG: Final = 0.002
"""Seconds after which a slice ends, also of fewer: a large one takes longer than that by itself."""

_FIRST: Final = 0.02
"""Seconds after which that is so with the end itself: few are to be dead letters by then, on a busy machine, too."""

_Left: TypeAlias = tuple[Path, list[object], Callable[[object], None]]
"""Where they waited, the messages from the last to the first, and what gives one up."""


class Leftovers:
    """Messages of one tree that are to be given up, in their order. Their mailboxes are empty and closed already.

    Until then those that are stored stand where they have waited, so that a process that dies finds them there.
    Whoever gives one up must not raise.
    """

    def __init__(self, timers: Timers, now: Callable[[], float]) -> None:
        """`now` is in seconds, as a stopwatch has them."""
        self._timers = timers
        self._now = now
        self._left = deque[_Left]()
        self._room = _AT_ONCE
        """How many more of them may be given up before the others have had a turn."""
        self._until = 0.0
        """From when on none is."""
        self._comes = False
        """Another slice comes when they have had it."""
        self._over: trio.Event | None = None

    @trio.lowlevel.enable_ki_protection  # between two messages, and not between a message and what becomes of it
    def add(self, path: Path, items: Sequence[object], give_up: Callable[[object], None]) -> None:
        """Have `give_up` called with each of `items`: now, if they are few, and otherwise soon."""
        if not self._comes:
            self._room, self._until = _AT_ONCE, self._now() + _FIRST
            self._come()
        left = list(reversed(items))
        if not self._left:
            self._give_up(left, give_up)
        if left:
            self._left.append((path, left, give_up))

    @trio.lowlevel.enable_ki_protection
    def finish(self, path: Path) -> None:
        """Give up at once what is left of this one: somebody else begins there, and would find it stored."""
        mine = [(items, give_up) for where, items, give_up in self._left if where == path]
        self._left = deque(each for each in self._left if each[0] != path)
        for items, give_up in mine:
            while items:
                give_up(items.pop())
        self._look_whether_over()

    def any_below(self, supervisor: Path, id: str) -> bool:
        """Whether something is left of what waited for the child `id` of this supervisor, or for somebody below it."""
        return bool(self._left) and any(where.is_within(supervisor / id) for where, _, _ in self._left)

    async def gone(self) -> None:
        """Wait until none is left that was to be given up when this was called, or later. No checkpoint if none is."""
        if self._left:
            if self._over is None:
                self._over = trio.Event()
            await self._over.wait()

    @trio.lowlevel.enable_ki_protection
    async def rest(self) -> None:
        """Give up all that is left, whoever is cancelled meanwhile: nobody else will any more."""
        while self._left:
            self._next()
            await trio.lowlevel.cancel_shielded_checkpoint()

    def _come(self) -> None:
        self._comes = True
        self._timers.soon(self._slice)

    @trio.lowlevel.enable_ki_protection
    def _slice(self) -> None:
        self._comes = False
        self._next()
        if self._left or self._room < _AT_ONCE:  # if none is left, what is added before that turn shares it
            self._come()

    def _next(self) -> None:
        self._room, self._until = _AT_ONCE, self._now() + _LONG
        while self._left and self._has_room():
            _, items, give_up = self._left[0]
            self._give_up(items, give_up)
            if not items:
                self._left.popleft()
        self._look_whether_over()

    def _look_whether_over(self) -> None:
        if not self._left and self._over is not None:
            self._over.set()
            self._over = None

    def _has_room(self) -> bool:
        return self._room > 0 and self._now() < self._until

    def _give_up(self, items: list[object], give_up: Callable[[object], None]) -> None:
        while items and self._has_room():
            self._room -= 1
            give_up(items.pop())


def give_up_soon(
    slot: Slot, items: Sequence[object], reason: str, common: Common, give_up: Callable[[object], None]
) -> None:
    """Add what a mailbox held to those of its tree. `give_up` is for what is left of it when the tree ends meanwhile:
    it was given up before, and is not for the next process."""
    over = common.over

    def drop(item: object) -> None:
        if common.over is not over:
            give_up(item)
        elif slot.on_drop is not None:
            slot.on_drop(item, reason)

    if common.leftovers is None:
        common.leftovers = Leftovers(common.timers, common.stopwatch)
    common.leftovers.add(slot.path, items, drop)
