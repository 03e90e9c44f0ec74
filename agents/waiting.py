"""Waiting for a value: the few parts of trio-util that work under today's trio, with types.

Two of its helpers name `trio.MultiError`, which is gone, and it ships no types; so nothing else imports it.
"""

from __future__ import annotations

from typing import Any

__all__ = ["Level"]


class Level:
    """A number that only grows, and tasks that wait until it is beyond theirs. Nobody who waits misses a rise."""

    __slots__ = ("_cell", "_waiting", "value")

    def __init__(self, value: int = 0) -> None:
        self.value = value
        """What it is now."""
        self._cell: Any = None
        """The same, while somebody waits; with the first one comes a library of twenty modules."""
        self._waiting = 0

    def rise(self, value: int) -> None:
        """Set it to `value` and wake whoever waited for that. Raises `ValueError` for a value below the current one."""
        if value < self.value:
            raise ValueError(f"a level only grows: {value} is below {self.value}")
        self.value = value
        if self._waiting:
            self._cell.value = value

    async def wait_beyond(self, value: int) -> int:
        """Wait until it is more than `value`; returns it as it was then. A checkpoint, also if it need not wait."""

        def beyond(now: int) -> bool:
            return now > value

        if self._cell is None:
            from trio_util import AsyncValue  # pyright: ignore[reportMissingTypeStubs]

            self._cell = AsyncValue(self.value)
        self._cell.value = self.value
        self._waiting += 1
        try:
            return await self._cell.wait_value(beyond)
        finally:
            self._waiting -= 1
