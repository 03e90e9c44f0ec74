"""Who is left below a supervisor that has ended: one there was killed, and workers of it need longer. Nobody waits for
them but who would begin in their place."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TypeAlias

import trio

__all__ = ["Emptied", "Orphans"]

_Act: TypeAlias = Callable[[], object]


class Emptied:
    """Whether nobody lives below a supervisor any more: for tasks that wait for it, and for what is to be done then."""

    __slots__ = ("_event", "_then")

    def __init__(self) -> None:
        self._event = trio.Event()
        self._then: list[_Then] | None = None

    @property
    def has_come(self) -> bool:
        return self._event.is_set()

    def come(self) -> None:
        """It is so, for good. What was asked for is done here, in its order; then whoever waits goes on."""
        self._event.set()
        then, self._then = self._then or (), None
        for each in then:
            if each.act is not None:
                each.act()

    def then(self, act: _Act) -> _Then:
        """Call `act` when it is so, which it must not be yet."""
        if self._then is None:
            self._then = []
        then = _Then(act)
        self._then.append(then)
        return then

    async def wait(self) -> None:
        await self._event.wait()


class _Then:
    """An `Alarm` that does not go by the clock."""

    __slots__ = ("act",)

    def __init__(self, act: _Act) -> None:
        self.act: _Act | None = act

    def cancel(self) -> None:
        self.act = None


class Orphans:
    """Of one supervisor: its children that have ended, below which somebody lives still, by their ids."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left: dict[str, Emptied] | None = None

    def add(self, id: str, emptied: Emptied) -> None:
        """The supervisor with this id has ended."""
        if not emptied.has_come:
            if self._left is None:
                self._left = {}
            self._left[id] = emptied
            emptied.then(partial(self._left.pop, id, None))

    @property
    def any_left(self) -> bool:
        return bool(self._left)

    def below(self, id: str) -> Emptied | None:
        """Where somebody lives still below who was here, what says when that is over."""
        return self._left.get(id) if self._left else None

    def below_any(self, ids: Iterable[str | None]) -> Emptied | None:
        """`below`, of the first of these who has left somebody."""
        return next((emptied for id in ids if id is not None and (emptied := self.below(id)) is not None), None)

    def when_gone(self, id: str, act: _Act) -> None:
        """Call `act` when nobody lives any more below who was here: now, as a rule."""
        emptied = self.below(id)
        if emptied is None:
            act()
        else:
            emptied.then(act)

    async def wait(self) -> None:
        """Wait until none is left, also of those who come meanwhile."""
        while self._left:
            await next(iter(self._left.values())).wait()
