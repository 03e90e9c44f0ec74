"""For tests of trees under a simulated clock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import trio

__all__ = ["inline_run_sync"]

T = TypeVar("T")


async def inline_run_sync(call: Callable[..., T], /, *args: Any, **_options: Any) -> T:
    """In the place of `trio.to_thread.run_sync`: the call runs inside the loop, so that a mock clock sees it.

    A checkpoint before it, as before a real one. Cancellation: none once the call began. Blocks the loop meanwhile.
    """
    await trio.lowlevel.checkpoint()
    return call(*args)
