"""What may stand behind one address besides a single slot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from .core.durability import Overflow
from .core.path import Path
from .slot import Slot, Turn

__all__ = ["Audience", "Receivers"]


class Receivers(Protocol):
    """Several slots behind one address: a pool."""

    @property
    def slots(self) -> Sequence[Slot]:
        """All of them."""
        ...

    def choose(self, message: object) -> Sequence[Slot]:
        """Who gets `message`; at least one. Raises `MailboxFull` if none can take it, `AgentStopped` if all ended."""
        ...


class Audience:
    """Several slots behind one address, each of which gets what is told there as it has said: a topic."""

    @property
    def slots(self) -> Sequence[Slot]:
        """All of them."""
        raise NotImplementedError

    def choose(self, message: object) -> Sequence[Slot]:
        """Who would answer `message`. Raises `NotHandled`: nobody does."""
        raise NotImplementedError

    async def publish(self, message: object, turn: Turn | None, priority: int, deadline: float) -> None:
        """Tell everybody, waiting until `deadline` at most for those that want to be waited for."""
        raise NotImplementedError

    def publish_nowait(self, message: object, turn: Turn | None, priority: int) -> None:
        """Tell everybody, waiting for nobody."""
        raise NotImplementedError

    def subscribe(self, subscriber: Path, overflow: Overflow) -> None:
        """Tell `subscriber` too, from now on."""
        raise NotImplementedError

    def unsubscribe(self, subscriber: Path) -> bool:
        """Take back `subscribe`; whether there was anything to take back."""
        raise NotImplementedError
