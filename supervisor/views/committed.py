"""What a view folds: a committed event with its place and time."""

from __future__ import annotations

from typing import Protocol

from ..core.event import Event

__all__ = ["Committed"]


class Committed(Protocol):
    """The part of a journal's record that views read."""

    @property
    def seq(self) -> int: ...

    @property
    def at(self) -> float:
        """Wall seconds."""
        ...

    @property
    def event(self) -> Event: ...

    @property
    def epoch(self) -> int: ...
