"""What the journal reaches the outside through, so that a test or a simulation can stand in between."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any, Protocol, TypeAlias, TypeVar

__all__ = ["Connect", "RunSync"]

T = TypeVar("T")

Connect: TypeAlias = Callable[..., sqlite3.Connection]
"""`sqlite3.connect`, or what behaves as it does."""


class RunSync(Protocol):
    """`trio.to_thread.run_sync`, or a function that runs the call inside the loop (under a simulated clock)."""

    async def __call__(self, call: Callable[..., T], /, *args: Any, **options: Any) -> T: ...
