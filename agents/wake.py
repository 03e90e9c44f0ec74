"""What a parked task is woken with, and how another thread wakes a loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import outcome
import trio

__all__ = ["SLEEP", "WAKE", "call_in_loop", "not_now"]


class _Wake(outcome.Outcome[Any]):
    """Unlike `outcome.Value` it is not used up, so one instance serves every task for ever."""

    __slots__ = ()

    def send(self, gen: Any) -> Any:
        return gen.send(None)

    async def asend(self, agen: Any) -> Any:
        return await agen.asend(None)

    def unwrap(self) -> Any:
        return None


class _Sleep(_Wake):
    __slots__ = ()

    def unwrap(self) -> bool:
        return True


WAKE: Final = _Wake()
SLEEP: Final = _Sleep()
"""True instead of None: give the task back, if nothing needs it."""


def not_now(_: object) -> trio.lowlevel.Abort:
    """What trio calls when a task is cancelled that waits for the disk: what is on its way there is not called back."""
    return trio.lowlevel.Abort.FAILED


def call_in_loop(
    token: trio.lowlevel.TrioToken, call: Callable[..., object], *args: object, idempotent: bool = False
) -> bool:
    """Have `call` run in the loop of `token`, soon, from any thread. False: that loop has ended, and nobody calls it.

    One that has ended by an error of its own (`TrioInternalError`) does not know that: there is no socket any more by
    which it could be woken.
    """
    try:
        token.run_sync_soon(call, *args, idempotent=idempotent)
    except (trio.RunFinishedError, OSError):
        return False
    return True
