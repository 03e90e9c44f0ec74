"""Who is left below a supervisor that has ended: one there was killed, and workers of it need longer. Nobody waits for
them but who would begin in their place."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import trio

if TYPE_CHECKING:
    from .orders import Call

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

    __slots__ = ("_heard", "_left", "_waiting")

    def __init__(self) -> None:
        self._left: dict[str, Emptied] | None = None
        self._waiting: dict[Call, frozenset[str]] | None = None
        """Calls that were put off, as they have come, with the children that each names."""
        self._heard: set[Emptied]
        """What they wait for."""

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

    @property
    def waiting(self) -> tuple[Call, ...]:
        """The calls that were put off, and were not carried out yet."""
        return tuple(self._waiting or ())

    @property
    def any_waits(self) -> bool:
        """Whether a call was put off, and was not carried out yet."""
        return bool(self._waiting)

    def is_behind(self, call: Call, ids: Iterable[str]) -> bool:
        """Whether an earlier call was put off that names one of these."""
        for before, named in (self._waiting or {}).items():
            if before is call:
                return False
            if not named.isdisjoint(ids):
                return True
        return False

    def put_off(self, call: Call, ids: Iterable[str], emptied: Emptied | None, post: Callable[[Call], object]) -> None:
        """Have `call`, which names these, come again by `post` when `emptied` has, or what an earlier one waits for."""
        if self._waiting is None:
            self._waiting, self._heard = {}, set()
        self._waiting.setdefault(call, frozenset(ids))
        if emptied is not None and emptied not in self._heard:
            self._heard.add(emptied)
            emptied.then(partial(self._come_again, emptied, post))

    def take(self, call: Call, post: Callable[[Call], object]) -> None:
        """It is carried out now, and then those that wait only for that."""
        named = self._waiting.pop(call, None) if self._waiting else None
        if named is not None:
            for behind in [each for each, others in (self._waiting or {}).items() if not others.isdisjoint(named)]:
                post(behind)

    def _come_again(self, emptied: Emptied, post: Callable[[Call], object]) -> None:
        self._heard.discard(emptied)
        for call in list(self._waiting or ()):
            post(call)

    async def wait(self) -> None:
        """Wait until none is left, also of those who come meanwhile."""
        while self._left:
            await next(iter(self._left.values())).wait()
