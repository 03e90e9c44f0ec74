"""What `run_handler` has in place of a journal: everything is durable at once, and noted."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import trio

from .core.message import Envelope, MessageId
from .core.step import Begun, Done, Known
from .ports import Settled, Steps, Store
from .slot import Slot

__all__ = ["Kept"]


class Kept:
    """A `Store` that takes notes: everything is durable at once."""

    owes: Settled | None = None

    def __init__(
        self,
        recorded: list[Any],
        checkpoints: list[str],
        effects: Mapping[str, Done[Any] | None],
        effected: Callable[[str, str], object],
    ) -> None:
        """`effects` is what an earlier delivery has left of them. Whose call runs is `effected`, by name and key."""
        self._recorded = recorded
        self._checkpoints = checkpoints
        self._steps = _Noted(effects, effected)

    def steps(self, slot: Slot) -> Steps:
        return self._steps

    def settle(self, done: Settled, then: Callable[[BaseException | None], None]) -> None:
        self._recorded.extend(done.events)
        if done.checkpoint is not None:
            self._checkpoints.append(done.checkpoint.name)
        then(None)

    def taking(self, state: object) -> None:
        return None

    async def accept(self, slot: Slot, envelope: Envelope, deadline: float = math.inf) -> None:
        slot.fill(envelope, envelope.priority)

    async def given_up(self, deadline: float = math.inf) -> None:
        await trio.lowlevel.checkpoint_if_cancelled()

    async def settled(self) -> None:
        await trio.lowlevel.checkpoint_if_cancelled()

    def name_of(self, message: object) -> str:
        return type(message).__qualname__

    def asks(self, message: MessageId, of: Store) -> None:
        pass

    async def kept(self, ask: MessageId) -> tuple[object] | None:
        return None


class _Noted:
    """The `Steps` of one message: what an earlier delivery has left, and which have run."""

    def __init__(self, before: Mapping[str, Done[Any] | None], effected: Callable[[str, str], object]) -> None:
        self._before = before
        self._effected = effected
        self._known: dict[MessageId, Begun | Known | None] = {}

    def new_id(self) -> MessageId:
        return "asked-1"

    def check(self, returns: object) -> None:
        """Only a tree stores it."""

    def found(self, step: Begun) -> Begun | Known | None:
        if step.step in self._known or step.name not in self._before:
            return self._known.get(step.step)
        done = self._before[step.name]
        return step if done is None else Known(done.value)

    def same(self, step: MessageId) -> MessageId:
        return step

    def of(self, message: MessageId) -> Mapping[MessageId, Begun | None]:
        """Of this delivery: what an earlier one has left is said by name."""
        return {step: known if isinstance(known, Begun) else None for step, known in self._known.items() if known}

    async def stored(self, step: MessageId) -> None:
        await trio.lowlevel.checkpoint()

    def under_way(self, step: MessageId) -> bool:
        return False

    async def begin(self, step: Begun) -> None:
        await trio.lowlevel.checkpoint()
        self._known[step.step] = step
        self._effected(step.name, step.key)

    def finish(self, step: Begun, value: object, by: str = "") -> None:
        self._known[step.step] = Known(value)

    def undo(self, step: Begun) -> None:
        self._known[step.step] = None

    def leave(self, step: Begun, why: str) -> None:
        """It is as it was."""

    def forget(self, message: MessageId) -> None:
        """Nothing comes again."""
