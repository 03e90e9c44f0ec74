"""A limit that holds for what is shielded, too."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

__all__ = ["limited"]


@asynccontextmanager
async def limited(seconds: float = 30.0) -> AsyncGenerator[None]:
    """Fail if the block takes longer. The writer waits in a shield for its thread: an answer that gets lost would hold
    it, and the test, for ever."""
    made, make = list[trio.CancelScope](), trio.CancelScope

    def noted(**options: Any) -> trio.CancelScope:
        made.append(make(**options))
        return made[-1]

    async def lift() -> None:
        try:
            await trio.sleep_forever()
        finally:
            for scope in made:
                scope.shield = False

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trio, "CancelScope", noted)
        with trio.fail_after(seconds):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(lift)
                yield
                nursery.cancel_scope.cancel()
