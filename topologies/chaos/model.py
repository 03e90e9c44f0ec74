"""A model in a world: a dependency with a window of tokens, which conversations fill."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from attrs import define, field

from treewarden.agents.slot import current_turn

from .refused import Refused, Response

if TYPE_CHECKING:
    from .outside import Outside

__all__ = ["ContextFull", "Model"]


class ContextFull(Refused):
    """What was asked does not fit behind what was said before; a 400, as providers give it. Asking again does not help:
    whoever asks has to make its conversation shorter, or begin a new one."""

    def __init__(self, name: str, tokens: int, room: int) -> None:
        super().__init__(f"{name}: {tokens} tokens, and there is room for {room}", Response(400))
        self.tokens = tokens
        self.room = room


@define(eq=False)
class Model:
    """Made by `world.outside.model`. Each life of an agent has a conversation of its own with it; so a new life begins
    with an empty one, unless it is told again what was said."""

    outside: Outside
    name: str
    window: int
    _said: MutableMapping[Any, int] = field(factory=WeakKeyDictionary[Any, int])

    async def ask(self, tokens: int, answer: Any = None) -> Any:
        """Add so many tokens to the conversation and get an answer, as from `Service.call`.

        Raises `ContextFull` if there is no room for them, and what `Service.call` raises: nothing was added then.
        """
        self._fill()
        if tokens > self.room:
            raise ContextFull(self.name, tokens, self.room)
        result = await self.outside.service(self.name).call(answer)
        self._said[self._whose()] = self.used + tokens
        return result

    @property
    def used(self) -> int:
        """Tokens of the conversation of the agent that asks for it."""
        return self._said.get(self._whose(), 0)

    @property
    def room(self) -> int:
        """Tokens that still fit."""
        return max(0, self.window - self.used)

    def shorten(self, to: int = 0) -> None:
        """Leave at most so many tokens of the conversation: a summary, or nothing."""
        self._said[self._whose()] = min(to, self.used)

    def _fill(self) -> None:
        """A fault: something came back that fills the window, as a tool's result of a megabyte does."""
        turn = current_turn.get()
        knobs = self.outside.gate.take("full_context", turn.path) if turn is not None else None
        if knobs is not None:
            self._said[self._whose()] = max(self.used, round(self.window * float(knobs["share"])))

    def _whose(self) -> Any:
        turn = current_turn.get()
        return self if turn is None else turn.slot.agent
