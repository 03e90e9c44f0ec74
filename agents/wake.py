"""What a parked task is woken with."""

from __future__ import annotations

from typing import Any, Final

import outcome

__all__ = ["WAKE"]


class _Wake(outcome.Outcome[None]):
    """Unlike `outcome.Value` it holds nothing, so one instance serves every task for ever."""

    __slots__ = ()

    def send(self, gen: Any) -> Any:
        return gen.send(None)

    async def asend(self, agen: Any) -> Any:
        return await agen.asend(None)

    def unwrap(self) -> None:
        return None


WAKE: Final = _Wake()
