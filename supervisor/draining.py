"""Draining a part of the tree: nothing new comes in, what waits is handled, then its slots are stopped."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

import trio
from attrs import field

from treewarden.agents.core.exit import leaves
from treewarden.agents.core.path import ROOT, Path
from treewarden.agents.core.said import is_number, shown
from treewarden.agents.core.values import frozen
from treewarden.agents.errors import ConfigurationError, IntakeClosed, NotFound, SupervisorGone
from treewarden.agents.slot import Slot

from .calls import SupervisorRef
from .common import Common
from .core.spec import Strategy

if TYPE_CHECKING:
    from treewarden.agents.life import Life

__all__ = ["Drained", "drain"]

_LOOK_EVERY: Final = 0.01
"""Seconds. A slot has no bell for coming to rest: it would cost every message, and a drain is rare."""
_FROZEN: Final = "drained"


@frozen
class Drained:
    """What became of a drain."""

    path: Path
    left: Mapping[Path, int] = field(factory=dict[Path, int])
    """Messages that had not been handled when the limit was reached, in hand or waiting, by slot."""

    @property
    def complete(self) -> bool:
        """Whether everything was handled."""
        return not self.left


async def drain(common: Common, path: Path, within: object, nursery: trio.Nursery) -> Drained:
    """Drain the slot at `path`, what is below it, or with the root the whole tree (see `Tree.drain`). `nursery` is that
    of the tree: what has begun to stop ends there, whoever waits for it."""
    if not is_number(within) or not 0 <= within < math.inf:
        raise ConfigurationError(f"{path}: within is {shown(within)}; give a number of seconds, 0 or more and finite")
    scope = _Scope(common, path)
    try:
        with trio.move_on_after(within):
            while not scope.comes_to_rest():  # noqa: ASYNC110 (nobody could set an event: see _LOOK_EVERY)
                await trio.sleep(_LOOK_EVERY)
    except BaseException:
        scope.reopen()
        raise
    left = scope.freeze()  # no checkpoint since it was looked at: nothing has begun in between
    ending = _Ending(scope, path)
    if common.supervisors.get(path.parent) is None:
        await ending.carry_out(common, path)  # which says so
    else:
        nursery.start_soon(ending.carry_out, common, path)
    await ending.wait()
    return Drained(path, left)


class _Scope:
    """The slots at and below one path, whose intake is closed to everybody else."""

    def __init__(self, common: Common, path: Path) -> None:
        self._common = common
        self._path = path
        self._closed: dict[Slot, IntakeClosed] = {}
        self._silenced: dict[Slot, Life] = {}
        """Lives whose ticks were called off."""
        self._frozen = False
        common.draining.append(self._take_in)

    def comes_to_rest(self) -> bool:
        """Close the intake of whoever has come since the last look, and say whether nothing is left to do."""
        slots = list(self._slots())
        for slot in slots:
            self._close(slot)
            if slot.agent is not None and self._silenced.get(slot) is not slot.agent.life:
                self._silenced[slot] = slot.agent.life
                slot.agent.life.silence()
        return all(map(_is_at_rest, slots))

    def freeze(self) -> dict[Path, int]:
        """Let nothing more begin; returns how much is left, by slot."""
        left: dict[Path, int] = {}
        self._frozen = True
        for slot in self._slots():
            slot.pause(_FROZEN)
            number = len(slot) + slot.stashed + slot.reserved + (slot.busy is not None)
            if number and not slot.is_gone:
                left[slot.path] = number
        return left

    def reopen(self) -> None:
        """Whoever still lives, or will again, works as before."""
        self._common.draining.remove(self._take_in)
        for slot, error in self._closed.items():
            slot.open_intake(error)
            slot.resume(_FROZEN)
        for slot, life in self._silenced.items():
            if slot.agent is life.agent:
                life.go_on()

    def _close(self, slot: Slot) -> None:
        if slot not in self._closed:
            text = f"{slot.path}: it takes no new messages, for {self._what} is being drained"
            self._closed[slot] = IntakeClosed(text, path=slot.path, scope=self._path)
        slot.close_intake(self._closed[slot])

    def _take_in(self, slot: Slot) -> None:
        """Nobody has needed this slot until now."""
        if slot.path.is_within(self._path):
            self._close(slot)
            if self._frozen:
                slot.pause(_FROZEN)

    @property
    def _what(self) -> str:
        return "the tree" if self._path == ROOT else self._path

    def _slots(self) -> Iterator[Slot]:
        return self._common.registry.within(self._path)


class _Ending:
    """What was drained is being stopped. Until it has ended it counts as drained, also if nobody waits for that any
    more: what is left on disk would become dead letters."""

    def __init__(self, scope: _Scope, path: Path) -> None:
        self._scope = scope
        self._over = trio.Event()
        text = f"{path}: the tree was ended by force, or cancelled, before what was drained had stopped"
        self._error: Exception | None = SupervisorGone(text, path=path.parent)

    async def carry_out(self, common: Common, path: Path) -> None:
        try:
            await _terminate(common, path)
            self._error = None
        except Exception as error:
            self._error = error
        finally:
            self._scope.reopen()
            self._over.set()

    async def wait(self) -> None:
        """Raises what came of it."""
        await self._over.wait()
        if self._error is not None:
            raise self._error


def _is_at_rest(slot: Slot) -> bool:
    return slot.ended or (slot.at_rest and slot.busy is None and not slot.inflight)


async def _terminate(common: Common, path: Path) -> None:
    """Stop what is at `path` by its own rules; of the root, all that it has."""
    above = SupervisorRef(path.parent, common.supervisors.get)
    ids = [child.id for child in await above.children()] if path == ROOT else [path.name]
    supervisor = common.supervisors.get(above.path)
    if supervisor is not None and supervisor.spec.strategy is Strategy.DYNAMIC:
        try:
            async with trio.open_nursery() as nursery:
                for id in ids:
                    nursery.start_soon(_end, partial(above.terminate_dynamic, id))
        except BaseExceptionGroup as group:
            gone = leaves(group)
            if all(isinstance(each, SupervisorGone) for each in gone):
                raise gone[0] from None
            raise
        return
    for id in reversed(ids):
        await _end(partial(above.terminate_child, id))


async def _end(terminate: Callable[[], Awaitable[None]]) -> None:
    with suppress(NotFound):  # it has ended by itself, and its supervisor has forgotten it
        await terminate()
