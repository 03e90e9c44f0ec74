"""What a parked task is woken with."""

from __future__ import annotations

from typing import Any, Final

import outcome

__all__ = ["SLEEP", "WAKE"]


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
